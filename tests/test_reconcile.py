"""The decision, held against its promises: a machine that does to a fleet whatever a cloud can do to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from responder_support import T0, SimFleet, ledger, node, notice, spec
from spotkeeper_ledger import DRAIN, HELD, INTERRUPTION, REBALANCE, SCALE_IN, STOPPED, FleetLedger, FleetSpec, Pause
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Decision,
    Event,
    FleetView,
    JobEnded,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    NoticeHeard,
    State,
    Tick,
    decide,
    settle,
)
from spotkeeper_responder.drains import CALLS_PER_TICK
from spotkeeper_responder.limits import held, limited
from spotkeeper_responder.reconcile import fresh

CRASHES = ("never", "never", "never", "before remembering", "before acting", "before the outcome")
CALLS = ("signal", "resize", "terminate")


class Fleet(RuleBasedStateMachine):
    """One fleet and its responder, both at the mercy of the rules below."""

    @initialize(
        base=st.integers(0, 2),
        spot=st.integers(0, 4),
        extra=st.integers(0, 4),
        policy=st.sampled_from(["mirror", "mirror", "never", "patient"]),
        rebalance=st.sampled_from(["checkpoint", "replace", "ignore"]),
    )
    def create(self, base: int, spot: int, extra: int, policy: str, rebalance: str) -> None:
        self.now = T0
        self.spec = spec(policy, base=base, target=max(1, base + spot), maximum=base + extra, on_rebalance=rebalance)
        self.sim = SimFleet.of(self.spec)
        self.sim.spot.maximum = self.sim.backup.maximum = 20
        self.ledger: FleetLedger = fresh(self.spec)
        self.inbox: list[Event] = []
        self.doomed: dict[str, float] = {}
        self.mute: set[str] = set()
        self.told: set[str] = set()
        """Nodes of which the responder has heard, and not forgotten, that they go."""
        self.sent: Counter[str] = Counter()
        self.may_repeat: Counter[str] = Counter()
        self.enough: list[tuple[float, int]] = []
        """What on-demand size would have been enough at each look."""
        self.ended_at: float | None = None
        self.pass_time(0.0)

    # ------------------------------------------------------------ what a cloud and its users do

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0, 20.0, 61.0, 95.0, 130.0, 310.0, 700.0]), boots=st.booleans())
    def pass_time(self, seconds: float, boots: bool = True) -> None:
        self.now += seconds
        for doomed, deadline in list(self.doomed.items()):
            if self.now >= deadline:
                self.gone(doomed)
        if boots:
            self.sim.boot()
        self.inbox += self.sim.launch(self.now)
        self.sim.report(self.now, less=self.mute)

    @precondition(lambda self: self.sim.spot.live())
    @rule(data=st.data(), lies=st.booleans(), late=st.sampled_from([0.0, 0.0, 30.0, 115.0]))
    def interrupt(self, data: st.DataObject, lies: bool, late: float) -> None:
        """The cloud takes a node back, or a node only says so."""
        chosen = data.draw(st.sampled_from(self.sim.spot.live()))
        at = self.now - late
        self.inbox += [
            NoticeHeard(node=chosen, kind=INTERRUPTION, event_at=at),
            NoticeHeard(node=chosen, kind=INTERRUPTION, event_at=at + 0.3, deadline=at + 119),
        ]
        if not lies:
            self.doomed[chosen] = at + 120

    @precondition(lambda self: self.sim.spot.live())
    @rule(data=st.data())
    def recommend(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.sim.spot.live()))
        self.inbox.append(NoticeHeard(node=chosen, kind=REBALANCE, event_at=self.now))

    @precondition(lambda self: self.sim.spot.live() or self.sim.backup.live())
    @rule(data=st.data(), heard=st.booleans())
    def user_terminates(self, data: st.DataObject, heard: bool) -> None:
        chosen = data.draw(st.sampled_from(self.sim.spot.live() + self.sim.backup.live()))
        for group in (self.sim.spot, self.sim.backup):
            if chosen in group.members:
                group.members[chosen] = State.HELD
        if heard:
            self.inbox.append(NoticeHeard(node=chosen, kind=SCALE_IN, event_at=self.now, hook="spotkeeper-terminate"))

    @precondition(lambda self: self.sim.spot.live() or self.sim.backup.live())
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """A node is lost without a word."""
        self.gone(data.draw(st.sampled_from(self.sim.spot.live() + self.sim.backup.live())))

    @precondition(lambda self: self.sim.spot.live() or self.sim.backup.live())
    @rule(data=st.data())
    def fall_silent(self, data: st.DataObject) -> None:
        self.mute.add(data.draw(st.sampled_from(self.sim.spot.live() + self.sim.backup.live())))

    @rule(room=st.integers(0, 6), why=st.sampled_from(["capacity", "capacity", "quota", "configuration"]))
    def market(self, room: int, why: str) -> None:
        self.sim.spot_capacity, self.sim.refusal = room, why

    @rule(base=st.integers(0, 2), spot=st.integers(0, 4), extra=st.integers(0, 4))
    def user_changes_sizes(self, base: int, spot: int, extra: int) -> None:
        self.spec = replace(self.spec, base=base, target=max(1, base + spot), maximum=base + extra)
        self.enough.clear()  # what was enough for another fleet says nothing

    @rule(mode=st.sampled_from([STOPPED, HELD, None, None]))
    def somebody_pauses_or_resumes(self, mode: str | None) -> None:
        self.ledger = replace(self.ledger, pause=None if mode is None else Pause(mode, self.now))
        self.enough.clear()

    @rule(hours=st.sampled_from([None, None, 0.02, 0.2]))
    def user_limits_on_demand(self, hours: float | None) -> None:
        self.spec = replace(self.spec, max_on_demand_hours=hours)
        self.enough.clear()

    @rule(group=st.sampled_from([SPOT, BACKUP]), size=st.integers(0, 6))
    def somebody_resizes_by_hand(self, group: str, size: int) -> None:
        self.sim.group(group).desired = size

    @rule()
    def agents_confirm(self) -> None:
        for name, known in self.ledger.notices.items():
            if known.stage == "signalled":
                self.sim.confirmed[name] = known.notice_id

    @rule()
    def hooks_end(self) -> None:
        self.sim.release()

    @rule(state=st.sampled_from(["finished", "failed"]))
    @precondition(lambda self: self.ended_at is None and self.now > T0 + 1000)
    def job_ends(self, state: str) -> None:
        self.ended_at = self.now
        self.inbox.append(JobEnded(state, self.now))

    def gone(self, name: str) -> None:
        self.sim.lose(name)
        self.doomed.pop(name, None)
        self.inbox.append(NodeGone(name))

    # ------------------------------------------------------------ what the responder is made to do

    @rule(
        data=st.data(),
        tick=st.booleans(),
        crash=st.sampled_from(CRASHES),
        failing=st.sets(st.sampled_from(CALLS), max_size=1),
    )
    def deliver(self, data: st.DataObject, tick: bool, crash: str, failing: set[str]) -> None:
        """Some of what was ever said arrives: late, again, in any order. The rest may come later, or never."""
        heard = data.draw(st.lists(st.sampled_from(self.inbox), max_size=6)) if self.inbox else []
        self.respond([*heard, Tick()] if tick else heard, crash=crash, failing=failing)

    @rule(kind=st.sampled_from([INTERRUPTION, REBALANCE, SCALE_IN, DRAIN]))
    def foreign(self, kind: str) -> None:
        """Promise 12: what is not ours changes nothing and costs nothing."""
        self.respond([])
        before = self.ledger
        decision = self.respond([notice(9_999, kind, self.now), NodeGone(node(9_998)), NodeLaunched(node(9_997), SPOT)])
        assert decision.ledger == replace(before, revision=decision.ledger.revision)
        assert not decision.signals

    @rule(data=st.data())
    def redeliver_at_once(self, data: st.DataObject) -> None:
        """Promise 3: the same batch once more, in another order, does nothing."""
        heard = data.draw(st.lists(st.sampled_from(self.inbox), max_size=6)) if self.inbox else []
        self.respond(heard)
        again = decide(self.spec, self.view(), self.ledger, data.draw(st.permutations(heard + heard)), self.now)
        assert again.ledger == self.ledger
        assert not again.acts

    @rule(data=st.data(), tick=st.booleans())
    def order_does_not_matter(self, data: st.DataObject, tick: bool) -> None:
        heard = data.draw(st.lists(st.sampled_from(self.inbox), max_size=8)) if self.inbox else []
        heard = [*heard, Tick()] if tick else heard
        shuffled = data.draw(st.permutations(heard + heard[:3]))
        one = decide(self.spec, self.view(), self.ledger, heard, self.now)
        assert decide(self.spec, self.view(), self.ledger, shuffled, self.now) == one

    @precondition(lambda self: self.now > T0)
    @rule(drought=st.booleans())
    def calm(self, drought: bool) -> None:
        """Left alone, the fleet comes to the right sizes by ticks only: nobody need ever hear of an event."""
        self.sim.spot_capacity, self.sim.refusal = (0 if drought else 100), "capacity"
        self.mute.clear()
        self.ledger = replace(self.ledger, pause=None)
        self.spec = replace(self.spec, max_on_demand_hours=None)
        if self.ended_at is not None:
            self.inbox.append(JobEnded("finished", self.ended_at))
        for _ in range(16):
            self.agents_confirm()
            self.sim.release()
            self.pass_time(120.0)
            refused = [e for e in self.inbox if isinstance(e, LaunchFailed)]  # a tick looks for them
            ended = [e for e in self.inbox if isinstance(e, JobEnded)]
            self.respond([Tick(), *refused, *ended])
        self.inbox.clear()
        self.sim.release()
        spot, backup = self.sim.spot, self.sim.backup
        sizes = (spot.desired, len(spot.live()), backup.desired, len(backup.live()))
        if self.ended_at is not None:
            assert sizes == (0, 0, 0, 0), "promise 14: a job that is over costs nothing"
            return
        target, there = self.spec.spot_target, len(spot.live())
        wanted = 0 if self.spec.policy.name == "never" else target - there
        on_demand = min(self.spec.maximum, self.spec.base + wanted)
        assert there == target or drought
        assert sizes == (target, there, on_demand, on_demand)

    # ------------------------------------------------------------ the responder, and what is checked of it

    def view(self) -> FleetView:
        return self.sim.seen(self.spec)

    def respond(self, events: Sequence[Event], *, crash: str = "never", failing: set[str] = frozenset()) -> Decision:  # type: ignore[assignment]
        before, seen_now = self.ledger, self.view()
        self.told |= {e.node for e in events if isinstance(e, NoticeHeard) and e.kind != REBALANCE}
        decision = decide(self.spec, seen_now, before, events, self.now)
        self.check(before, seen_now, events, decision)
        if crash == "before remembering":
            self.told = {n for n, known in before.notices.items() if known.kind not in (REBALANCE, DRAIN)}
            return decision
        self.ledger = replace(decision.ledger, revision=before.revision + 1)
        if crash == "before acting":
            return decision
        signalled, terminated = self.act(decision, failing)
        if crash == "before the outcome":
            self.may_repeat.update(signalled.values())
            return decision
        self.ledger = settle(self.ledger, signalled, terminated, self.now)
        return decision

    def act(self, decision: Decision, failing: set[str]) -> tuple[dict[str, str], list[str]]:
        signalled = {} if "signal" in failing else {s.node: s.notice_id for s in decision.signals}
        self.sent.update(signalled.values())
        if "resize" not in failing:
            for group, size in decision.sizes.items():
                self.sim.group(group).desired = size
        if "terminate" in failing:
            return signalled, []
        for termination in decision.terminations:
            self.sim.terminate(termination)
            self.inbox.append(NoticeHeard(node=termination.node, kind=SCALE_IN, event_at=self.now, hook="h"))
        return signalled, [t.node for t in decision.terminations]

    def check(self, before: FleetLedger, seen_now: FleetView, events: Sequence[Event], decision: Decision) -> None:
        after, tick = decision.ledger, any(isinstance(e, Tick) for e in events)
        over = after.job_ended_at is not None
        released = after.job_ended_at is not None and self.now - after.job_ended_at >= self.spec.linger_seconds
        gone = {e.node for e in events if isinstance(e, NodeGone)}
        spot = self.serving(before, after, seen_now, gone)
        if held(after):
            assert not (decision.sizes or decision.completions or decision.terminations), "it was to be left alone"
            assert (after.spot_desired, after.backup_desired) == (before.spot_desired, before.backup_desired)
            return
        self.check_calls(seen_now, decision, gone, tick=tick, released=released)
        if over:
            return
        wanted = limited(self.spec, after, self.now)
        self.check_lowered(wanted, before, after, seen_now, spot, tick=tick)
        self.check_raised(wanted, before, after, seen_now, len(spot), gone)

    def serving(self, before: FleetLedger, after: FleetLedger, seen_now: FleetView, gone: set[str]) -> set[str]:
        """Spot nodes that serve, by an account of our own; those that this very decision lets go still do."""
        found = set()
        for instance in seen_now.spot.instances:
            name = instance.node
            if instance.state is not State.IN_SERVICE or name in self.told | gone:
                continue
            heard_at = seen_now.reported_at.get(name)
            if heard_at is None:
                quiet = self.now - after.seen[name].first_at > 600
            else:  # who had reported at the last tick has not fallen silent since: that takes another tick to tell
                quiet = self.now - heard_at > 90 and (before.ticked_at is None or before.ticked_at - heard_at > 45)
            drained = name in before.notices and before.notices[name].kind != REBALANCE
            found |= set() if quiet or drained else {name}
        return found

    def check_raised(
        self,
        wanted: FleetSpec,
        before: FleetLedger,
        after: FleetLedger,
        seen_now: FleetView,
        serving: int,
        gone: set[str],
    ) -> None:
        """Promise 1: never more is bought than is missing, nor, once it is known to be lost, less."""
        target, base, most = wanted.spot_target, wanted.base, wanted.maximum
        shortfall = max(0, target - serving)
        since = self.now if before.shortfall_since is None else before.shortfall_since
        assert after.shortfall_since == (since if shortfall else None)
        lasted = self.now - since
        buys = {"never": False, "mirror": True, "patient": lasted >= 600}[self.spec.policy.name]
        held = seen_now.backup.desired if before.backup_desired is None else before.backup_desired
        size = after.backup_desired
        assert size is not None
        assert base <= size <= max(most, held)
        assert size <= max(held, base + (shortfall if buys else 0)), "promise 1: more than is missing"
        pending = [i.node for i in seen_now.spot.live if i.state is State.PENDING and i.node not in self.told | gone]
        lost = {i.node for i in seen_now.spot.instances if i.node in self.told and i.node not in gone}
        owed = min(shortfall - len(pending), len(lost)) if buys else 0
        assert size >= min(most, base + max(0, owed)), "promise 1: lost nodes were not replaced"

    def check_lowered(
        self,
        wanted: FleetSpec,
        before: FleetLedger,
        after: FleetLedger,
        seen_now: FleetView,
        serving: set[str],
        *,
        tick: bool,
    ) -> None:
        """Promise 2: given back on a tick only, and only what has not been needed for the whole hysteresis."""
        joined = sum(name in seen_now.reported_at for name in serving)
        never = self.spec.policy.name == "never"
        needed = wanted.base + (0 if never else max(0, wanted.spot_target - joined))
        self.enough.append((self.now, min(wanted.maximum, needed)))
        if (
            before.backup_desired is None
            or after.backup_desired is None
            or after.backup_desired >= before.backup_desired
        ):
            return
        assert tick
        if after.backup_desired < min(before.backup_desired, wanted.maximum):
            window = [need for at, need in self.enough if at > self.now - self.spec.hysteresis_seconds]
            assert after.backup_desired >= max(window), "promise 2: given back what was needed a moment ago"
            assert before.surplus_since is not None
            assert self.now - before.surplus_since >= self.spec.hysteresis_seconds

    def check_calls(
        self, seen_now: FleetView, decision: Decision, gone: set[str], *, tick: bool, released: bool
    ) -> None:
        """Promise 2: no size chooses a victim; who is terminated was named, told, and had its time."""
        if not tick:
            assert not decision.terminations
            assert not decision.completions
        assert len(decision.terminations) + len(decision.completions) <= CALLS_PER_TICK
        assert decision.sizes.get(BACKUP, 0) <= max(self.spec.maximum, len(seen_now.backup.live))
        if released:
            assert set(decision.sizes.values()) <= {0}
            return
        for name, group in seen_now.groups():
            # Those whose termination is under way go by name.
            ended = {n for n, r in decision.ledger.notices.items() if r.stage == "ended" and r.kind != REBALANCE}
            live = [i for i in group.live if i.node not in gone | ended]
            assert decision.sizes.get(name, len(live)) >= len(live), "promise 2: a size may have chosen a victim"
        for termination in decision.terminations:
            known = decision.ledger.notices[termination.node]
            confirmed = seen_now.reports.get(termination.node)
            assert known.kind != REBALANCE
            assert known.deadline is not None
            had_its_time = self.now >= known.deadline
            assert had_its_time or (confirmed is not None and confirmed.notice_id == known.notice_id)

    @invariant()
    def signalled_once(self) -> None:
        """Promise 3: one notice, one signal; a second one only where the first one's sender died before it said so."""
        for ident, times in getattr(self, "sent", Counter()).items():
            if ident.endswith(":leaving"):
                assert times <= 1 + self.may_repeat[ident], ident

    @invariant()
    def one_record_a_node(self) -> None:
        for name, known in getattr(self, "ledger", ledger()).notices.items():
            assert known.notice_id.startswith(name)
            assert known.kind == REBALANCE or known.deadline is not None


Fleet.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFleet = Fleet.TestCase
