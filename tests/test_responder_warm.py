"""What a process remembers of the ledger between batches, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from responder_support import spec
from responder_world import FlakyBoard, World
from spotkeeper_ledger import ABSENT, INTERRUPTION, Conflict, Members, dump, keys, open_board
from spotkeeper_responder import NoticeHeard
from spotkeeper_responder.warm import REMEMBERED_SECONDS, WarmBoard

FLEET = spec().fleet
REMEMBERED = [keys.MEMBERS, keys.spec(FLEET)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(tmp_path: Path) -> FlakyBoard:
    return FlakyBoard(open_board(tmp_path.as_uri()))


@pytest.fixture
def warm(board: FlakyBoard, clock: Clock) -> WarmBoard:
    return WarmBoard(board, clock)


@pytest.mark.parametrize("key", REMEMBERED)
def test_an_object_is_asked_for_once_while_it_is_remembered(
    warm: WarmBoard, board: FlakyBoard, clock: Clock, key: str
) -> None:
    board.write(key, b"1", expect=ABSENT)
    board.asked.clear()
    first = warm.read(key)
    clock.now = REMEMBERED_SECONDS - 1
    assert warm.read(key) == first
    assert (board.asked, warm.spared) == ([("read", key)], 1)
    clock.now = REMEMBERED_SECONDS
    warm.read(key)
    assert len(board.asked) == 2


@pytest.mark.parametrize("key", [keys.ledger(FLEET), keys.signals(FLEET), keys.progress(FLEET)])
def test_what_handlers_agree_by_is_always_read(warm: WarmBoard, board: FlakyBoard, key: str) -> None:
    board.write(key, b"1", expect=ABSENT)
    board.asked.clear()
    assert warm.read(key) == warm.read(key)
    assert len(board.asked) == 2


@pytest.mark.parametrize("key", REMEMBERED)
def test_that_there_is_none_is_not_remembered(warm: WarmBoard, board: FlakyBoard, key: str) -> None:
    assert warm.read(key) is None
    board.write(key, b"1", expect=ABSENT)
    found = warm.read(key)
    assert found is not None
    assert found.body == b"1"


@pytest.mark.parametrize("key", REMEMBERED)
def test_a_write_forgets_and_so_does_one_that_is_lost(warm: WarmBoard, board: FlakyBoard, key: str) -> None:
    board.write(key, b"1", expect=ABSENT)
    before = warm.read(key)
    assert before is not None
    version = warm.write(key, b"2", expect=before.version)
    assert warm.read(key) == replace(before, body=b"2", version=version)
    board.write(key, b"3", expect=version)
    with pytest.raises(Conflict):
        warm.write(key, b"4", expect=version)
    found = warm.read(key)
    assert found is not None
    assert found.body == b"3"


def test_a_deleted_object_is_gone_at_once(warm: WarmBoard, board: FlakyBoard) -> None:
    board.write(keys.MEMBERS, dump(Members()), expect=ABSENT)
    warm.read(keys.MEMBERS)
    warm.delete(keys.MEMBERS)
    assert warm.read(keys.MEMBERS) is None


def test_a_listing_says_how_old_reports_were_when_it_was_made(warm: WarmBoard, board: FlakyBoard, clock: Clock) -> None:
    key = keys.report(FLEET, "i-1")
    board.write(key, b"1", expect=ABSENT)
    board.asked.clear()
    (first,) = warm.list(keys.nodes(FLEET))
    clock.now = 20
    (later,) = warm.list(keys.nodes(FLEET))
    assert later == replace(first, modified_at=first.modified_at + 20)
    clock.now = REMEMBERED_SECONDS
    assert [*warm.list(keys.nodes(FLEET))] == [first]
    assert (board.asked, warm.spared) == ([("list", keys.nodes(FLEET))] * 2, 1)


def test_all_can_be_forgotten(warm: WarmBoard, board: FlakyBoard) -> None:
    board.write(keys.MEMBERS, b"1", expect=ABSENT)
    warm.read(keys.MEMBERS)
    warm.list(keys.nodes(FLEET))
    board.asked.clear()
    warm.forget()
    warm.read(keys.MEMBERS)
    warm.list(keys.nodes(FLEET))
    assert board.asked == [("read", keys.MEMBERS), ("list", keys.nodes(FLEET))]


def test_the_second_batch_of_a_storm_reads_nothing_but_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path)
    cold, world.board = world.board, FlakyBoard(WarmBoard(world.board))
    first, second = (NoticeHeard(node=node, kind=INTERRUPTION, event_at=world.now) for node in world.spot()[:2])
    world.respond(first)
    cold.asked.clear()
    world.respond(second)
    ledger, signals = keys.ledger(FLEET), keys.signals(FLEET)
    assert cold.asked == [("read", ledger), ("write", ledger), ("write", signals), ("write", ledger)]
    assert {signal.node for signal in world.signals().signals} == {first.node, second.node}
