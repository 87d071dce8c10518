"""Cloud Storage's JSON API: buckets, objects, and uploads in one request, in two parts, or in several requests.

Not done, and answered with status 501: compose, copy, move, rewrite, restore, updates of an object's metadata, batches,
access control lists, notifications, folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.local_gcp.buckets import CONDITIONS, Bucket, Buckets, Stored
from spotkeeper_lab.local_gcp.discovery import Discovery, Method
from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_done, required
from spotkeeper_lab.local_gcp.uploads import Upload, Uploads, parts
from spotkeeper_lab.local_gcp.validation import Validation
from spotkeeper_lab.local_gcp.web import Reply, Request, reply
from spotkeeper_lab.local_gcp.world import PROJECT_NUMBER, now

_UPLOAD = re.compile(r"(?:/resumable)?/upload(/storage/v1/.+)")
_DOWNLOAD = "/download"
_BYTES = re.compile(r"bytes=(\d+)-(\d*)")
_LONGEST_PAGE = 1000
_RESUME = 308
Given = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request whose method is known."""

    method: Method
    path: Given
    parameters: Given
    request: Request
    upload: bool

    @property
    def bucket(self) -> str:
        """Name of the bucket that it is about, empty for a list of them."""
        return str(self.path.get("bucket", ""))

    @property
    def name(self) -> str:
        """Name of the object that it is about, as far as the path or the query says it."""
        return str(self.path.get("object") or self.parameters.get("name", ""))


class StorageJson:
    """Answers requests of the JSON API.

    Args:
        buckets: what is served.
        document: Google's own, of Cloud Storage.
        endpoint: returns where this is reached, which an upload in several requests is told.
        page: how many objects one page of a list has at most.
    """

    def __init__(
        self,
        buckets: Buckets,
        document: Discovery,
        endpoint: Callable[[], str],
        page: int = _LONGEST_PAGE,
    ) -> None:
        self._buckets, self._document, self._validation = buckets, document, Validation(document)
        self._endpoint, self._page = endpoint, page
        self._uploads = Uploads()
        self._methods: Mapping[str, Callable[[Asked], Reply]] = {
            "storage.buckets.insert": self._insert_bucket,
            "storage.buckets.get": lambda asked: reply(self._about_bucket(self._buckets.find(asked.bucket))),
            "storage.buckets.list": self._list_buckets,
            "storage.buckets.patch": self._patch_bucket,
            "storage.buckets.delete": self._delete_bucket,
            "storage.buckets.getIamPolicy": lambda asked: reply(_policy(self._buckets.find(asked.bucket))),
            "storage.buckets.setIamPolicy": self._set_policy,
            "storage.objects.insert": self._insert,
            "storage.objects.get": self._get,
            "storage.objects.list": self._list,
            "storage.objects.delete": self._delete,
        }

    def asked(self, request: Request) -> Asked:
        """Return what a request asks for.

        Raises:
            Refused: There is no such method, or a parameter is unknown, missing or not what it may be.
        """
        path, uploads = request.path.removeprefix(_DOWNLOAD), _UPLOAD.fullmatch(request.path)
        verb = "POST" if uploads and request.verb == "PUT" else request.verb
        found = self._document.find(verb, uploads[1] if uploads else path)
        query = {name: values for name, values in request.query.items() if name not in ("uploadType", "upload_id")}
        parameters = self._validation.query(found.method, found.path, query)
        return Asked(found.method, found.path, parameters, request, uploads is not None)

    def name(self, asked: Asked) -> str:
        """Return the name of the object that a request is about, wherever it says that; empty for none."""
        if asked.name or not asked.upload:
            return asked.name
        if upload := self._uploads.find(asked.request.query.get("upload_id", [""])[0]):
            return str(upload.about.get("name", ""))
        content_type = asked.request.headers.get("content-type", "")
        multipart = asked.request.query.get("uploadType") == ["multipart"]
        about = parts(content_type, asked.request.body)[0] if multipart else json.loads(asked.request.body or b"{}")
        return str(about.get("name", ""))

    def answer(self, asked: Asked) -> Reply:
        """Do what is asked.

        Raises:
            Refused: It cannot be done.
        """
        if asked.method.id not in self._methods:
            raise not_done(asked.method.id)
        with self._buckets.lock:
            return self._methods[asked.method.id](asked)

    # Buckets.

    def _insert_bucket(self, asked: Asked) -> Reply:
        body = self._body(asked)
        if not body.get("name"):
            raise required("name")
        return reply(self._about_bucket(self._buckets.add(str(body["name"]), {"timeCreated": now(), **body})))

    def _list_buckets(self, asked: Asked) -> Reply:
        prefix = str(asked.parameters.get("prefix", ""))
        found = [self._about_bucket(one) for one in self._buckets.all() if one.name.startswith(prefix)]
        return reply({"kind": "storage#buckets", **({"items": found} if found else {})})

    def _patch_bucket(self, asked: Asked) -> Reply:
        bucket = self._buckets.find(asked.bucket)
        for name, value in self._body(asked).items():
            if value is None:
                bucket.fields.pop(name, None)
            else:
                bucket.fields[name] = value
        return reply(self._about_bucket(bucket))

    def _delete_bucket(self, asked: Asked) -> Reply:
        self._buckets.remove(asked.bucket)
        return Reply(204)

    def _set_policy(self, asked: Asked) -> Reply:
        bucket, policy = self._buckets.find(asked.bucket), self._body(asked)
        bucket.bindings = list(policy.get("bindings", ()))
        return reply(_policy(bucket))

    def _about_bucket(self, bucket: Bucket) -> Given:
        given = {"location": "US", "storageClass": "STANDARD", "projectNumber": PROJECT_NUMBER, **bucket.fields}
        link = f"https://www.googleapis.com/storage/v1/b/{bucket.name}"
        return {**given, "kind": "storage#bucket", "id": bucket.name, "name": bucket.name, "selfLink": link}

    # Objects.

    def _insert(self, asked: Asked) -> Reply:
        if not asked.upload:
            raise not_done("an object without content")
        kind = asked.request.query.get("uploadType", [""])[0]
        if kind == "resumable":
            return self._resumable(asked)
        content_type = asked.request.headers.get("content-type", "")
        if kind == "multipart":
            about, content_type, body = parts(content_type, asked.request.body)
        elif kind == "media":
            about, body = {}, asked.request.body
        else:
            raise invalid("uploadType", kind, "Must be media, multipart or resumable.")
        return self._store(asked.bucket, {"contentType": content_type, **about}, asked.name, asked.parameters, body)

    def _store(self, bucket: str, about: Given, name: str, conditions: Given, body: bytes) -> Reply:
        name = name or str(about.get("name", ""))
        if not name:
            raise required("name")
        facts = {"content_type": about.get("contentType") or "application/octet-stream"}
        made = self._buckets.write(
            bucket, name, body, _conditions(conditions), metadata=about.get("metadata", {}), **facts
        )
        return reply(_about(made, bucket))

    def _resumable(self, asked: Asked) -> Reply:
        upload_id = asked.request.query.get("upload_id", [""])[0]
        if not upload_id:
            about = {"name": asked.name, **(json.loads(asked.request.body) if asked.request.body else {})}
            about.setdefault("contentType", asked.request.headers.get("x-upload-content-type", ""))
            self._buckets.find(asked.bucket)
            upload_id = self._uploads.begin(Upload(asked.bucket, about, _conditions(asked.parameters)))
            path = f"{asked.request.path}?uploadType=resumable&upload_id={upload_id}"
            return Reply(200, b"", {"Location": f"{self._endpoint()}{path}", "X-GUploader-UploadID": upload_id})
        whole, arrived = self._uploads.take(upload_id, asked.request)
        if whole is None:
            return Reply(_RESUME, b"", {"Range": f"bytes=0-{arrived - 1}"} if arrived else {})
        return self._store(whole.bucket, whole.about, "", whole.conditions, bytes(whole.body))

    def _get(self, asked: Asked) -> Reply:
        found = self._buckets.read(asked.bucket, asked.name, _conditions(asked.parameters), _generation(asked))
        if asked.parameters.get("alt") != "media":
            return reply(_about(found, asked.bucket))
        headers = {
            "Content-Type": found.content_type,
            "ETag": found.etag,
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
            "X-Goog-Stored-Content-Length": str(len(found.body)),
        }
        return part(found.body, asked.request.headers.get("range", ""), headers)

    def _delete(self, asked: Asked) -> Reply:
        self._buckets.delete(asked.bucket, asked.name, _conditions(asked.parameters), _generation(asked))
        return Reply(204)

    def _list(self, asked: Asked) -> Reply:
        bucket, given = self._buckets.find(asked.bucket), asked.parameters
        prefix, delimiter = str(given.get("prefix", "")), str(given.get("delimiter", ""))
        found, folders = listing(bucket, prefix, delimiter, versions=bool(given.get("versions")))
        begin = int(given.get("pageToken") or 0)
        most = min(int(given.get("maxResults") or self._page), self._page)
        items = [_about(one, bucket.name) for one in found[begin : begin + most]]
        page: dict[str, Any] = {"items": items, "prefixes": folders if begin == 0 else []}
        if begin + most < len(found):
            page["nextPageToken"] = str(begin + most)
        return reply({"kind": "storage#objects", **{name: value for name, value in page.items() if value}})

    def _body(self, asked: Asked) -> Given:
        try:
            body = json.loads(asked.request.body) if asked.request.body.strip() else None
        except ValueError:
            raise Refused(400, "parseError", "Parse Error: the body is not JSON.") from None
        return self._validation.body(asked.method, body)


def listing(bucket: Bucket, prefix: str, delimiter: str, *, versions: bool = False) -> tuple[list[Stored], list[str]]:
    """Return what lies directly below a prefix: objects, and the beginnings up to the delimiter that others share."""
    found: list[Stored] = []
    folders: dict[str, None] = {}
    names = [name for name in sorted(bucket.names(prefix)) if versions or bucket.get(name)]
    for name in names:
        rest = name.removeprefix(prefix)
        if delimiter and delimiter in rest:
            folders[prefix + rest.split(delimiter)[0] + delimiter] = None
        else:
            found += bucket.versions(name) if versions else bucket.versions(name)[-1:]
    return found, list(folders)


def part(body: bytes, wanted: str, headers: Mapping[str, str]) -> Reply:
    """Return an object's content, or the range of it that a header wants."""
    match = _BYTES.fullmatch(wanted)
    if match is None:
        return Reply(200, body, headers)
    begin, end = int(match[1]), min(int(match[2] or len(body) - 1), len(body) - 1)
    if begin > end:
        return Reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
    return Reply(206, body[begin : end + 1], {**headers, "Content-Range": f"bytes {begin}-{end}/{len(body)}"})


def _about(found: Stored, bucket: str) -> Given:
    at = found.updated.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{found.name}/{found.generation}",
        "name": found.name,
        "bucket": bucket,
        "generation": str(found.generation),  # the API sends integers of 64 bits as strings
        "metageneration": "1",
        "size": str(len(found.body)),
        "contentType": found.content_type,
        "etag": found.etag,
        "crc32c": found.crc32c,
        "md5Hash": found.md5,
        "storageClass": "STANDARD",
        "updated": at,
        "timeCreated": at,
        **({"metadata": dict(found.metadata)} if found.metadata else {}),
    }


def _policy(bucket: Bucket) -> Given:
    bindings: Sequence[Given] = bucket.bindings
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket.name}", "bindings": bindings}


def _conditions(parameters: Given) -> Mapping[str, str]:
    return {name: str(parameters[name]) for name in CONDITIONS if name in parameters}


def _generation(asked: Asked) -> str:
    return str(asked.parameters.get("generation", ""))
