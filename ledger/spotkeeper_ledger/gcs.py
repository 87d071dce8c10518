"""A board in a bucket of Google Cloud Storage, on the standard library: the JSON API and its conditional requests.

A version is the object's generation. ``ifGenerationMatch`` makes a write conditional: 0 means that there must be no
such object. 412 means that somebody else was first. Source: Cloud Storage documentation, "Request preconditions".
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any, Dict, Iterator, Mapping, Optional, Union
from urllib.parse import quote, urlencode

from spotkeeper_ledger.board import ABSENT, ANY, BoardError, Conflict, Denied, Entry, Expected, Stored, Unavailable
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_ledger.http import Http, Response
from spotkeeper_ledger.patience import patiently

URL = "https://storage.googleapis.com"
_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _FAILED, _TIMEOUT, _TOO_MANY = 401, 403, 404, 412, 408, 429
_FAULT = 500
_FIELDS = "items(name,generation,size,updated),prefixes,nextPageToken"


class GcsBoard:
    """Objects of one bucket, below an optional prefix.

    Args:
        bucket: its name.
        prefix: what precedes every key, without a slash at the end; default none.
        timeout: seconds that one call may take in all, retries of throttled requests and faults included.
        tokens: default the service account of this machine; none is sent to ``STORAGE_EMULATOR_HOST``, unless there is
            a metadata server of the same kind (``GCE_METADATA_HOST``).
        most_bytes: of a longer object only the beginning is read, one byte more than this; default is any length. A
            listing's page has to fit.

    ``STORAGE_EMULATOR_HOST`` is honoured, as in Google's own clients.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        timeout: float = 2.0,
        tokens: Optional[TokenSource] = None,
        most_bytes: Optional[int] = None,
    ) -> None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        anonymous = tokens is None and emulator and not os.environ.get("GCE_METADATA_HOST")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._timeout = timeout
        self._tokens = None if anonymous else tokens or TokenSource()
        base = emulator if "://" in emulator or not emulator else f"http://{emulator}"
        self._http = Http(base or URL, timeout, most_bytes)
        self._objects = f"/storage/v1/b/{quote(bucket, safe='')}/o"

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""
        return self._get(key, {})

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None`` (also where it is gone)."""
        return self._get(key, {"ifGenerationNotMatch": version})

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; raises :class:`Conflict` where it is not.

        Where the answer to a first try was lost, the second one may find that the first one won.
        """
        query = {"uploadType": "media", "name": self._prefix + key}
        if expect is not ANY:
            query["ifGenerationMatch"] = "0" if expect is ABSENT else str(expect)
        target = f"/upload{self._objects}?{urlencode(query)}"
        response = self._call("POST", target, {"Content-Type": "application/octet-stream"}, body)
        if response.status == _OK:
            return str(_parsed(response, key)["generation"])
        if response.status != _FAILED:
            raise Unavailable(f"{key}: status {response.status} {_reason(response)}")
        if response.retried:
            found = self.read(key)
            if found is not None and found.body == body:
                return found.version
        raise Conflict(f"{key}: expected {expect or 'no object'}, somebody else wrote first")

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        for page in self._pages(prefix, delimiter=""):
            for item in page.get("items", ()):
                yield Entry(
                    key=item["name"][len(self._prefix) :],
                    version=str(item["generation"]),
                    bytes=int(item["size"]),
                    modified_at=_timestamp(item["updated"]),
                )

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        for page in self._pages(prefix, delimiter="/"):
            for folder in page.get("prefixes", ()):
                yield folder[len(self._prefix) + len(prefix) :].rstrip("/")

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self._call("DELETE", self._target(key, {}))

    def _get(self, key: str, condition: Mapping[str, str]) -> Optional[Stored]:
        """Read an object. One that is missing is denied to whoever may not list it; ``None`` if that was why."""
        try:
            response = self._call("GET", self._target(key, {"alt": "media", **condition}))
        except Denied:
            first = next(self.list(key), None)
            if first is not None and first.key == key:
                raise
            return None
        if response.status in (_NOT_FOUND, _NOT_MODIFIED):
            return None
        return Stored(response.body, response.headers["x-goog-generation"])

    def _pages(self, prefix: str, delimiter: str) -> Iterator[Dict[str, Any]]:
        query = {"prefix": self._prefix + prefix, "fields": _FIELDS, **({"delimiter": delimiter} if delimiter else {})}
        while True:
            response = self._call("GET", f"{self._objects}?{urlencode(query)}")
            if response.status != _OK:
                raise Unavailable(f"listing {prefix}: no bucket {self._bucket}")
            page = _parsed(response, f"listing {prefix}")
            yield page
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _target(self, key: str, query: Mapping[str, str]) -> str:
        asked = f"?{urlencode(query)}" if query else ""
        return f"{self._objects}/{quote(self._prefix + key, safe='')}{asked}"

    def _call(
        self, method: str, target: str, headers: Optional[Mapping[str, str]] = None, body: bytes = b""
    ) -> Response:
        return patiently(lambda left: self._try(method, target, dict(headers or {}), body, left), self._timeout)

    def _try(
        self, method: str, target: str, headers: Dict[str, str], body: bytes, left: float
    ) -> Union[Response, BoardError]:
        try:
            if self._tokens is not None:
                headers["Authorization"] = f"Bearer {self._tokens.get()}"
            if left <= 0:
                return Unavailable(f"{method} {self._bucket}: no answer in time")
            response = self._http.request(method, target, headers, body, timeout=left)
        except Unavailable as error:
            return error
        what = f"{method} {self._bucket}: status {response.status} {_reason(response)}"
        if response.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise Denied(what)
        if response.status >= _FAULT or response.status in (_TOO_MANY, _TIMEOUT):
            return Unavailable(what)
        known = (_OK, _NO_CONTENT, _NOT_MODIFIED, _NOT_FOUND, _FAILED)
        if response.status not in known or (response.status == _NOT_FOUND and b"bucket does not" in response.body):
            raise Unavailable(what)
        return response


def _parsed(response: Response, what: str) -> Dict[str, Any]:
    try:
        found = json.loads(response.body)
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise Unavailable(f"{what}: an answer that is no JSON object")


def _reason(response: Response) -> str:
    try:
        return str(json.loads(response.body)["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return response.body[:200].decode("utf-8", "replace")


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
