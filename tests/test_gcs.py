"""The board in Cloud Storage, against answers that a test writes down.

What it shares with other boards is in test_board, and Google's own client looks at the same objects in by_google.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

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


def board_at(url: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 5.0) -> GcsBoard:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return GcsBoard("b", timeout=timeout)


def error(status: int, message: str) -> Answer:
    return Answer(status, body=json.dumps({"error": {"code": status, "message": message}}).encode())


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
        pytest.raises(Unavailable, match=r"503 Back|no answer in time"),
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
        metadata.give_token("one", expires_in=1, token_type="Bearer")
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        board = GcsBoard(BUCKET)
        board.read("k")
        monkeypatch.setattr("spotkeeper_ledger.renewed.RETRY_SECONDS", 0)
        metadata.give_token("two")
        monkeypatch.setattr("spotkeeper_ledger.renewed.time.time", lambda: 4e9)
        board.read("k")
        board.read("k")
        assert [headers["authorization"] for _, _, headers in bucket.asked] == [
            "Bearer one",
            "Bearer two",
            "Bearer two",
        ]
        assert sum("token" in path for path, _ in metadata.asked) == 2


def test_a_machine_without_a_service_account_is_told_what_is_missing(
    bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_gcp() as metadata:
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        with pytest.raises(Denied, match="no service account"):
            GcsBoard(BUCKET).write("k", b"", expect=ANY)
        metadata.values["instance/service-accounts/default/token"] = "{}"
        with pytest.raises(Unavailable, match="no usable token"):
            GcsBoard(BUCKET, timeout=0.2).write("k", b"", expect=ANY)
    assert bucket.asked == []
