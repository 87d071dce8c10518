"""The board in Cloud Storage, against Google's own client and against answers that a test writes down; what it shares
with other boards is in test_board."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage as google

from gcp_support import serving_gcp
from gcs_support import BUCKET, Storage, serving_storage
from ledger_support import Answer, Asked, answering
from spotkeeper_ledger import ABSENT, ANY, Conflict, Denied, Unavailable
from spotkeeper_ledger.gcs import GcsBoard


@pytest.fixture(autouse=True)
def no_machine_of_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    storage = Storage(page=2)
    with serving_storage(storage) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield storage


@pytest.fixture
def client(bucket: Storage) -> google.Bucket:
    return google.Client(project="p", credentials=AnonymousCredentials()).bucket(BUCKET)


def board_at(url: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 5.0) -> GcsBoard:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return GcsBoard("b", timeout=timeout)


def error(status: int, message: str) -> Answer:
    return Answer(status, body=json.dumps({"error": {"code": status, "message": message}}).encode())


# ---------------------------------------------------------------- what stands in for the service, by Google's client


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


# ---------------------------------------------------------------- answers that are none


def test_a_write_whose_first_answer_was_lost_finds_that_it_had_won(
    bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        reply = bucket.answer(asked.method, asked.path, asked.headers, asked.body)
        if asked.method == "POST" and not lost:
            lost.append(asked)
            return Answer(503)
        return Answer(reply.status, reply.headers, reply.body)

    with answering(answer) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        version = GcsBoard(BUCKET, timeout=20).write("k", b"1", expect=ABSENT)
    assert version == str(bucket.objects["k"].generation)


def test_a_retried_write_that_somebody_else_won_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = iter([Answer(500), error(412, "At least one condition did not hold.")])
    theirs = Answer(200, {"X-Goog-Generation": "7"}, b"theirs")
    with (
        answering(lambda asked: next(posts) if asked.method == "POST" else theirs) as server,
        pytest.raises(Conflict, match="k: expected no object"),
    ):
        board_at(server.url, monkeypatch).write("k", b"1", expect=ABSENT)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_faults_and_throttles_are_tried_again_within_the_time(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Answer(status), Answer(status), Answer(200, {"X-Goog-Generation": "7"}, b"body")])
    with answering(lambda _: next(answers)) as server:
        found = board_at(server.url, monkeypatch).read("k")
    assert found is not None
    assert (found.body, found.version) == (b"body", "7")


def test_a_bucket_that_stays_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering(lambda _: error(503, "Backend Error")) as server,
        pytest.raises(Unavailable, match="503 Back"),
    ):
        board_at(server.url, monkeypatch, timeout=0.3).read("k")


def test_no_bucket_is_no_missing_object(bucket: Storage) -> None:
    board = GcsBoard("another-bucket")
    for call in (
        lambda: board.read("k"),
        lambda: list(board.list("")),
        lambda: board.write("k", b"", expect=ANY),
        lambda: board.delete("k"),
    ):
        with pytest.raises(Unavailable, match="bucket does not exist"):
            call()


@pytest.mark.parametrize("answer", [Answer(200, body=b"<html>"), Answer(200, body=b"[]"), Answer(301), Answer(400)])
def test_an_answer_nobody_expects_is_taken_for_nothing(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: answer) as server:
        board = board_at(server.url, monkeypatch)
        with pytest.raises(Unavailable):
            list(board.list(""))
        with pytest.raises(Unavailable):
            board.write("k", b"", expect="7")


def test_a_missing_object_that_nobody_admits_is_told_from_one_that_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Answer:
        if "alt=media" in asked.path:
            return error(403, "Permission 'storage.objects.get' denied on resource (or it may not exist).")
        item = {"name": "there", "generation": "7", "size": "1", "updated": "2026-11-01T00:00:00.000Z"}
        return Answer(body=json.dumps({"items": [item]} if "prefix=there" in asked.path else {}).encode())

    with answering(answer) as server:
        board = board_at(server.url, monkeypatch)
        assert board.read("missing") is None
        assert board.read_changed("missing", "7") is None
        with pytest.raises(Denied, match=r"storage\.objects\.get"):
            board.read("there")


def test_no_more_of_an_object_is_read_than_allowed(bucket: Storage) -> None:
    GcsBoard(BUCKET).write("k", b"x" * 5000, expect=ANY)
    found = GcsBoard(BUCKET, most_bytes=100).read("k")
    assert found is not None
    assert len(found.body) == 101


# ---------------------------------------------------------------- who asks


def test_it_asks_with_the_token_of_the_machine_and_renews_it(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_gcp() as metadata:
        metadata.values["service-accounts/default/token"] = json.dumps(
            {"access_token": "one", "expires_in": 1, "token_type": "Bearer"}
        )
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        board = GcsBoard(BUCKET)
        board.read("k")
        monkeypatch.setattr("spotkeeper_ledger.renewed.RETRY_SECONDS", 0)
        metadata.values["service-accounts/default/token"] = json.dumps({"access_token": "two", "expires_in": 3600})
        monkeypatch.setattr("spotkeeper_ledger.renewed.time.time", lambda: 4e9)
        board.read("k")
        board.read("k")
        assert [headers["authorization"] for _, _, headers in bucket.asked] == [
            "Bearer one",
            "Bearer two",
            "Bearer two",
        ]
        assert sum("token" in asked for asked in metadata.asked) == 2


def test_a_machine_without_a_service_account_is_told_what_is_missing(
    bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_gcp() as metadata:
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        with pytest.raises(Denied, match="no service account"):
            GcsBoard(BUCKET).write("k", b"", expect=ANY)
        metadata.values["service-accounts/default/token"] = "{}"
        with pytest.raises(Unavailable, match="no usable token"):
            GcsBoard(BUCKET, timeout=0.2).write("k", b"", expect=ANY)
    assert bucket.asked == []
