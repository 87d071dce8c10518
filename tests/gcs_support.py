"""A bucket of Google Cloud Storage over the JSON API: generations, and the conditions on them that every verb takes.

It knows what Google's own client and ours ask for, and no more: no versions of old, no permissions, no checksums.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "ledger-of-tests"
CONDITIONS = ("ifGenerationMatch", "ifGenerationNotMatch")


@dataclass
class Kept:
    body: bytes
    generation: int
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    def about(self, name: str) -> dict[str, Any]:
        at = self.updated.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        size, generation = str(len(self.body)), str(self.generation)  # the API sends 64-bit integers as strings
        return {
            "kind": "storage#object", "name": name, "bucket": BUCKET, "generation": generation, "metageneration": "1",
            "size": size, "updated": at, "timeCreated": at, "contentType": "application/octet-stream",
        }  # fmt: skip


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error as the API words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}
        self.reply = Reply(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json"})


class Storage:
    """One bucket."""

    def __init__(self, *, page: int = 1000) -> None:
        self.objects: dict[str, Kept] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._page, self._generation = page, 1_700_000_000_000_000
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self._lock:
            self.asked.append((method, target, headers))
            try:
                return self._do(method, url.path, query, headers, body)
            except Refused as refused:
                return refused.reply

    def _do(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        upload = path.startswith("/upload/")
        parts = path.removeprefix("/upload").removeprefix("/download").split("/")
        if parts[:4] != ["", "storage", "v1", "b"] or parts[5:6] != ["o"]:
            raise Refused(400, f"no such method here: {method} {path}")
        if unquote(parts[4]) != BUCKET:
            raise Refused(404, "The specified bucket does not exist.")
        if method == "POST" and upload:
            return self._insert(query, headers, body)
        if len(parts) == 6 and method == "GET":
            return self._list(query)
        name = unquote(parts[6])
        kept = self._found(name, query)
        if method == "DELETE":
            del self.objects[name]
            return Reply(204)
        if method != "GET":
            raise Refused(405, f"no such method here: {method} {path}")
        if query.get("alt") == "media":
            return Reply(200, kept.body, {"X-Goog-Generation": str(kept.generation)})
        return _json(kept.about(name))

    def _insert(self, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        name = query.get("name", "")
        if query.get("uploadType") == "multipart":
            about, body = _parts(headers["content-type"], body)
            name = name or about["name"]
        elif query.get("uploadType") != "media":
            raise Refused(400, f"uploadType: {query.get('uploadType')}")
        self._check(self.objects.get(name), query)
        self._generation += 1
        self.objects[name] = Kept(body, self._generation)
        return _json(self.objects[name].about(name))

    def _found(self, name: str, query: dict[str, str]) -> Kept:
        kept = self.objects.get(name)
        if kept is None:
            raise Refused(
                412 if query.get("ifGenerationMatch", "0") != "0" else 404, f"No such object: {BUCKET}/{name}"
            )
        self._check(kept, query)
        return kept

    def _check(self, kept: Kept | None, query: dict[str, str]) -> None:
        now = kept.generation if kept else 0
        for condition in CONDITIONS:
            if condition not in query:
                continue
            if not query[condition].isdigit():
                raise Refused(400, f"Invalid value for: {condition}")
            same = int(query[condition]) == now
            if same is not (condition == "ifGenerationMatch"):
                raise Refused(412 if condition == "ifGenerationMatch" else 304, "At least one condition did not hold.")

    def _list(self, query: dict[str, str]) -> Reply:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, folders = [], []
        for name in sorted(self.objects):
            rest = name.removeprefix(prefix)
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folder = prefix + rest.split(delimiter)[0] + delimiter
                folders += [] if folder in folders else [folder]
            else:
                items.append(self.objects[name].about(name))
        begin = int(query.get("pageToken", "0"))
        page: dict[str, Any] = {"items": items[begin : begin + self._page]}
        if begin == 0:
            page["prefixes"] = folders
        if begin + self._page < len(items):
            page["nextPageToken"] = str(begin + self._page)
        return _json({name: value for name, value in page.items() if value})


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    about, content = message.iter_parts()
    return json.loads(about.get_content() if about.get_content_maintype() == "text" else about.get_payload()), bytes(
        content.get_payload(decode=True) or b""
    )


@contextmanager
def serving_storage(storage: Storage) -> Iterator[str]:
    """Serve on a free loopback port; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = storage.answer(self.command, self.path, headers, body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            content = b"" if reply.status in (204, 304) else reply.body
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
