"""A bucket of the local Cloud Storage, served by itself, by both of its APIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from spotkeeper_lab.local_gcp.buckets import Buckets, Stored
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.refusals import Refused
from spotkeeper_lab.local_gcp.server import Server
from spotkeeper_lab.local_gcp.storage_json import StorageJson
from spotkeeper_lab.local_gcp.storage_xml import StorageXml
from spotkeeper_lab.local_gcp.web import Reply, Request, reply

BUCKET = "ledger-of-tests"


class Storage:
    """One bucket. ``asked`` is what was asked of it: verb, target and headers."""

    def __init__(self, *, page: int = 1000) -> None:
        self.buckets = Buckets()
        self.buckets.add(BUCKET)
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.url = ""
        self._json = StorageJson(self.buckets, discovery("storage.v1"), lambda: self.url, page)
        self._xml = StorageXml(self.buckets)

    @property
    def objects(self) -> dict[str, Stored]:
        with self.buckets.lock:
            bucket = self.buckets.find(BUCKET)
            return {name: found for name in bucket.names() if (found := bucket.get(name))}

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        request = Request(method, target, {name.lower(): value for name, value in headers.items()}, body)
        self.asked.append((method, target, request.headers))
        if not request.path.startswith(("/storage/", "/upload/", "/download/", "/resumable/")):
            return self._xml.answer(request)
        try:
            return self._json.answer(self._json.asked(request))
        except Refused as refused:
            return reply(refused.body(), refused.status)


@contextmanager
def serving_storage(storage: Storage) -> Iterator[str]:
    """Serve on a free loopback port; yields the URL."""
    failed: list[str] = []
    server = Server(lambda asked: storage.answer(asked.verb, asked.target, asked.headers, asked.body), failed.append)
    storage.url = server.endpoint
    try:
        yield server.endpoint
    finally:
        server.close()
    assert not failed, failed[0]
