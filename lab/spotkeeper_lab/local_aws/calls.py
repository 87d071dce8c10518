"""Who calls: callers are told apart by their access keys."""

from __future__ import annotations

import re

from spotkeeper_lab.local.calls import UNKNOWN

_KEY_ID = re.compile(r"(?:AKIA|ASIA)([A-Z0-9]{16})")
_CREDENTIAL = re.compile(r"Credential=([A-Z0-9]+)/[^/]*/[^/]*/([^/]+)/aws4_request")
_FILLER = "0"


def access_key_id(caller: str, *, temporary: bool = False) -> str:
    """Return the access key id that stands for ``caller``: lower-case letters only, at most 16.

    Raises:
        ValueError: The name cannot be written into a key id.
    """
    if not re.fullmatch("[a-z]{1,16}", caller):
        raise ValueError(f"caller: was {caller!r}, expected 1 to 16 lower-case letters")
    return ("ASIA" if temporary else "AKIA") + caller.upper().ljust(16, _FILLER)


def secret_access_key(caller: str) -> str:
    """Return the secret that goes with :func:`access_key_id`. Nobody checks signatures here, so any will do."""
    return f"secret-of-{caller}"


def signer(authorization: str) -> tuple[str, str]:
    """Return the caller and the service's signing name that an ``Authorization`` header tells.

    The caller is ``unknown`` where the request is signed with keys that were never given out.
    The service is empty where the request is not signed.
    """
    credential = _CREDENTIAL.search(authorization)
    if credential is None:
        return UNKNOWN, ""
    key = _KEY_ID.fullmatch(credential[1])
    return (key[1].rstrip(_FILLER).lower() or UNKNOWN if key else UNKNOWN), credential[2]
