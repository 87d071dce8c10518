from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from spotkeeper_lab.forger import REFUSED, WRITTEN, attempt, count, knowledge
from spotkeeper_lab.forgeries import Forgery
from spotkeeper_ledger import ANY, Denied, NodeReport, dump, keys, open_board
from spotkeeper_ledger.board import Board

CONFIG = {"fleet": "shop", "incarnation": "AROA", "cloud": "aws", "node_prefix": "AROA:"}


class Guarded:
    """A board that lets only one folder be written, as a node's role does."""

    def __init__(self, board: Board, folder: str) -> None:
        self._board, self._folder = board, folder

    def write(self, key: str, body: bytes, *, expect: object) -> str:
        if not key.startswith(self._folder):
            raise Denied(key)
        return self._board.write(key, body, expect=ANY)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return open_board(tmp_path.as_uri())


def report(board: Board, node: str) -> bytes:
    body = dump(NodeReport("shop", "AROA", node, "boot", 1.0))
    board.write(keys.report("shop", f"AROA:{node}"), body, expect=ANY)
    return body


def test_the_ledger_tells_a_node_whom_it_could_harm(board: Board) -> None:
    report(board, "i-1")
    body = report(board, "i-2")
    found = knowledge(board, CONFIG, "i-1")
    assert (found.node, found.victim, found.report_of_victim) == ("i-1", "i-2", body)
    assert found.notice_key == "fleets/shop/nodes/AROA:i-1/notice.json"


def test_there_has_to_be_somebody_to_harm(board: Board) -> None:
    report(board, "i-1")
    with pytest.raises(LookupError, match="no report of another node than i-1"):
        knowledge(board, CONFIG, "i-1")


def test_an_attempt_is_written_or_refused(board: Board) -> None:
    guarded = Guarded(board, "mine/")
    assert attempt(guarded, Forgery("forged", "x", "mine/x", b"1")) == WRITTEN  # type: ignore[arg-type]  # writes only
    assert attempt(guarded, Forgery("foreign", "x", "theirs/x", b"1")) == REFUSED  # type: ignore[arg-type]  # as above
    assert [entry.key for entry in board.list("")] == ["mine/x"]


def lines(*entries: object) -> Iterable[str]:
    return [json.dumps(entry) + "\n" for entry in entries]


def test_a_journal_is_counted_by_sort_and_outcome() -> None:
    written, refused = {"sort": "forged", "outcome": WRITTEN}, {"sort": "foreign", "outcome": REFUSED}
    expected = {"forged": {"written": 2, "refused": 0}, "foreign": {"written": 0, "refused": 1}}
    assert count(lines(written, refused, written)) == (expected, False)
    assert count([*lines(written, refused, written, {"at": 1, "end": True}), '{"sort": "for']) == (expected, True)
    assert count([]) == ({}, False)
