"""The S3 board against a server that answers as a test wants; what it shares with other boards is in test_board."""

import time

import pytest

from ledger_support import Answer, Asked, answering
from spotkeeper_ledger import (
    ABSENT,
    Conflict,
    Denied,
    MalformedDocument,
    NodeNotice,
    Unavailable,
    load,
)
from spotkeeper_ledger.codec import MAX_DOCUMENT_BYTES
from spotkeeper_ledger.s3 import S3Board, _address


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def board_at(url: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 5.0) -> S3Board:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    return S3Board("b", timeout=timeout)


@pytest.mark.parametrize("status", [409, 412])
def test_both_answers_to_a_lost_race_are_a_conflict(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(status)) as server:
        board = board_at(server.url, monkeypatch)
        with pytest.raises(Conflict):
            board.write("k", b"1", expect='"etag"')
        with pytest.raises(Conflict):
            board.write("k", b"1", expect=ABSENT)
    assert [(a.headers.get("if-match"), a.headers.get("if-none-match")) for a in server.asked] == [
        ('"etag"', None),
        (None, "*"),
    ]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_faults_and_throttles_are_tried_again_within_the_time(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Answer(status), Answer(status), Answer(200, {"ETag": '"1"'}, b"body")])
    with answering(lambda _: next(answers)) as server:
        found = board_at(server.url, monkeypatch).read("k")
    assert found is not None
    assert found.body == b"body"


def test_a_bucket_that_stays_away_is_unavailable_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(503)) as server:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="503"):
            board_at(server.url, monkeypatch, timeout=0.5).read("k")
    assert time.monotonic() - started < 2


def test_a_write_whose_first_answer_was_lost_finds_that_it_had_won(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: dict[str, bytes] = {}

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, {"ETag": '"mine"'}, stored["k"])
        if stored:
            return Answer(412)
        stored["k"] = asked.body
        return Answer(500)

    with answering(answer) as server:
        assert board_at(server.url, monkeypatch).write("k", b"1", expect=ABSENT) == '"mine"'


def test_a_retried_write_that_somebody_else_won_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    puts = iter([Answer(500), Answer(412)])
    with (
        answering(lambda a: next(puts) if a.method == "PUT" else Answer(200, {"ETag": '"x"'}, b"theirs")) as server,
        pytest.raises(Conflict),
    ):
        board_at(server.url, monkeypatch).write("k", b"1", expect=ABSENT)


@pytest.mark.parametrize("status", [401, 403])
def test_no_permission_is_told_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering(lambda _: Answer(status, body=b"<Error><Code>AccessDenied</Code></Error>")) as server,
        pytest.raises(Denied, match="AccessDenied"),
    ):
        board_at(server.url, monkeypatch).read("k")
    assert len(server.asked) == 2  # the object, and whether it is there at all


def test_a_missing_object_that_s3_will_not_admit_is_told_from_one_that_is_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: Asked) -> Answer:
        if "list-type" not in asked.path:
            return Answer(403, body=b"<Error><Code>AccessDenied</Code></Error>")
        item = (
            "<Contents><Key>there</Key><ETag>e</ETag><Size>1</Size>"
            "<LastModified>2026-11-01T00:00:00Z</LastModified></Contents>"
        )
        return Answer(body=f"<L>{item if asked.path.endswith('prefix=there') else ''}</L>".encode())

    with answering(answer) as server:
        board = board_at(server.url, monkeypatch)
        assert board.read("missing") is None
        assert board.read_changed("missing", '"v"') is None
        with pytest.raises(Denied, match="AccessDenied"):
            board.read("there")


@pytest.mark.parametrize("status", [301, 400])
def test_an_answer_nobody_expects_is_not_taken_for_an_object(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering(lambda _: Answer(status, body=b"<Error><Code>Odd</Code></Error>")) as server,
        pytest.raises(Unavailable, match="Odd"),
    ):
        board_at(server.url, monkeypatch).read("k")


def test_a_missing_bucket_is_not_an_absent_object(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'<?xml version="1.0"?><Error><Code>NoSuchBucket</Code></Error>'
    with answering(lambda _: Answer(404, body=body)) as server, pytest.raises(Unavailable, match="NoSuchBucket"):
        board_at(server.url, monkeypatch).read("k")


def test_a_listing_goes_on_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(asked: Asked) -> Answer:
        second = "continuation-token=t%2B1" in asked.path
        item = (
            f'<Contents><Key>p/{1 + second}%20x</Key><ETag>"e"</ETag><Size>1</Size>'
            "<LastModified>2026-11-01T00:00:00.000Z</LastModified></Contents>"
        )
        more = "" if second else "<NextContinuationToken>t+1</NextContinuationToken>"
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        return Answer(body=f'<ListBucketResult xmlns="{namespace}">{item}{more}</ListBucketResult>'.encode())

    with answering(page) as server:
        entries = list(board_at(server.url, monkeypatch).list("p/"))
    assert [entry.key for entry in entries] == ["p/1 x", "p/2 x"]
    assert entries[0].modified_at == 1793491200


@pytest.mark.parametrize(
    ("bucket", "region", "expected"),
    [
        ("b", "eu-west-1", ("https://b.s3.eu-west-1.amazonaws.com", "")),
        ("b", "cn-north-1", ("https://b.s3.cn-north-1.amazonaws.com.cn", "")),
        ("a.b", "eu-west-1", ("https://s3.eu-west-1.amazonaws.com", "/a.b")),
    ],
)
def test_where_a_bucket_answers(bucket, region, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert _address(bucket, region) == expected


def test_an_object_that_is_too_long_is_no_document_and_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"padding": "' + b"x" * 9_000_000
    with answering(lambda _: Answer(200, {"ETag": '"1"'}, body)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        found = S3Board("b", timeout=5, most_bytes=MAX_DOCUMENT_BYTES).read("k")
    assert found is not None
    with pytest.raises(MalformedDocument, match=f"{MAX_DOCUMENT_BYTES + 1} bytes, expected at most"):
        load(NodeNotice, found.body)
