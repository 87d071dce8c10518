"""Two handlers at once, stopped, failed and killed at every call they make, come to what one undisturbed comes to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from interleaving_machine import Machine, chosen
from interleaving_play import Interleaving
from interleaving_steps import Fate
from interleaving_world import fleet
from responder_support import node
from spotkeeper_ledger import DRAIN, INTERRUPTION, STOPPED, NoticeRecord, keys
from spotkeeper_responder import SPOT

SEEDS, EXAMPLES = 8, 250
"""Two thousand examples in all."""
FIRST = "fleet-1"
HARM = [fate for fate in Fate if fate is not Fate.DONE]


def part(number: int) -> Any:
    """Return a seed that any process may try, whoever has the others."""
    return pytest.param(number, marks=pytest.mark.xdist_group(f"interleavings-{number}"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [part(number) for number in range(SEEDS)])
def test_whatever_happens(number: int) -> None:
    run_state_machine_as_test(seed(number)(Machine), settings=chosen(EXAMPLES, print_blob=False))


def of(play: Interleaving, number: int, group: str = SPOT) -> str:
    found = play.node(FIRST, group, number)
    assert found is not None
    return found


def an_interruption() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("interrupt", FIRST, of(play, 0))
    return play


def two_in_two_fleets() -> Interleaving:
    play = Interleaving(fleet(1), fleet(2))
    for name in ("fleet-1", "fleet-2"):
        play.happen("interrupt", name, play.node(name, SPOT, 1))
    return play


def a_node_that_speaks_for_itself() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("node_writes", FIRST, of(play, 0), INTERRUPTION)
    return play


def a_drought() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("market", FIRST, 0, "capacity")
    play.happen("lose", FIRST, of(play, 0))
    play.pass_time(1.0)
    return play


def a_fleet_that_shrinks() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("change", FIRST, {"target": 2})
    return play


def a_return_to_spot() -> Interleaving:
    """What was bought is drained, has saved, and is to be terminated by name."""
    play = Interleaving(fleet(1))
    play.happen("lose", FIRST, of(play, 0))
    while not any(record.kind == DRAIN for record in notices(play).values()):
        play.tick()
        play.pass_time(61.0)
    return play


def notices(play: Interleaving) -> Mapping[str, NoticeRecord]:
    ledger = play.shared.world.ledger(FIRST)
    assert ledger is not None
    return ledger.notices


def a_job_that_is_over() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("end_job", FIRST, "finished")
    play.tick()
    play.wait(61.0)
    return play


def a_fleet_made_anew() -> Interleaving:
    play = Interleaving(fleet(1))
    play.happen("create", FIRST, True)
    return play


SITUATIONS = [
    an_interruption,
    two_in_two_fleets,
    a_node_that_speaks_for_itself,
    a_drought,
    a_fleet_that_shrinks,
    a_return_to_spot,
    a_job_that_is_over,
    a_fleet_made_anew,
]


@pytest.fixture(params=SITUATIONS, ids=lambda situation: situation.__name__)
def situation(request: pytest.FixtureRequest) -> Callable[[], Interleaving]:
    """Returns the same situation each time, made once."""
    made: Interleaving = request.param()
    return lambda: copy.deepcopy(made)


def calls_of(situation: Callable[[], Interleaving]) -> int:
    """Return how many calls a handler makes whom nobody disturbs."""
    play = situation()
    begin(play, 0)
    play.finish(0)
    return play.counts["calls"]


def begin(play: Interleaving, slot: int) -> None:
    """Give a handler all messages there are, and a tick; the other one will get them too."""
    play.deliver(slot, range(len(play.shared.queue)), tick=True, again=slot == 0)


class TestEveryCall:
    def test_may_fail_or_be_the_last(self, situation: Callable[[], Interleaving]) -> None:
        for call in range(calls_of(situation)):
            for fate in HARM:
                play = situation()
                begin(play, 0)
                play.advance(0, call, fate)
                play.come_to_rest()
                play.check_same()

    def test_may_take_so_long_that_another_handler_does_it_all(self, situation: Callable[[], Interleaving]) -> None:
        for call in range(calls_of(situation) + 1):
            for seconds in (0.0, 6.0):
                play = situation()
                begin(play, 0)
                play.advance(0, call)
                play.wait(seconds)
                begin(play, 1)
                play.finish(1)
                play.come_to_rest()
                play.check_same()


@pytest.mark.parametrize("situation", [an_interruption, a_return_to_spot], indirect=True)
def test_two_handlers_stopped_at_any_two_calls(situation: Callable[[], Interleaving]) -> None:
    for first in range(calls_of(situation) + 1):
        for second in range(first + 1):
            play = situation()
            begin(play, 0)
            play.advance(0, first)
            begin(play, 1)
            play.advance(1, second)
            play.finish(0)
            play.come_to_rest()
            play.check_same()


def test_two_that_add_to_the_roster_at_once_both_do() -> None:
    play = Interleaving(fleet(1), fleet(2))
    for name in ("fleet-1", "fleet-2"):
        play.happen("lose", name, play.node(name, SPOT, 0))
    play.tick()
    play.pass_time(1.0)
    for slot, name in enumerate(play.shared.world.specs):
        launches = [place for place, each in enumerate(play.shared.queue) if each.fleet == name]
        play.deliver(slot, launches)
    for slot in (0, 1):
        play.reach(slot, f"write {keys.MEMBERS}")
    play.finish(0)
    play.finish(1)
    stored = play.shared.world.board.read(keys.MEMBERS)
    assert stored is not None
    assert all(name.encode() in stored.body for name in (node(1004), node(2004)))
    play.settle()


class TestFound:
    """What the machine has found, in its shortest form."""

    def test_a_drain_that_could_not_be_remembered_is_told_to_nobody(self) -> None:
        play = a_fleet_that_shrinks()
        play.deliver(0, tick=True)
        play.reach(0, f"write {keys.ledger(FIRST)}")
        play.advance(0, fate=Fate.FAILED)
        play.finish(0)
        assert not play.shared.promises.commands
        play.settle()

    def test_a_node_that_is_launched_and_noticed_in_one_batch_is_known(self) -> None:
        play = Interleaving(fleet(1))
        play.happen("lose", FIRST, of(play, 0))
        play.tick()
        play.pass_time(1.0)
        new = node(1004)
        play.happen("interrupt", FIRST, new)
        play.deliver(0, range(len(play.shared.queue)))
        play.finish(0)
        assert play.shared.promises.commands == {(new, f"{new}:leaving"): 1}
        play.settle()

    @pytest.mark.parametrize("kind", [0, 1, 2])
    def test_foreign_events_are_cheap_even_where_the_roster_does_not_answer(self, kind: int) -> None:
        play = Interleaving(fleet(1))
        play.foreign(kind)
        play.deliver(0, [0])
        play.advance(0, fate=Fate.FAILED)
        play.finish(0)
        assert play.counts["calls"] <= 2  # the roster, and the spec that there would be if it were ours

    def test_a_tick_that_finds_a_drain_saved_already_lets_the_node_go(self) -> None:
        """A node that has saved for one notice has saved for all that mean that it goes."""
        play = an_interruption()
        play.deliver(0, [0])
        play.finish(0)
        play.pass_time(1.0)
        play.happen("pause", FIRST, STOPPED)
        play.settle()
        assert not play.shared.world.cloud.nodes[FIRST].running()

    def test_a_silent_node_that_only_one_of_them_had_to_drain_is_made_up_for_by_nobody(self) -> None:
        """A tick that fell into a stop lets all nodes go; where none did, one fewer is wanted, and the silent stays."""
        play = Interleaving(fleet(1))
        play.happen("fall_silent", FIRST, of(play, 1))
        play.happen("change", FIRST, {"target": 2})
        play.happen("pause", FIRST, STOPPED)
        play.deliver(0, tick=True)
        play.finish(0)
        play.happen("pause", FIRST, None)
        assert play.shared.promises.drained > play.reference.promises.drained == set()
        play.settle()
