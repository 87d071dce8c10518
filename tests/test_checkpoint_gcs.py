"""Checkpoints in a bucket of Google's, as the local Cloud Storage plays it: object generations and their conditions.

The store's client is the real one (obstore).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoint_support import PARTS
from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper_lab.local_gcp.web import Reply
from spotkeeper_ledger import ABSENT, ANY, Conflict, Unavailable
from spotkeeper_training import CheckpointStore, StaleGeneration

pytest.importorskip("obstore")

from spotkeeper_training.places import open_documents

URI = f"gs://{BUCKET}/run"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Storage]:
    account = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    storage = Storage()
    with serving_storage(storage) as url:
        path = tmp_path / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": url}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
        yield storage


def begun(generation: int) -> CheckpointStore:
    store = CheckpointStore(URI, generation=generation, rank=0, world_size=1, transfer_seconds=5)
    store._objects._piece_bytes = 400_000
    store.begin()
    return store


def test_what_was_published_is_loaded_by_the_next_generation(google: Storage) -> None:
    parts = {**PARTS, "large": bytes(range(256)) * 5000, "of two": b""}
    parts.pop("of two")
    store = begun(1)
    assert store.latest() is None
    published = [store.publish(step, parts) for step in (1, 2, 3)][-1]
    assert len([key for key in google.objects if "~" in key]) == 2 * 4, "two checkpoints are left, of four pieces each"
    store = begun(2)
    assert store.latest() == published
    assert store.load(published).parts == parts


def test_an_older_generation_is_refused(google: Storage) -> None:
    old = begun(1)
    old.publish(1, PARTS)
    begun(2).publish(2, PARTS)
    with pytest.raises(StaleGeneration):
        old.publish(3, PARTS)


def test_several_buffers_arrive_as_one_body(google: Storage) -> None:
    body = memoryview(b"abcdef")
    published = begun(1).publish(1, {"weights": [body[4:], body[:2]]})
    assert begun(2).load(published).parts == {"weights": b"efab"}


def test_damage_is_found(google: Storage) -> None:
    store = begun(1)
    before, published = store.publish(1, PARTS), store.publish(2, PARTS)
    key = next(key for key in google.objects if "s2" in key and key.endswith("/weights.npz"))
    google.buckets.write(BUCKET, key, b"v" * 1000, {})
    assert begun(2).load(published).checkpoint == before
    google.buckets.delete(BUCKET, key, {})
    assert begun(3).latest() == before


def test_of_writers_at_once_one_wins(google: Storage) -> None:
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


def test_a_bucket_that_refuses(google: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    board = open_documents(URI, seconds=0.3)
    monkeypatch.setattr(google, "answer", lambda *_: Reply(503))
    with pytest.raises(Unavailable):
        board.write("head.json", b"0", expect=ABSENT)
    with pytest.raises(Unavailable):
        board.read("head.json")


def test_without_a_bucket_it_is_no_place() -> None:
    with pytest.raises(ValueError, match="expected gs://bucket"):
        open_documents("gs:///run", seconds=1)
