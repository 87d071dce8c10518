"""Google's own client and the board see the same bucket, so that what stands in for the service is not only ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage as google

from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper_ledger import ABSENT
from spotkeeper_ledger.gcs import GcsBoard


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[google.Bucket]:
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    with serving_storage(Storage(page=2)) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield google.Client(project="p", credentials=AnonymousCredentials()).bucket(BUCKET)


def test_googles_client_and_the_board_see_the_same_objects_and_generations(client: google.Bucket) -> None:
    board = GcsBoard(BUCKET, "run")
    version = board.write("a b/é+%.json", b"1", expect=ABSENT)
    blob = client.get_blob("run/a b/é+%.json")
    assert (blob.download_as_bytes(), str(blob.generation), blob.size) == (b"1", version, 1)
    blob.upload_from_string(b"22", if_generation_match=int(version))
    found = board.read("a b/é+%.json")
    assert found is not None
    assert (found.body, found.version) == (b"22", str(blob.generation))
    assert [(entry.key, entry.version, entry.bytes) for entry in board.list("a")] == [
        ("a b/é+%.json", found.version, 2)
    ]
    assert abs(next(entry.modified_at for entry in board.list("")) - blob.updated.timestamp()) < 0.01


def test_the_conditions_mean_the_same_to_googles_client(client: google.Bucket) -> None:
    blob = client.blob("k")
    blob.upload_from_string(b"1", if_generation_match=0)
    for expected in (0, 1):
        with pytest.raises(PreconditionFailed):
            blob.upload_from_string(b"2", if_generation_match=expected)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=1)
    with pytest.raises(NotFound):
        client.blob("missing").download_as_bytes()
    assert [found.name for found in client.client.list_blobs(client)] == ["k"]
    blob.delete()
    assert GcsBoard(BUCKET).read("k") is None


def test_pages_and_folders_as_googles_client_lists_them(client: google.Bucket) -> None:
    names = [f"fleets/{fleet}/{name}" for fleet in "abc" for name in ("spec.json", "z.json")]
    for name in names:
        client.blob(name).upload_from_string(b"")
    board = GcsBoard(BUCKET)
    assert [entry.key for entry in board.list("fleets/")] == names
    assert [entry.key for entry in board.list("fleets/b")] == names[2:4]
    assert list(board.list_folders("fleets/")) == ["a", "b", "c"]


def test_a_large_object_goes_up_in_several_requests_and_comes_down_in_parts(client: google.Bucket) -> None:
    body = bytes(range(256)) * 3000
    blob = client.blob("large", chunk_size=256 * 1024)
    blob.upload_from_string(body, if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        client.blob("large", chunk_size=256 * 1024).upload_from_string(body, if_generation_match=0)
    assert client.blob("large").download_as_bytes() == body
    assert client.blob("large").download_as_bytes(start=1000, end=1999) == body[1000:2000]
    assert client.get_blob("large").crc32c == blob.crc32c
