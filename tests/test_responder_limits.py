"""What holds a fleet back: a pause, the most on-demand that it may use, and a market that has nothing for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from responder_support import T0, SimFleet, confirmation, instances, ledger, node, notice, record, seen, spec, view
from responder_world import World
from spotkeeper_ledger import DRAIN, HELD, STOPPED, FleetLedger, FleetSpec, Pause, dump, keys
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Decision,
    Event,
    Heard,
    JobEnded,
    LaunchFailed,
    State,
    Termination,
    Tick,
    decide,
    settle,
)
from spotkeeper_responder.limits import accounted, limited, used_up
from spotkeeper_responder.reconcile import fresh

FULL = view(instances(range(1, 5)))
STEADY = ledger(seen=seen(range(1, 5)), spot_desired=4, backup_desired=0, accounted_at=T0)
PAUSES = {mode: replace(STEADY, pause=Pause(mode, T0, "an audit")) for mode in (STOPPED, HELD)}
TICK_SECONDS = 60.0


class TestAccounting:
    def test_what_is_beyond_the_base_is_counted_for_as_long_as_it_is_there(self) -> None:
        seen_now = view(instances([1]), (*instances([7, 8]), *instances([9], State.HELD)))
        after = accounted(spec(base=1), seen_now, replace(STEADY, accounted_at=T0 - 60), T0)
        assert (after.spot_node_seconds, after.on_demand_node_seconds, after.fallback_node_seconds) == (60, 180, 120)

    def test_what_was_there_since_the_last_tick_is_counted_although_it_is_gone(self) -> None:
        known = decide(spec(), view(instances(range(1, 5)), instances([8])), STEADY, [], T0 + 20).ledger
        known = decide(spec(), FULL, known, [notice(1)], T0 + 40).ledger
        counted = decide(spec(), FULL, known, [Tick()], T0 + 60).ledger
        assert counted.fallback_node_seconds == 60
        assert decide(spec(), FULL, counted, [Tick()], T0 + 120).ledger.fallback_node_seconds == 60

    def test_the_base_is_not_counted_while_the_fleet_is_stopped(self) -> None:
        seen_now = view(instances([1]), instances([8]))
        after = decide(spec(base=1), seen_now, replace(PAUSES[STOPPED], accounted_at=T0 - 60), [Tick()], T0).ledger
        assert (after.on_demand_node_seconds, after.fallback_node_seconds) == (60, 0)

    def test_it_is_done_on_ticks_only_and_never_backwards(self) -> None:
        seen_now = view(instances([1]), instances([8]))
        known = replace(STEADY, accounted_at=T0 - 60)
        assert decide(spec(), seen_now, known, [notice(1)], T0).ledger.fallback_node_seconds == 0
        assert decide(spec(), seen_now, known, [Tick()], T0 - 90).ledger.fallback_node_seconds == 0


class TestCap:
    CAPPED = spec(base=1, maximum=3, max_on_demand_hours=2.0)

    def test_no_limit_is_never_used_up(self) -> None:
        assert not used_up(spec(), replace(STEADY, fallback_node_seconds=1e12))

    @pytest.mark.parametrize(("seconds", "maximum"), [(0, 3), (7199.9, 3), (7200, 1), (1e9, 1)])
    def test_a_fleet_that_has_used_it_up_may_hold_its_base(self, seconds: float, maximum: int) -> None:
        known = replace(STEADY, fallback_node_seconds=seconds)
        assert limited(self.CAPPED, known, T0) == replace(self.CAPPED, maximum=maximum)

    @pytest.mark.parametrize("tick", [True, False])
    def test_nothing_more_is_bought_at_any_event(self, tick: bool) -> None:
        known = replace(STEADY, spot_desired=3, backup_desired=1, fallback_node_seconds=7200)
        seen_now = view(instances(range(1, 4)), instances([8]), spot_desired=3)
        events: list[Event] = [notice(1), notice(2), LaunchFailed(SPOT, "capacity", T0), *([Tick()] if tick else [])]
        decision = decide(self.CAPPED, seen_now, known, events, T0)
        assert decision.ledger.backup_desired == 1
        assert BACKUP not in decision.sizes
        assert len(decision.signals) == 2
        assert decision.facts.cap_reached

    def test_what_is_held_beyond_the_base_is_drained_once_saved_and_the_base_stays(self) -> None:
        short = view(instances([1]), instances([7, 8, 9]), spot_desired=3, members=[node(9)])
        known = replace(STEADY, backup_desired=3, fallback_node_seconds=7200)
        told = decide(self.CAPPED, short, known, [Tick()], T0)
        assert {s.node for s in told.signals} == {node(7), node(8)}  # the holder of the job is the one that stays
        assert (told.sizes, told.terminations) == ({}, ())
        confirmed = replace(short, reports={node(n): confirmation(n) for n in (7, 8)})
        after = settle(told.ledger, {s.node: s.notice_id for s in told.signals}, (), T0)
        gone = decide(self.CAPPED, confirmed, after, [Tick()], T0 + 60)
        assert set(gone.terminations) == {Termination(node(7), decrement=True), Termination(node(8), decrement=True)}
        assert gone.ledger.backup_desired == 1

    def test_raising_the_limit_lifts_it(self) -> None:
        known = replace(STEADY, backup_desired=1, shortfall_since=T0 - 600, fallback_node_seconds=7200)
        short = view(instances([1]), instances([8]), spot_desired=3)
        assert BACKUP not in decide(self.CAPPED, short, known, [Tick()], T0).sizes
        raised = decide(replace(self.CAPPED, max_on_demand_hours=3.0), short, known, [Tick()], T0)
        assert raised.sizes == {BACKUP: 3}
        assert not raised.facts.cap_reached


class TestStopped:
    def test_every_node_is_told_to_save_and_both_sizes_follow_them_to_zero(self) -> None:
        seen_now = view(instances(range(1, 5)), instances([8]))
        decision = decide(spec(), seen_now, replace(PAUSES[STOPPED], backup_desired=1), [Tick()], T0)
        assert {(s.node, s.kind) for s in decision.signals} == {(node(n), DRAIN) for n in (1, 2, 3, 4, 8)}
        assert (decision.ledger.spot_desired, decision.ledger.backup_desired) == (0, 0)
        assert (decision.sizes, decision.terminations) == ({}, ())
        assert decision.ledger.job_ended_at is None
        assert decision.facts.paused

    def test_nodes_that_are_still_starting_are_not_waited_for(self) -> None:
        decision = decide(spec(), view(instances([1]), spot_desired=4), PAUSES[STOPPED], [Tick()], T0)
        assert decision.sizes == {SPOT: 1}

    def test_nothing_is_short_so_nothing_is_bought_however_long_it_lasts(self) -> None:
        known = replace(PAUSES[STOPPED], shortfall_since=T0 - 7200)
        decision = decide(spec(), view(spot_desired=0), known, [Tick(), LaunchFailed(SPOT, "capacity", T0)], T0)
        assert not decision.acts
        assert (decision.facts.shortfall, decision.facts.drought) == (0, False)

    def test_a_resumed_fleet_gets_time_to_launch_before_on_demand_is_bought(self) -> None:
        stopped = decide(spec(), view(spot_desired=0), PAUSES[STOPPED], [Tick()], T0).ledger
        resumed = decide(spec(), view(spot_desired=0), replace(stopped, pause=None), [Tick()], T0 + 60)
        assert resumed.sizes == {SPOT: 4}

    def test_a_pause_of_an_earlier_incarnation_is_none(self) -> None:
        foreign = replace(PAUSES[STOPPED], incarnation="AROAOLD")
        assert decide(spec(), FULL, foreign, [Tick()], T0).ledger.pause is None


class TestHeld:
    def test_the_job_is_told_and_nothing_else_is_touched(self) -> None:
        known = replace(
            PAUSES[HELD],
            backup_desired=1,
            notices={node(8): record(8, DRAIN, T0 - 900, group=BACKUP, confirmed_step=3)},
        )
        seen_now = view((*instances([1, 2]), *instances([3], State.HELD)), instances([8, 9]), spot_desired=7)
        decision = decide(spec(), seen_now, known, [Tick(), notice(1), LaunchFailed(SPOT, "capacity", T0)], T0)
        assert node(1) in {s.node for s in decision.signals}
        assert (decision.sizes, decision.completions, decision.terminations) == ({}, (), ())
        assert (decision.ledger.spot_desired, decision.ledger.backup_desired) == (4, 1)
        assert [n for n, r in decision.ledger.notices.items() if r.kind == DRAIN] == [node(8)]

    def test_a_mode_that_only_a_newer_version_knows_is_held(self) -> None:
        assert not decide(spec(), view(), replace(STEADY, pause=Pause("adrift", T0)), [Tick()], T0).sizes

    def test_a_job_that_ends_meanwhile_is_released_afterwards(self) -> None:
        held = decide(spec(linger_seconds=0), FULL, PAUSES[HELD], [Tick(), JobEnded("finished", T0)], T0)
        assert (held.sizes, held.terminations) == ({}, ())
        after = decide(spec(linger_seconds=0), FULL, replace(held.ledger, pause=None), [Tick()], T0 + 60)
        assert after.sizes == {SPOT: 0}

    def test_what_is_enough_is_looked_at_anew_afterwards(self) -> None:
        """On-demand that was enough before the pause is not given back on the strength of that."""
        known = replace(PAUSES[HELD], backup_desired=1, surplus_since=T0 - 290, surplus_wanted=0)
        seen_now = view(instances(range(1, 5)), instances([8]))
        held = decide(spec(), seen_now, known, [Tick()], T0).ledger
        after = decide(spec(), seen_now, replace(held, pause=None), [Tick()], T0 + 60)
        assert (after.ledger.backup_desired, after.ledger.surplus_since) == (1, T0 + 60)


class Driven:
    """A fleet that is looked after by ticks, and what it has really used."""

    def __init__(self, wanted: FleetSpec) -> None:
        self.spec, self.now, self.used = wanted, T0, 0.0
        self.sim = SimFleet.of(wanted)
        self.ledger: FleetLedger = fresh(wanted)
        self.tick()

    def tick(self) -> Decision:
        """Let a minute pass, then tick; agents confirm what they are told at once, and hooks end before the next."""
        extra = len(self.sim.backup.members) - self.spec.base
        self.now, self.used = self.now + TICK_SECONDS, self.used + TICK_SECONDS * max(0, extra)
        self.sim.release()
        self.sim.boot()
        self.sim.report(self.now)
        return self.decide([*self.sim.launch(self.now), Tick()])

    def lose(self, count: int) -> Decision:
        """So many spot nodes are warned and gone."""
        doomed = self.sim.spot.live()[:count]
        decision = self.decide([replace(notice(0), node=name, event_at=self.now) for name in doomed])
        for name in doomed:
            self.sim.lose(name)
        self.sim.launch(self.now)
        return decision

    def decide(self, events: Sequence[Event]) -> Decision:
        before = self.sim.backup.desired
        decision = decide(self.spec, self.sim.seen(self.spec), self.ledger, events, self.now)
        for group, size in decision.sizes.items():
            self.sim.group(group).desired = size
        for termination in decision.terminations:
            self.sim.terminate(termination)
        signalled = {s.node: s.notice_id for s in decision.signals}
        self.sim.confirmed |= signalled
        gone = [t.node for t in decision.terminations]
        self.ledger = settle(decision.ledger, signalled, gone, self.now, announced=decision.announcements)
        if self.ledger.pause is not None:
            assert self.sim.backup.desired <= before, "on-demand was bought by a fleet that is paused"
        if used_up(self.spec, self.ledger):
            assert self.sim.backup.desired <= max(before, self.spec.base), "on-demand was bought beyond the limit"
        return decision

    def pause(self, mode: str | None) -> None:
        self.ledger = replace(self.ledger, pause=None if mode is None else Pause(mode, self.now))

    def sizes(self) -> tuple[int, int, int, int]:
        spot, backup = self.sim.spot, self.sim.backup
        return spot.desired, len(spot.live()), backup.desired, len(backup.live())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("lose"), st.integers(1, 4)),
        st.tuples(st.just("room"), st.integers(0, 6)),
        st.tuples(st.just("pause"), st.sampled_from([STOPPED, HELD, None, None])),
        st.tuples(st.just("ticks"), st.integers(1, 8)),
    ),
    max_size=25,
)


def play(driven: Driven, script: Sequence[tuple[str, int | str | None]]) -> None:
    for what, value in script:
        if what == "lose":
            driven.lose(int(value or 0))
        elif what == "room":
            driven.sim.spot_capacity = int(value or 0)
        elif what == "pause":
            driven.pause(None if value is None else str(value))
        else:
            for _ in range(int(value or 0)):
                driven.tick()


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 1), st.sampled_from([0.05, 0.1, 0.2]), st.sampled_from(["mirror", "patient"]))
def test_the_limit_is_kept_but_for_what_one_tick_and_the_last_save_add(
    script: list[tuple[str, int | str | None]], base: int, hours: float, policy: str
) -> None:
    """A tick may be late to count, the next one lets go, and by the one after that the node is gone."""
    driven = Driven(spec(policy, 60.0, base=base, target=4 + base, maximum=4 + base, max_on_demand_hours=hours))
    script = [(what, value) for what, value in script if value != HELD]  # held means held, whatever it costs
    play(driven, script)
    driven.pause(None)
    play(driven, [("room", 0), ("lose", 4), ("ticks", 12)])
    assert driven.used <= 3600 * hours + 4 * 3 * TICK_SECONDS
    assert used_up(driven.spec, driven.ledger) is (driven.sizes() == (4, 0, base, base))
    driven.spec = replace(driven.spec, max_on_demand_hours=None)
    driven.tick()
    assert driven.sim.backup.desired == 4 + base


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_stopped_fleet_holds_nothing_and_a_resumed_one_is_as_before(
    script: list[tuple[str, int | str | None]],
) -> None:
    driven = Driven(spec(base=1, target=4))
    play(driven, script)
    driven.pause(STOPPED)
    play(driven, [("ticks", 4)])
    assert driven.sizes() == (0, 0, 0, 0)
    assert driven.ledger.job_ended_at is None
    launched = driven.sim.launched
    play(driven, [("lose", 1), ("ticks", 10)])
    assert driven.sim.launched == launched
    driven.pause(None)
    play(driven, [("room", 10), ("ticks", 10)])
    assert driven.sizes() == (3, 3, 1, 1)


@settings(max_examples=60, deadline=None)
@given(steps, steps)
def test_a_held_fleet_is_not_touched(
    script: list[tuple[str, int | str | None]], meanwhile: list[tuple[str, int | str | None]]
) -> None:
    driven = Driven(spec(base=1, target=4, max_on_demand_hours=0.5))
    play(driven, script)
    driven.pause(HELD)
    sizes = driven.sim.spot.desired, driven.sim.backup.desired
    drains = {name for name, known in driven.ledger.notices.items() if known.kind == DRAIN}
    for what, value in meanwhile:
        decision = driven.lose(int(value or 0)) if what == "lose" else driven.tick()
        assert (decision.sizes, decision.completions, decision.terminations) == ({}, (), ())
        assert {s.node for s in decision.signals if s.kind == DRAIN} <= drains
    assert (driven.sim.spot.desired, driven.sim.backup.desired) == sizes


class TestNothingToBeHad:
    """Every launch is refused, again and again: the fleet waits, and does not spin."""

    @pytest.fixture(params=["never", "mirror", "patient"])
    def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> World:
        world = World(tmp_path, spec(request.param, 60.0))
        world.sim().spot_capacity = world.sim().backup_capacity = 0
        for name in world.spot():
            world.sim().lose(name)
        return world

    def refused(self, world: World) -> list[Heard]:
        """A minute later both groups have tried again."""
        world.now += TICK_SECONDS
        fleet = next(iter(world.specs))
        return [Heard(f"r{n}", failure, fleet) for n, failure in enumerate(world.sim().launch(world.now))]

    def test_calls_and_ledger_stay_as_they_are_and_nothing_is_done_again(self, world: World) -> None:
        fleet = next(iter(world.specs))
        policy = world.specs[fleet].policy.name
        for _ in range(5):  # the shortfall is found, on-demand asked for, people told
            world.respond(*self.refused(world), Tick())
        bought = 0 if policy == "never" else 4
        assert (world.sim().spot.desired, world.sim().backup.desired) == (4, bought)
        world.cloud.done.clear()
        calls, sizes, writes = [], [], []
        for _ in range(60):
            world.board.asked.clear()
            before = world.cloud.calls
            world.respond(*self.refused(world), Tick())
            calls.append(world.cloud.calls - before + len(world.board.asked))
            writes.append(world.writes())
            sizes.append(len(dump(world.ledger())))
        assert set(calls) == {calls[0]}
        assert calls[0] <= 12
        assert {tuple(each) for each in writes} == {(keys.ledger(fleet),)}
        assert max(sizes) <= sizes[0] + 20  # digits of counters
        assert {each[0] for each in world.cloud.done} == {"launch_failures"}

    def test_refusals_between_ticks_do_nothing_but_count(self, world: World) -> None:
        for _ in range(5):
            world.respond(*self.refused(world), Tick())
        world.cloud.done.clear()
        for _ in range(10):
            world.respond(*self.refused(world))
        assert not world.cloud.done

    def test_nodes_that_come_and_go_are_forgotten(self) -> None:
        """Spot that never gets back to strength: each node is warned within a minute, and taken."""
        driven = Driven(spec())
        driven.sim.spot_capacity = 1
        sizes = []
        for _ in range(150):
            driven.lose(1)
            driven.tick()
            sizes.append(len(dump(driven.ledger)))
        assert len(driven.ledger.seen) <= 2 * 4 + 1
        assert max(sizes) <= sizes[80] + 100  # what is said late about a node is known for an hour
