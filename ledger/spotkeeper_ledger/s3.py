"""A board in an S3 bucket, on the standard library.

Conditional writes are S3's own: ``If-None-Match: *`` and ``If-Match: <etag>``. 412 means that somebody else was
first; 409, that somebody
else is writing right now: both mean that this write is lost (Amazon S3 User Guide, "How to prevent object overwrites
with conditional writes").
"""

from __future__ import annotations

import copy
import os
import time
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import PurePosixPath
from typing import Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import unquote

from spotkeeper_ledger.board import ABSENT, ANY, BoardError, Conflict, Denied, Entry, Expected, Stored, Unavailable
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.http import Body, Http, Into, Response
from spotkeeper_ledger.patience import patiently
from spotkeeper_ledger.sigv4 import UNSIGNED, sign, uri_encode

_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _FAILED, _TOO_MANY = 401, 403, 404, 409, 412, 429
_FAULT = 500


class S3Board:
    """Objects of one bucket, below an optional prefix.

    Args:
        bucket: its name.
        prefix: what precedes every key, without a slash at the end; default none.
        timeout: seconds that one call may take in all, retries of throttled requests and faults included.
        region: default ``AWS_REGION``, ``AWS_DEFAULT_REGION``, then what the metadata service says.
        credentials: default environment, then instance role.
        most_bytes: of a longer object only the beginning is read, one byte more than this, so that whoever may write an
            object cannot choose how much memory reading it takes; default is any length. A listing's page has to fit.

    ``AWS_ENDPOINT_URL_S3`` and ``AWS_ENDPOINT_URL`` are honoured, as in AWS's own clients.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        timeout: float = 2.0,
        region: Optional[str] = None,
        credentials: Optional[CredentialSource] = None,
        most_bytes: Optional[int] = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._timeout = timeout
        self._region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _own_region()
        self._credentials = credentials or CredentialSource()
        base, self._root = _address(bucket, self._region)
        self._base = base
        self._http = Http(base, timeout, most_bytes)

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""
        response = self._get(key)
        return None if response is None or response.status == _NOT_FOUND else _stored(response)

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None`` (also where it is gone)."""
        response = self._get(key, {"If-None-Match": version})
        return None if response is None or response.status in (_NOT_MODIFIED, _NOT_FOUND) else _stored(response)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; raises :class:`Conflict` where it is not.

        One request, so at most 5 GB. Where the answer to a first try was lost, the second one may find that the first
        one won.
        """
        headers: Dict[str, str] = {}
        if expect is ABSENT:
            headers["If-None-Match"] = "*"
        elif expect is not ANY:
            headers["If-Match"] = str(expect)
        response = self._call("PUT", self._target(key), headers, body)
        if response.status == _OK:
            return response.headers["etag"]
        if response.retried:
            found = self.read(key)
            if found is not None and found.body == body:
                return found.version
        raise Conflict(f"{key}: expected {expect or 'no object'}, somebody else wrote first")

    def upload(self, key: str, views: Sequence[memoryview], *, timeout: float) -> None:
        """Write an object from memory that is not joined first, whatever was there; one request, so at most 5 GB.

        Its body is not signed: that would cost more than sending it. TLS guards it, as with AWS's own clients.
        """
        headers = {"Content-Length": str(sum(map(len, views)))}
        response = self._call("PUT", self._target(key), headers, views, timeout=timeout)
        if response.status != _OK:
            raise Unavailable(f"{key}: status {response.status} {_error_code(response)}")

    def download(
        self, key: str, into: memoryview, took: Callable[[int, int], None], *, timeout: float
    ) -> Optional[int]:
        """Fill ``into`` with an object of its length, and return the object's length; ``None`` where there is none.

        ``took`` is told of every stretch that arrives, as :class:`~spotkeeper_ledger.http.Into` says.
        """
        try:
            response = self._call("GET", self._target(key), timeout=timeout, into=Into(into, took))
        except Denied:
            if next(self.list(key), None) is not None:
                raise
            return None
        return int(response.headers["content-length"]) if response.status == _OK else None

    def within(self, seconds: float) -> S3Board:
        """Return this board with calls that may take so many seconds at most, over the same connections."""
        hurried = copy.copy(self)
        hurried._timeout = min(self._timeout, seconds)
        return hurried

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        for page in self._pages(prefix, delimiter=""):
            for item in page.findall("{*}Contents"):
                yield Entry(
                    key=unquote(_text(item, "Key"))[len(self._prefix) :],
                    version=_text(item, "ETag"),
                    bytes=int(_text(item, "Size")),
                    modified_at=datetime.fromisoformat(_text(item, "LastModified").replace("Z", "+00:00")).timestamp(),
                )

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        for page in self._pages(prefix, delimiter="/"):
            for item in page.findall("{*}CommonPrefixes"):
                yield PurePosixPath(unquote(_text(item, "Prefix"))).name

    def days_of_incomplete_uploads(self, prefix: str) -> Optional[int]:
        """Return after how many days the bucket removes uploads below ``prefix`` that were cut off; ``None`` if never.

        Raises :class:`Denied` for a caller without ``s3:GetLifecycleConfiguration``.
        """
        response = self._call("GET", f"{self._root or '/'}?lifecycle=")
        if response.status != _OK:
            return None  # the bucket has no rules
        days = []
        for rule in ET.fromstring(response.body).findall("{*}Rule"):  # noqa: S314 - as above
            begins = rule.findtext("{*}Filter/{*}Prefix") or rule.findtext("{*}Prefix") or ""
            narrowed = rule.find("{*}Filter/{*}And") is not None or rule.find("{*}Filter/{*}Tag") is not None
            after = rule.findtext("{*}AbortIncompleteMultipartUpload/{*}DaysAfterInitiation")
            if after and _text(rule, "Status") == "Enabled" and prefix.startswith(begins) and not narrowed:
                days.append(int(after))
        return min(days, default=None)

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self._call("DELETE", self._target(key))

    def _get(self, key: str, headers: Optional[Mapping[str, str]] = None) -> Optional[Response]:
        """Ask for an object. S3 denies knowledge of a missing one to whoever may not list it; ``None`` if that was why.

        Whether a right to list that is bound to a prefix counts here is nowhere documented, so a denial is looked into.
        """
        try:
            return self._call("GET", self._target(key), headers)
        except Denied:
            first = next(self.list(key), None)
            if first is not None and first.key == key:
                raise
            return None

    def _pages(self, prefix: str, delimiter: str) -> Iterator[ET.Element]:
        token = ""
        while True:
            query = {"list-type": "2", "encoding-type": "url", "prefix": self._prefix + prefix}
            if delimiter:
                query["delimiter"] = delimiter
            if token:
                query["continuation-token"] = token
            text = "&".join(f"{name}={uri_encode(value)}" for name, value in sorted(query.items()))
            response = self._call("GET", f"{self._root or '/'}?{text}")
            if response.status != _OK:
                raise Unavailable(f"listing {prefix}: no bucket {self._bucket}")
            try:
                page = ET.fromstring(response.body)  # noqa: S314 - the answer of the service we authenticated to
            except ET.ParseError as error:
                raise Unavailable(f"listing {prefix}: {error}") from None
            yield page
            token = page.findtext("{*}NextContinuationToken") or ""
            if not token:
                return

    def _target(self, key: str) -> str:
        return f"{self._root}/{uri_encode(self._prefix + key, keep_slash=True)}"

    def _call(
        self,
        method: str,
        target: str,
        headers: Optional[Mapping[str, str]] = None,
        body: Body = b"",
        *,
        timeout: Optional[float] = None,
        into: Optional[Into] = None,
    ) -> Response:
        """Send the request, again after a throttle or a fault while time is left; raise what no caller can handle."""
        return patiently(
            lambda left: self._try(method, target, headers or {}, body, left, into),
            self._timeout if timeout is None else timeout,
        )

    def _try(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        left: float,
        into: Optional[Into],
    ) -> Union[Response, BoardError]:
        whole, digest = (body, "") if isinstance(body, bytes) else (b"", UNSIGNED)
        url, held = self._base + target, self._credentials.get()
        signed = sign(method, url, headers, whole, held, self._region, "s3", time.time(), digest=digest)
        if left <= 0:
            return Unavailable(f"{method} {self._bucket}: no answer in time")
        try:
            response = self._http.request(method, target, signed, body, timeout=left, into=into)
        except Unavailable as error:
            return error
        if response.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise Denied(f"{method} {self._bucket}{target.split('?', maxsplit=1)[0]}: {_error_code(response)}")
        if response.status >= _FAULT or response.status == _TOO_MANY:
            return Unavailable(f"{method} {self._bucket}: status {response.status} {_error_code(response)}")
        known = (_OK, _NO_CONTENT, _NOT_MODIFIED, _NOT_FOUND, _CONFLICT, _FAILED)
        if response.status not in known or (response.status == _NOT_FOUND and _error_code(response) == "NoSuchBucket"):
            raise Unavailable(f"{method} {self._bucket}: status {response.status} {_error_code(response)}")
        return response


def _address(bucket: str, region: str) -> Tuple[str, str]:
    """Return the server's URL and the path that precedes every key."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return endpoint.rstrip("/"), f"/{bucket}"
    domain = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    # The wildcard certificate does not cover a name with dots in it.
    return (f"https://{domain}", f"/{bucket}") if "." in bucket else (f"https://{bucket}.{domain}", "")


def _own_region() -> str:
    from spotkeeper_ledger.imds import InstanceMetadata  # noqa: PLC0415 - a function knows its region without

    region = InstanceMetadata().get("placement/region")
    if not region:
        raise Unavailable("no region: set AWS_REGION")
    return region


def _stored(response: Response) -> Stored:
    return Stored(response.body, response.headers["etag"])


def _text(item: ET.Element, name: str) -> str:
    return item.findtext(f"{{*}}{name}") or ""


def _error_code(response: Response) -> str:
    try:
        return ET.fromstring(response.body).findtext("Code") or ""  # noqa: S314 - as above
    except ET.ParseError:
        return ""
