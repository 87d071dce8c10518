"""Uploads to Cloud Storage in several requests, and in two parts of one.

Source: Cloud Storage documentation, "Resumable uploads".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any
from uuid import uuid4

from spotkeeper_lab.local_gcp.refusals import Refused, invalid
from spotkeeper_lab.local_gcp.web import Request

_SENT = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
Given = Mapping[str, Any]


@dataclass
class Upload:
    """An upload in several requests."""

    bucket: str
    about: Given
    conditions: Mapping[str, str]
    body: bytearray = field(default_factory=bytearray)


class Uploads:
    """Those that are under way."""

    def __init__(self) -> None:
        self._all: dict[str, Upload] = {}

    def begin(self, upload: Upload) -> str:
        """Begin an upload; return its id."""
        name = uuid4().hex
        self._all[name] = upload
        return name

    def find(self, name: str) -> Upload | None:
        """Return an upload that has not come to its end."""
        return self._all.get(name)

    def take(self, name: str, request: Request) -> tuple[Upload | None, int]:
        """Take what a request brings; return the upload if that is all of it, and how many bytes have arrived.

        Raises:
            Refused: There is no such upload, or bytes between have not arrived.
        """
        upload = self._all.get(name)
        if upload is None:
            raise Refused(404, "notFound", f"No such upload: {name}")
        begin, total = _sent(request, len(upload.body))
        if begin > len(upload.body):
            raise invalid("Content-Range", begin, f"{len(upload.body)} bytes have arrived.")
        upload.body[begin:] = request.body
        if total is None or len(upload.body) < total:
            return None, len(upload.body)
        return self._all.pop(name), len(upload.body)


def _sent(request: Request, arrived: int) -> tuple[int, int | None]:
    """Return at which byte a request of an upload begins, and how long the object will be, if it says so."""
    match = _SENT.fullmatch(request.headers.get("content-range", ""))
    if match is None:
        return arrived, arrived + len(request.body)
    total = None if match[3] == "*" else int(match[3])
    return (arrived if match[1] is None else int(match[1])), total


def parts(content_type: str, body: bytes) -> tuple[Given, str, bytes]:
    """Return what a body of two parts says about an object, the type of its content, and the content."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = str(header.get_param("boundary", "")).encode()
    parts = [one.partition(b"\r\n\r\n") for one in body.split(b"--" + boundary)[1:-1]] if boundary else []
    if len(parts) != 2:
        raise Refused(400, "badRequest", f"Malformed multipart body: {len(parts)} parts, expected 2.")
    (_, _, about), (head, _, content) = parts
    named = message_from_bytes(head.lstrip(b"\r\n") + b"\r\n\r\n")
    return json.loads(about), named.get_content_type(), content.removesuffix(b"\r\n")
