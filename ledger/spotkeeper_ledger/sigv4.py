"""AWS Signature Version 4, for requests whose body is in memory.

Source: AWS General Reference, "Create a signed AWS API request". Tested against botocore's signer.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Dict, Mapping, Optional
from urllib.parse import parse_qsl, quote, urlsplit

_SAFE = "-_.~"


@dataclass(frozen=True)
class Credentials:
    """Keys that requests are signed with. ``token`` comes with temporary ones."""

    access_key: str
    secret_key: str
    token: Optional[str] = None

    def __repr__(self) -> str:
        """Never show a secret, not even in a traceback."""
        return f"Credentials({self.access_key!r}, …)"


UNSIGNED = "UNSIGNED-PAYLOAD"
"""In place of a digest: the signature does not cover the body, which TLS guards (S3 only)."""


def uri_encode(text: str, *, keep_slash: bool = False) -> str:
    """Percent-encode as AWS wants it: everything but letters, digits and ``-_.~`` (and ``/`` in a path)."""
    return quote(text, safe=_SAFE + ("/" if keep_slash else ""))


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: float,
    *,
    digest: str = "",
) -> Dict[str, str]:
    """Return ``headers`` with those that authenticate the request added.

    Args:
        method: the HTTP verb.
        url: the whole URL, path and query already encoded by :func:`uri_encode`.
        headers: all headers that are to be signed; ``Host`` is added.
        body: the request's body.
        credentials: whose signature.
        region: such as ``eu-west-1``.
        service: the signing name, such as ``s3`` or ``autoscaling``.
        now: Unix seconds; AWS refuses a request that is over 5 minutes (S3: 15) off its own clock.
        digest: SHA-256 of the body in hexadecimal, or :data:`UNSIGNED`; default is computed.
    """
    parts = urlsplit(url)
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = digest or hashlib.sha256(body).hexdigest()
    signed = {**headers, "Host": parts.netloc, "X-Amz-Date": moment}
    if service == "s3":
        signed["X-Amz-Content-SHA256"] = digest
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token

    canonical_headers = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    names = ";".join(sorted(canonical_headers))
    path = parts.path or "/"
    request = "\n".join(
        [
            method,
            path if service == "s3" else quote(path, safe="/" + _SAFE),  # every service but S3 encodes the path twice
            _canonical_query(parts.query),
            "".join(f"{name}:{canonical_headers[name]}\n" for name in sorted(canonical_headers)),
            names,
            digest,
        ]
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + credentials.secret_key.encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    signed["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def _canonical_query(query: str) -> str:
    pairs = [(uri_encode(name), uri_encode(value)) for name, value in parse_qsl(query, keep_blank_values=True)]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
