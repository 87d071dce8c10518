"""Compute Engine's metadata server, as tests want it: values with versions, requests that hang for a change, faults."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NUMBER = "1844674407370955161"
"""The id of every instance here: larger than a JSON number may be."""
_etags = itertools.count(1)


@dataclass
class GcpMetadata:
    """One node's metadata, by path below ``instance/``."""

    values: dict[str, str]
    host: str = ""
    status: int = 200
    """What every request is answered with; others than 200 have no value."""
    flavor: str = "Google"
    etags: bool = True
    silent: bool = False
    """Whether requests are taken and never answered."""
    asked: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    versions: dict[str, str] = field(default_factory=dict)
    waiting: int = 0

    def set(self, path: str, value: str) -> None:
        """Change a value, as the platform does; who waits for that is answered."""
        with self.changed:
            self.values[path] = value
            self.versions[path] = f"e{next(_etags):x}"
            self.changed.notify_all()

    def fail(self, status: int) -> None:
        """Answer all requests with a status, those that wait already among them."""
        with self.changed:
            self.status = status
            self.changed.notify_all()

    def answer(self, target: str) -> tuple[int, str, str]:
        """Status, value and ETag."""
        parts = urlsplit(target)
        path = parts.path.removeprefix("/computeMetadata/v1/instance/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.changed:
            self.asked.append(target)
            if query.get("wait_for_change") == "true":
                self._wait(path, query)
            self.changed.wait_for(lambda: not self.silent)
            if self.status != 200 or path not in self.values:
                return (self.status if self.status != 200 else 404), "", ""
            return 200, self.values[path], self.versions.setdefault(path, f"e{next(_etags):x}")

    def _wait(self, path: str, query: dict[str, str]) -> None:
        self.waiting += 1
        self.changed.notify_all()
        self.changed.wait_for(
            lambda: self.status != 200 or self.versions.get(path) != query.get("last_etag", "0"),
            float(query.get("timeout_sec", 3600)),
        )
        self.waiting -= 1

    def wait_until_asked(self, seconds: float = 10.0) -> None:
        """Return once a request waits for a change."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.waiting > 0, seconds), "nobody waits for a change"


@contextmanager
def serving_gcp(name: str = "node-1", *, spot: bool = True) -> Iterator[GcpMetadata]:
    metadata = GcpMetadata(
        {
            "name": name,
            "id": NUMBER,
            "zone": "projects/123/zones/europe-west4-b",
            "scheduling/preemptible": "TRUE" if spot else "FALSE",
            "network-interfaces/0/ip": "10.0.0.9",
            "preempted": "FALSE",
        }
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            if self.headers.get("Metadata-Flavor") != "Google":
                self.send_error(403)
                return
            status, text, etag = metadata.answer(self.path)
            self.send_response(status)
            if metadata.flavor:
                self.send_header("Metadata-Flavor", metadata.flavor)
            if etag and metadata.etags:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """An agent that was killed has left its connections."""

    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    metadata.host = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield metadata
    finally:
        metadata.silent = False
        metadata.fail(503)
        server.shutdown()
        server.server_close()


def seconds(began: float) -> float:
    return time.monotonic() - began
