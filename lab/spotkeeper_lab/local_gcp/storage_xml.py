"""Cloud Storage's XML API as far as obstore asks for it: put, get, delete and list, on conditions and in ranges.

Not done, and answered with status 501: uploads in parts, copies, buckets themselves. Lists come in one page.
"""

from __future__ import annotations

from email.utils import format_datetime
from urllib.parse import unquote
from xml.sax.saxutils import escape

from spotkeeper_lab.local_gcp.buckets import Buckets, Stored
from spotkeeper_lab.local_gcp.refusals import Refused
from spotkeeper_lab.local_gcp.storage_json import listing, part
from spotkeeper_lab.local_gcp.web import Reply, Request

_CONDITIONS = {
    "x-goog-if-generation-match": "ifGenerationMatch",
    "x-goog-if-metageneration-match": "ifMetagenerationMatch",
}
OPERATIONS = {"GET": "get", "HEAD": "get", "PUT": "insert", "DELETE": "delete"}


def place(request: Request) -> tuple[str, str]:
    """Return the bucket and the name of the object that a request is about; the latter is empty for a list."""
    bucket, _, name = request.path.removeprefix("/").partition("/")
    return unquote(bucket), unquote(name)


def operation(request: Request) -> str:
    """Return the method of the JSON API that does the same."""
    _, name = place(request)
    return "storage.objects.list" if not name else f"storage.objects.{OPERATIONS.get(request.verb, 'unknown')}"


class StorageXml:
    """Answers requests of the XML API."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def answer(self, request: Request) -> Reply:
        """Do what a request asks for."""
        bucket, name = place(request)
        try:
            with self._buckets.lock:
                return self._list(request, bucket) if not name else self._object(request, bucket, name)
        except Refused as refused:
            return refusal(refused)

    def _object(self, request: Request, bucket: str, name: str) -> Reply:
        conditions = {_CONDITIONS[key]: value for key, value in request.headers.items() if key in _CONDITIONS}
        if request.verb == "PUT" and not request.query:
            content_type = request.headers.get("content-type", "application/octet-stream")
            made = self._buckets.write(bucket, name, request.body, conditions, content_type=content_type)
            return Reply(200, b"", _about(made))
        generation = request.query.get("generation", [""])[0]
        if request.verb in ("GET", "HEAD"):
            found = self._buckets.read(bucket, name, conditions, generation)
            return part(found.body, request.headers.get("range", ""), _about(found))
        if request.verb == "DELETE":
            self._buckets.delete(bucket, name, conditions, generation)
            return Reply(204)
        raise Refused(501, "notImplemented", f"{request.verb} {request.target} is not in the local cloud")

    def _list(self, request: Request, bucket: str) -> Reply:
        if request.verb != "GET":
            raise Refused(501, "notImplemented", f"{request.verb} of a bucket is not in the local cloud")
        query = {name: values[0] for name, values in request.query.items()}
        found, folders = listing(self._buckets.find(bucket), query.get("prefix", ""), query.get("delimiter", ""))
        entries = "".join(_entry(one) for one in found)
        entries += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        return Reply(200, body.encode(), {"Content-Type": "application/xml"})


def refusal(refused: Refused) -> Reply:
    """Return an error as the XML API words it."""
    code = {404: "NoSuchKey", 412: "PreconditionFailed", 403: "AccessDenied", 401: "AuthenticationRequired"}
    message = f"<Message>{escape(refused.message)}</Message>"
    body = f"<Error><Code>{code.get(refused.status, 'InternalError')}</Code>{message}</Error>"
    return Reply(refused.status, body.encode(), {"Content-Type": "application/xml"})


def _about(found: Stored) -> dict[str, str]:
    return {
        "Content-Type": found.content_type,
        "ETag": f'"{found.md5}"',
        "Last-Modified": format_datetime(found.updated, usegmt=True),
        "x-goog-generation": str(found.generation),
        "x-goog-metageneration": "1",
        "x-goog-hash": f"crc32c={found.crc32c}",
        "x-goog-stored-content-length": str(len(found.body)),
    }


def _entry(found: Stored) -> str:
    return (
        f"<Contents><Key>{escape(found.name)}</Key><Generation>{found.generation}</Generation>"
        f"<MetaGeneration>1</MetaGeneration><LastModified>{found.updated.isoformat()}</LastModified>"
        f'<ETag>"{found.md5}"</ETag><Size>{len(found.body)}</Size></Contents>'
    )
