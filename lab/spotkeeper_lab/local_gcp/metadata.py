"""The metadata server of one machine, on an address of its own: values with versions, and requests that hang.

Source: Compute Engine documentation, "About VM metadata", "Query VM metadata".

Not done: ``recursive``, formats other than text, identity tokens, guest attributes, other service accounts than the
default one.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from spotkeeper_lab.local.addresses import Listener

TRUE, FALSE = "TRUE", "FALSE"
PREEMPTED = "instance/preempted"
ACCOUNT = "instance/service-accounts/default/"
_ROOT = "/computeMetadata/v1/"
_TOKEN_SECONDS = 3599
_LONGEST_WAIT_SECONDS = 3600.0
_OK, _FORBIDDEN, _NOT_FOUND, _UNAVAILABLE = 200, 403, 404, 503


@dataclass
class Metadata:
    """What a machine is told about itself, by path below ``/computeMetadata/v1/``. Any thread may use it."""

    values: dict[str, str]
    failing: int = 0
    """With which status every request is answered, those that hang included; 0: none fails."""
    waiting: int = 0
    """How many requests hang at present."""
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def set(self, path: str, value: str) -> None:
        """Change a value; whoever waits for that is answered."""
        with self.changed:
            self.values[path] = value
            self.changed.notify_all()

    def fail(self, status: int = _UNAVAILABLE) -> None:
        """Answer every request with a status from now on, until that is 0. The service says 503 at any time."""
        with self.changed:
            self.failing = status
            self.changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def answer(self, path: str, query: Mapping[str, Sequence[str]]) -> tuple[int, str, str]:
        """Return status, value and ETag. With ``wait_for_change`` that takes until the value is another one."""
        wanted = {name: values[0] for name, values in query.items()}
        with self.changed:
            if wanted.get("wait_for_change", "").lower() == "true":
                self._wait(path, wanted)
            if self.failing or self.closed:
                return self.failing or _UNAVAILABLE, "", ""
            value = self._value(path)
            return (_OK, value, etag(value)) if value is not None else (_NOT_FOUND, "", "")

    def _wait(self, path: str, wanted: Mapping[str, str]) -> None:
        now = self._value(path)
        before = wanted.get("last_etag", "" if now is None else etag(now))

        def other() -> bool:
            value = self._value(path)
            return bool(self.closed or self.failing or value is None or etag(value) != before)

        self.waiting += 1
        self.changed.wait_for(other, float(wanted.get("timeout_sec", _LONGEST_WAIT_SECONDS)))
        self.waiting -= 1

    def _value(self, path: str) -> str | None:
        """A value, or the names below a folder; ``None`` where there is neither."""
        if path in self.values:
            return self.values[path]
        folder = path if path.endswith("/") or not path else f"{path}/"
        below = sorted(name.removeprefix(folder) for name in self.values if name.startswith(folder))
        names = dict.fromkeys(one if "/" not in one else f"{one.partition('/')[0]}/" for one in below)
        return "".join(f"{name}\n" for name in names) or None


def etag(value: str) -> str:
    """Return the version of a value."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def account(address: str, token: str) -> dict[str, str]:
    """Return what a machine is told of its service account.

    Args:
        address: the account's e-mail address.
        token: its access token.
    """
    found = {"access_token": token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"}
    return {
        f"{ACCOUNT}token": json.dumps(found),
        f"{ACCOUNT}email": address,
        f"{ACCOUNT}scopes": "https://www.googleapis.com/auth/cloud-platform\n",
    }


class MetadataServer:
    """Serves a machine's metadata on a free port of an address until it is closed.

    Args:
        address: a loopback address.
        metadata: what to serve.
    """

    def __init__(self, address: str, metadata: Metadata) -> None:
        self.metadata = metadata
        self._listener = Listener(address, self._converse)
        self.endpoint = self._listener.endpoint

    @property
    def host(self) -> str:
        """Address and port, as ``GCE_METADATA_HOST`` has it."""
        return self.endpoint.removeprefix("http://")

    def close(self) -> None:
        """Close the address and all connections, and wait for the threads that served them."""
        self.metadata.close()
        self._listener.close()

    def _converse(self, connection: socket.socket, address: tuple[str, int]) -> None:
        _Conversation(connection, address, self)  # type: ignore[arg-type]  # it needs no socketserver


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    server: MetadataServer  # type: ignore[assignment]  # see _converse

    def do_GET(self) -> None:
        """Give a value to whoever says that it is metadata that is wanted."""
        url = urlsplit(self.path)
        if self.headers.get("Metadata-Flavor") != "Google" or self.headers.get("X-Forwarded-For"):
            self._answer(_FORBIDDEN)
        elif not url.path.startswith(_ROOT):
            self._answer(_NOT_FOUND)
        else:
            query = parse_qs(url.query)
            self._answer(*self.server.metadata.answer(url.path.removeprefix(_ROOT), query))

    def _answer(self, status: int, body: str = "", version: str = "") -> None:
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json" if body.startswith("{") else "application/text")
        if version:
            self.send_header("ETag", version)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
