"""Checkpoints in a bucket of Google's, as a small server plays it: object generations and their conditions.

The store's client is the real one (obstore); what the server knows is what Google documents of its XML API.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from checkpoint_support import PARTS
from ledger_support import Answer, Asked, Server, answering
from spotkeeper_ledger import ABSENT, ANY, Conflict, Unavailable
from spotkeeper_training import CheckpointStore, StaleGeneration

pytest.importorskip("obstore")

from spotkeeper_training.places import open_documents


@dataclass
class Google:
    """A bucket. Every write gives an object a new generation."""

    objects: dict[str, tuple[bytes, int, datetime]] = field(default_factory=dict)
    writes: int = 1000
    refuses: bool = False

    def answer(self, asked: Asked) -> Answer:
        url = urlsplit(asked.path)
        key = unquote(url.path).removeprefix("/bench-bucket").removeprefix("/")
        if self.refuses:
            return Answer(503)
        found = self.objects.get(key)
        if asked.method == "GET" and not key:
            return Answer(body=self._listing({name: values[0] for name, values in parse_qs(url.query).items()}))
        if asked.method == "PUT":
            return self._put(key, asked)
        if found is None:
            return Answer(404, body=b"<Error><Code>NoSuchKey</Code></Error>")
        if asked.method == "DELETE":
            del self.objects[key]
            return Answer(204)
        return Answer(headers=self._about(key), body=found[0])

    def _put(self, key: str, asked: Asked) -> Answer:
        wanted = asked.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != self.objects.get(key, (b"", 0, None))[1]:
            return Answer(412, body=b"<Error><Code>PreconditionFailed</Code></Error>")
        self.writes += 1
        self.objects[key] = (asked.body, self.writes, datetime.now(UTC))
        return Answer(headers=self._about(key))

    def _about(self, key: str) -> dict[str, str]:
        _, generation, at = self.objects[key]
        return {
            "ETag": f'"{generation}"',
            "x-goog-generation": str(generation),
            "Last-Modified": format_datetime(at, usegmt=True),
        }

    def _listing(self, query: dict[str, str]) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Generation>{generation}</Generation><LastModified>{at.isoformat()}"
            f'</LastModified><ETag>"{generation}"</ETag><Size>{len(body)}</Size></Contents>'
            for key, (body, generation, at) in sorted(self.objects.items())
            if key.startswith(query.get("prefix", ""))
        )
        return f"<ListBucketResult>{entries}</ListBucketResult>".encode()


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def server(google: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    account = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    with answering(google.answer) as served:
        path = tmp_path / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": served.url}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
        yield served


URI = "gs://bench-bucket/run"


def begun(generation: int) -> CheckpointStore:
    store = CheckpointStore(URI, generation=generation, rank=0, world_size=1, transfer_seconds=5)
    store._objects._piece_bytes = 400_000
    store.begin()
    return store


def test_what_was_published_is_loaded_by_the_next_generation(server: Server, google: Google) -> None:
    parts = {**PARTS, "large": bytes(range(256)) * 5000, "of two": b""}
    parts.pop("of two")
    store = begun(1)
    assert store.latest() is None
    published = [store.publish(step, parts) for step in (1, 2, 3)][-1]
    assert len([key for key in google.objects if "~" in key]) == 2 * 4, "two checkpoints are left, of four pieces each"
    store = begun(2)
    assert store.latest() == published
    assert store.load(published).parts == parts


def test_an_older_generation_is_refused(server: Server) -> None:
    old = begun(1)
    old.publish(1, PARTS)
    begun(2).publish(2, PARTS)
    with pytest.raises(StaleGeneration):
        old.publish(3, PARTS)


def test_several_buffers_arrive_as_one_body(server: Server) -> None:
    body = memoryview(b"abcdef")
    published = begun(1).publish(1, {"weights": [body[4:], body[:2]]})
    assert begun(2).load(published).parts == {"weights": b"efab"}


def test_damage_is_found(server: Server, google: Google) -> None:
    store = begun(1)
    before, published = store.publish(1, PARTS), store.publish(2, PARTS)
    key = next(key for key in google.objects if "s2" in key and key.endswith("/weights.npz"))
    google.objects[key] = (b"v" * 1000, *google.objects[key][1:])
    assert begun(2).load(published).checkpoint == before
    del google.objects[key]
    assert begun(3).latest() == before


def test_of_writers_at_once_one_wins(server: Server) -> None:
    """The fence: a write that names a generation of the object, while others write it."""
    board = open_documents(URI, seconds=5)
    version = board.write("head.json", b"0", expect=ABSENT)
    with pytest.raises(Conflict):
        board.write("head.json", b"1", expect=ABSENT)
    won: list[int] = []

    def write(number: int) -> None:
        try:
            open_documents(URI, seconds=5).write("head.json", str(number).encode(), expect=version)
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = board.read("head.json")
    assert found is not None
    assert [found.body] == [str(number).encode() for number in won]
    assert board.read_changed("head.json", found.version) is None
    assert board.read_changed("head.json", version) == found
    assert board.write("head.json", b"2", expect=ANY) != found.version
    board.delete("head.json")
    board.delete("head.json")
    assert board.read("head.json") is None


def test_a_bucket_that_refuses(server: Server, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    board = open_documents(URI, seconds=0.3)
    google.refuses = True
    with pytest.raises(Unavailable):
        board.write("head.json", b"0", expect=ABSENT)
    with pytest.raises(Unavailable):
        board.read("head.json")


def test_without_a_bucket_it_is_no_place() -> None:
    with pytest.raises(ValueError, match="expected gs://bucket"):
        open_documents("gs:///run", seconds=1)
