"""A bucket on this machine that knows what the store uses of S3, and fails, request by request, as a test asks."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

CUT, CUT_AFTER, HALF, REFUSE, DENY = "cut", "cut after", "half", "refuse", "deny"
"""Hang up before a request has its effect or after it; in the middle of a body; answer with 503, or with 403."""


@dataclass(frozen=True)
class Asked:
    number: int
    """From 0, in order of arrival."""
    method: str
    key: str


@dataclass
class Bucket:
    """What is in it, and what was asked of it. ``rule`` says what becomes of a request; it may also wait."""

    uri: str = ""
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    rule: Callable[[Asked], str] = lambda _: ""
    after: Callable[[Asked], object] = lambda _: None
    """Called when a request has had its effect, before it is answered."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def note(self, method: str, key: str) -> Asked:
        with self.lock:
            self.asked.append(Asked(len(self.asked), method, key))
            return self.asked[-1]

    def reset(self, rule: Callable[[Asked], str] = lambda _: "") -> None:
        with self.lock:
            self.asked.clear()
            self.rule = rule


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    bucket: Bucket

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        url = urlsplit(self.path)
        key = unquote(url.path).partition("/")[2].partition("/")[2]
        asked = self.bucket.note(self.command, key or "?" + url.query)
        fate = self.bucket.rule(asked)
        body = self.rfile.read(size // 2 if fate == HALF and size else size)
        cut_off = fate == CUT or (fate == HALF and size > 0)
        if cut_off or len(body) < size:  # half a body is none, as in S3
            self.close_connection = True
            return
        if fate in (REFUSE, DENY):
            self._answer(503 if fate == REFUSE else 403, b"<Error><Code>Refused</Code></Error>")
            return
        with self.bucket.lock:
            status, answer, headers = self._done(key, url.query, body)
        self.bucket.after(asked)
        if fate == CUT_AFTER:
            self.close_connection = True
            return
        self._answer(status, answer, headers, half=fate == HALF)

    do_GET = do_PUT = do_DELETE = handle_any

    def _done(self, key: str, query: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        objects = self.bucket.objects
        found = objects.get(key)
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, b"", {}
        if self.command == "GET" and not key:
            return 200, self._listing({name: values[0] for name, values in parse_qs(query).items()}), {}
        if self.command == "GET":
            if found is None:
                return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
            return 200, found[0], {"ETag": _etag(found[0])}
        expected, absent = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if (absent and found) or (expected and (found is None or _etag(found[0]) != expected)):
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
        objects[key] = (body, datetime.now(UTC))
        return 200, b"", {"ETag": _etag(body)}

    def _listing(self, query: dict[str, str]) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{at.isoformat()}</LastModified>"
            f"<ETag>{escape(_etag(body))}</ETag><Size>{len(body)}</Size></Contents>"
            for key, (body, at) in sorted(self.bucket.objects.items())
            if key.startswith(query.get("prefix", ""))
        )
        return f"<ListBucketResult>{entries}</ListBucketResult>".encode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.wfile.flush()
        self.close_connection |= half

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that were killed."""


@contextmanager
def a_bucket() -> Iterator[Bucket]:
    """Serve an empty bucket, which the environment leads to."""
    bucket = Bucket()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_REGION", "us-east-1")
        bucket.uri = "s3://checkpoints/run"
        try:
            yield bucket
        finally:
            server.shutdown()
            server.server_close()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'
