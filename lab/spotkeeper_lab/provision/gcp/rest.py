"""Requests to Google's APIs, as the local cloud serves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from spotkeeper_ledger.http import Http

CALL_SECONDS = 150.0
"""How long a request may take; that for the end of an operation takes as long as nodes need to save."""
_OK, _NOT_FOUND = 200, 404

ROOT = "https://www.googleapis.com/compute/v1/"
"""What links to resources of Compute Engine begin with."""

Json = dict[str, Any]


class RestError(Exception):
    """An API refused a request.

    Attributes:
        status: of the answer.
    """

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: status {status}: {message}")
        self.status = status


class Rest:
    """Makes requests.

    Args:
        endpoint: URL of the local cloud.
        caller: whose token they carry.
    """

    def __init__(self, endpoint: str, caller: str) -> None:
        self._http, self._caller = Http(endpoint, CALL_SECONDS), caller

    def call(self, verb: str, path: str, body: Mapping[str, Any] | None = None, **query: str | int | bool) -> Json:
        """Make a request with a JSON body, and return the JSON of its answer.

        Raises:
            RestError: It was refused.
        """
        sent = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self.send(verb, path, sent, kind, **query)

    def send(self, verb: str, path: str, body: bytes, headers: Mapping[str, str], **query: str | int | bool) -> Json:
        """Make a request with any body; see :meth:`call`."""
        target = f"{path}?{urlencode(query)}" if query else path
        response = self._http.request(verb, target, {"Authorization": f"Bearer {self._caller}", **headers}, body)
        found = json.loads(response.body) if response.body.strip() else {}
        if response.status // 100 != 2:
            raise RestError(f"{verb} {path}", response.status, str(found.get("error", {}).get("message", found)))
        return dict(found)

    def there(self, path: str) -> Json | None:
        """Return what is at a path, ``None`` where nothing is."""
        try:
            return self.call("GET", path)
        except RestError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def done(self, verb: str, path: str, body: Mapping[str, Any] | None = None, **query: str | int | bool) -> None:
        """Make a request of Compute Engine, and return when its operation has come to its end.

        Raises:
            RestError: It was refused, or its operation failed.
        """
        operation = self.call(verb, path, body, **query)
        where = f"/compute/v1/{operation['selfLink'].removeprefix(ROOT)}"
        while operation["status"] != "DONE":
            operation = self.call("POST", f"{where}/wait")
        for error in operation.get("error", {}).get("errors", ()):
            status = int(operation.get("httpErrorStatusCode", 0))
            raise RestError(f"{verb} {path}", status, f"{error['code']}: {error['message']}")
