from __future__ import annotations

import queue
from pathlib import Path

import pytest

from agent_support import FLEET, INCARNATION, FaultyBoard, Fleet, a_node, wait_until
from spotkeeper_agent.keeper import Ended, Keeper, Lost, Outcome, Taken
from spotkeeper_agent.lease import Lease
from spotkeeper_ledger import ANY, Board, Generation, dump, keys


def keeper(board: Board, node: str = "i-1") -> tuple[Keeper, queue.SimpleQueue[Outcome]]:
    told: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    lease = Lease(board, FLEET, INCARNATION, a_node(node).as_member(), lease_seconds=30)
    return Keeper(lease, told.put, seek_seconds=5.0, beat_seconds=0.05), told


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def steal(fleet: Fleet, number: int) -> None:
    stolen = Generation(FLEET, INCARNATION, number, "running", (a_node("i-9").as_member(),))
    fleet.board.write(keys.generation(FLEET), dump(stolen), expect=ANY)


def test_nothing_is_taken_before_it_is_allowed(fleet: Fleet) -> None:
    one, told = keeper(fleet.board)
    assert one.turn() == 5.0
    assert fleet.generation is None
    one.allow(allowed=True)
    assert one.turn() == 0.05
    taken = told.get_nowait()
    assert isinstance(taken, Taken)
    assert taken.generation == fleet.generation


def test_a_thread_takes_beats_and_ends(fleet: Fleet) -> None:
    one, told = keeper(fleet.board)
    one.start()
    one.allow(allowed=True)
    assert isinstance(told.get(timeout=10), Taken)
    wait_until(lambda: fleet.generation and fleet.generation.beat >= 3)
    one.allow(allowed=False)
    one.end("ending", "notice")
    assert told.get(timeout=10) == Ended(1, "ending")
    assert fleet.generation is not None
    assert (fleet.generation.state, fleet.generation.reason) == ("ending", "notice")


@pytest.mark.parametrize("ending", [True, False])
def test_a_stolen_lease_is_lost_whatever_was_to_be_done_with_it(fleet: Fleet, ending: bool) -> None:
    one, told = keeper(fleet.board)
    one.allow(allowed=True)
    one.turn()
    told.get_nowait()
    one.allow(allowed=False)
    steal(fleet, 2)
    if ending:
        one.end("finished", "finished")
    one.turn()
    assert told.get_nowait() == Lost(1)
    one.turn()
    assert told.empty()
    assert fleet.holder() == "i-9", "and it stays with whom it is"


def test_an_end_that_cannot_be_written_is_written_when_it_can(fleet: Fleet) -> None:
    faulty = FaultyBoard(fleet.board)
    one, told = keeper(faulty)
    one.allow(allowed=True)
    one.turn()
    told.get_nowait()
    one.allow(allowed=False)
    faulty.away = True
    one.end("ending", "notice")
    assert one.turn() <= 1.0
    assert told.empty()
    faulty.away = False
    one.turn()
    assert told.get_nowait() == Ended(1, "ending")


def test_who_forbids_it_sees_that_it_may_be_taken_all_the_same(fleet: Fleet) -> None:
    seen: list[tuple[bool, bool]] = []

    def tell(outcome: Outcome) -> None:
        one.allow(allowed=False)  # as an agent may, that is told to stop meanwhile
        seen.append((isinstance(outcome, Taken), one.seeking))

    one = Keeper(Lease(fleet.board, FLEET, INCARNATION, a_node("i-1").as_member(), 30), tell, 5.0, 0.05)
    one.allow(allowed=True)
    one.turn()
    assert seen == [(True, True)]
    assert not one.seeking
