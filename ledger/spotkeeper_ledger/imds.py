"""The EC2 instance metadata service, version 2 (session tokens; version 1 is never used).

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
"""

from __future__ import annotations

import os
import threading
import time
from typing import Optional

from spotkeeper_ledger.board import Unavailable
from spotkeeper_ledger.http import Http, Response

ENDPOINT = "http://169.254.169.254"
TOKEN_SECONDS = 21600
"""How long a session token is asked for: the longest that the service gives."""
_HTTP_OK, _HTTP_UNAUTHORIZED, _HTTP_NOT_FOUND = 200, 401, 404


class InstanceMetadata:
    """Reads metadata with a token that is renewed in time.

    Args:
        endpoint: where the service answers; default ``AWS_EC2_METADATA_SERVICE_ENDPOINT``, then the link-local address.
        timeout: seconds that one request may take.
    """

    def __init__(self, endpoint: Optional[str] = None, timeout: float = 1.0) -> None:
        self._http = Http(endpoint or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT, timeout)
        self._token = ""
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def get(self, path: str) -> Optional[str]:
        """Return ``/latest/meta-data/<path>``, or ``None`` where there is no such item (404).

        Raises :class:`Unavailable` if the service cannot be reached or answers with anything else.
        """
        response = self._get(path)
        if response.status == _HTTP_UNAUTHORIZED:  # the service forgot the token, as it does when it restarts
            with self._lock:
                self._renew_at = 0.0
            response = self._get(path)
        if response.status == _HTTP_NOT_FOUND:
            return None
        if response.status != _HTTP_OK:
            raise Unavailable(f"metadata {path}: status {response.status}")
        return response.body.decode("utf-8", "replace")

    def _get(self, path: str) -> Response:
        return self._http.request("GET", f"/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": self._session()})

    def _session(self) -> str:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                asked = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                response = self._http.request("PUT", "/latest/api/token", asked)
                if response.status != _HTTP_OK:
                    raise Unavailable(f"metadata token: status {response.status}")
                self._token = response.body.decode("ascii", "replace").strip()
                self._renew_at = time.monotonic() + TOKEN_SECONDS * 0.9
            return self._token
