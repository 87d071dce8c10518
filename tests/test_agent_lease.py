from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_support import FLEET, INCARNATION, FaultyBoard, a_node
from spotkeeper_agent.lease import Lease, may_take
from spotkeeper_ledger import ANY, Board, Generation, Member, Unavailable, dump, keys, load, open_board

LEASE_SECONDS = 30.0
KEY = keys.generation(FLEET)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return open_board(f"file://{tmp_path}/ledger")


def lease(board: Board, node: str = "i-1", clock: Callable[[], float] = lambda: 100.0, **more: Any) -> Lease:
    incarnation = more.pop("incarnation", INCARNATION)
    return Lease(board, FLEET, incarnation, a_node(node).as_member(), LEASE_SECONDS, clock=clock, **more)


def stored(board: Board) -> Generation:
    found = board.read(KEY)
    assert found is not None
    return load(Generation, found.body)


def test_the_first_to_ask_takes_generation_one(board: Board) -> None:
    taken = lease(board).seek()
    assert taken == stored(board)
    assert taken is not None
    assert (taken.number, taken.state, taken.members) == (1, "running", (a_node("i-1").as_member(),))
    assert (taken.fleet, taken.incarnation, taken.master) == (FLEET, INCARNATION, "i-1")


def test_a_holder_that_beats_keeps_the_job(board: Board) -> None:
    clock = Clock()
    holder, spare = lease(board, "i-1"), lease(board, "i-2", clock)
    holder.seek()
    for _ in range(20):
        assert spare.seek() is None
        clock.now += LEASE_SECONDS / 3
        assert holder.beat()
    assert stored(board).beat == 20


def test_a_silent_holder_is_replaced_after_the_lease_and_finds_out(board: Board) -> None:
    clock = Clock()
    holder, spare = lease(board, "i-1"), lease(board, "i-2", clock)
    holder.seek()
    assert spare.seek() is None, "however old it is: the silence is timed by the reader's own clock"
    clock.now += LEASE_SECONDS - 1
    assert spare.seek() is None
    clock.now += 1
    taken = spare.seek()
    assert taken is not None
    assert taken.number == 2
    assert not holder.beat()
    assert holder.held is None
    assert not holder.end("ending", "notice"), "what is another's cannot be ended"
    assert stored(board) == taken


def test_a_ledger_that_could_not_be_read_proves_nobody_dead(board: Board) -> None:
    clock, faulty = Clock(), FaultyBoard(board)
    lease(board, "i-1").seek()
    spare = lease(faulty, "i-2", clock)
    assert spare.seek() is None
    faulty.away = True
    clock.now += 10 * LEASE_SECONDS
    with pytest.raises(Unavailable):
        spare.seek()
    faulty.away = False
    assert spare.seek() is None, "the silence is counted anew"
    clock.now += LEASE_SECONDS
    assert spare.seek() is not None


def test_a_generation_that_was_ended_is_free_at_once_and_one_that_finished_never(board: Board) -> None:
    clock = Clock()
    holder, spare = lease(board, "i-1"), lease(board, "i-2", clock)
    holder.seek()
    assert holder.end("ending", "notice")
    assert (stored(board).state, stored(board).reason) == ("ending", "notice")
    taken = spare.seek()
    assert taken is not None
    assert taken.number == 2
    assert spare.end("finished", "finished")
    clock.now += 100 * LEASE_SECONDS
    assert spare.seek() is None
    assert holder.seek() is None


def test_a_holder_may_take_what_it_has_ended_itself_as_a_new_generation(board: Board) -> None:
    holder = lease(board)
    holder.seek()
    holder.end("ending", "notice")
    taken = holder.seek()
    assert taken is not None
    assert taken.number == 2


def test_an_agent_that_was_restarted_takes_its_own_job_back_at_once(board: Board) -> None:
    lease(board, "i-1").seek()
    taken = lease(board, "i-1").seek()
    assert taken is not None
    assert taken.number == 2


def test_numbers_go_on_over_incarnations_and_above_the_checkpoints(board: Board) -> None:
    lease(board, "i-1").seek()
    assert lease(board, "i-2", incarnation="AROANEXT").seek() == stored(board)
    assert stored(board).number == 2
    lease(board, "i-3", incarnation="AROATHIRD", floor=lambda: 41).seek()
    assert stored(board).number == 42


def test_what_cannot_be_read_is_held_by_somebody_until_it_is_silent(board: Board) -> None:
    clock = Clock()
    board.write(KEY, b'{"version": 99, "written": "by a newer agent"}', expect=ANY)
    spare = lease(board, "i-1", clock)
    assert spare.seek() is None
    clock.now += LEASE_SECONDS
    assert spare.seek() is not None


def test_a_generation_that_vanishes_can_be_taken(board: Board) -> None:
    clock = Clock()
    lease(board, "i-1").seek()
    spare = lease(board, "i-2", clock)
    assert spare.seek() is None
    board.delete(KEY)
    clock.now += LEASE_SECONDS
    assert spare.seek() is None, "written over what is gone: refused, and looked at anew"
    assert spare.seek() is not None


def test_a_lost_answer_is_not_taken_for_another_node(board: Board) -> None:
    faulty = FaultyBoard(board)
    holder = lease(faulty)
    for act in (holder.seek, holder.beat, lambda: holder.end("ending", "notice")):
        faulty.answers_are_lost = True
        with pytest.raises(Unavailable):
            act()
        faulty.answers_are_lost = False
        assert act()
    assert (stored(board).number, stored(board).beat, stored(board).state) == (1, 1, "ending")


def test_of_many_that_seek_at_once_one_wins(board: Board) -> None:
    for number in (1, 2, 3):
        leases = [lease(board, f"i-{n}") for n in range(8)]
        start = threading.Barrier(len(leases))
        won: list[Generation] = []

        def seek(one: Lease, start: threading.Barrier = start, won: list[Generation] = won) -> None:
            start.wait()
            taken = one.seek()
            if taken is not None:
                won.append(taken)

        threads = [threading.Thread(target=seek, args=(one,)) for one in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [taken.number for taken in won] == [number]
        assert won == [stored(board)]
        board.write(KEY, dump(replace(won[0], state="ending")), expect=ANY)


@given(
    state=st.sampled_from(["forming", "running", "ending", "finished"]),
    holder=st.sampled_from(["i-1", "i-2"]),
    same_fleet=st.booleans(),
    silent=st.floats(0, 100),
)
def test_a_living_holder_is_never_robbed(state: str, holder: str, same_fleet: bool, silent: float) -> None:
    incarnation = INCARNATION if same_fleet else "AROAOTHER"
    generation = Generation(FLEET, incarnation, 1, state, (Member(holder, "b", "10.0.0.1"),))
    taken = may_take(generation, incarnation=INCARNATION, node="i-1", silent_seconds=silent, lease_seconds=30)
    if same_fleet and state == "finished":
        assert not taken
    elif same_fleet and state != "ending" and holder != "i-1":
        assert taken == (silent >= 30)
    else:
        assert taken
