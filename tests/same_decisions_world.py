"""One course of a market, played through the simulator's responder and the function's whole decision, look by look.

The simulator's (:mod:`spotkeeper_lab.simulator.responder`) takes part in the course. Beside it stands a fleet whose
groups have the same nodes at the same time, by name, and of which :func:`spotkeeper_responder.decide` is asked at every
tick, and at every event: with its own spec and its own ledger, from one decision to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from spotkeeper_lab.simulator import Job, Market, play
from spotkeeper_lab.simulator.player import Seen, Wanted
from spotkeeper_lab.simulator.responder import Responder
from spotkeeper_ledger import INTERRUPTION, DeadlineSpec, FleetLedger, FleetSpec, PolicySpec, PriceRecord, Progress
from spotkeeper_responder import (
    CAPACITY,
    SPOT,
    Deadline,
    Decision,
    FleetView,
    GroupView,
    Instance,
    LaunchFailed,
    Mirror,
    Never,
    NodeGone,
    NoticeHeard,
    Patient,
    PriceTold,
    State,
    Tick,
    decide,
    settle,
)
from spotkeeper_responder.notices import leaving
from spotkeeper_responder.reconcile import fresh

EPOCH = 2.0**30
"""The course's beginning, Unix seconds; a power of two, so that times are the same to the last bit."""
STEPS = 2**40
ENDLESS = 1e12
"""An excess that never ends: what a fleet has instead of a policy without the rule on money."""


def spec_of(policy, job, on_demand_price, hysteresis):
    """The fleet as its user declares it."""
    terms = None
    if isinstance(policy, Deadline):
        terms = DeadlineSpec(
            on_demand_price=on_demand_price,
            at=EPOCH + job.deadline_seconds,
            work_hours=job.work_seconds / job.usual_speed / 3600,
            excess=policy.excess if policy.money else ENDLESS,
            restart_seconds=policy.restart,
            release_seconds=policy.release or 0.0,
        )
    names = {Never: "never", Mirror: "mirror", Patient: "patient", Deadline: "deadline"}
    return FleetSpec(
        fleet="shop-prod-resnet",
        incarnation="AROATEST",
        cloud="aws",
        region="us-east-1",
        target=job.nodes,
        base=job.base,
        maximum=job.nodes,
        spot_group="spotkeeper-shop-prod-resnet-spot",
        backup_group="spotkeeper-shop-prod-resnet-backup",
        policy=PolicySpec(names[type(policy)], wait_seconds=getattr(policy, "wait_seconds", 600.0)),
        hysteresis_seconds=hysteresis,
        min_nodes=None if job.gang else job.least,
        deadline=terms,
    )


@dataclass
class Group:
    """A group's nodes by name, the oldest first; those that boot are the last."""

    name: str
    desired: int
    nodes: list[str] = field(default_factory=list)
    ready: int = 0
    launched: int = 0
    leaving: dict[str, float] = field(default_factory=dict)
    """Nodes under notice, and when they go."""

    def follow(self, held: int, ready: int, lost: int, ledger: FleetLedger) -> list[str]:
        """Have as many nodes as the simulator's group; return those that the cloud has taken."""
        taken, self.nodes = self.nodes[:lost], self.nodes[lost:]
        drained = [node for node in self.nodes if leaving(ledger.notices.get(node))]
        assert len(self.nodes) - len(drained) <= held, "who has been given back was named"
        self.nodes = [node for node in self.nodes if node not in drained]
        for _ in range(held - len(self.nodes)):
            self.launched += 1
            self.nodes.append(f"{self.name}-{self.launched}")
        self.ready = ready
        return taken

    def seen(self) -> GroupView:
        states = [State.IN_SERVICE] * self.ready + [State.PENDING] * (len(self.nodes) - self.ready)
        states += [State.IN_SERVICE] * len(self.leaving)
        return GroupView(self.name, self.desired, 100, tuple(map(Instance, [*self.nodes, *self.leaving], states)))


class Fleet:
    """What the function decides of one fleet, from look to look."""

    def __init__(self, spec: FleetSpec, job: Job, *, warned: bool) -> None:
        self.spec, self.job, self.warned = spec, job, warned
        self.ledger = fresh(spec)
        self.spot, self.backup = Group("spot", spec.spot_target), Group("backup", spec.base)
        self.told_by = "nobody"

    def look(self, seen: Seen, *, ticks: bool) -> Decision:
        """Hear what has happened, and decide. What has been paid is told by the simulator, which knows it exactly."""
        now = EPOCH + float(seen.now[0])
        refused = int(seen.spot_held[0]) < self.spot.desired
        taken = self.spot.follow(int(seen.spot_held[0]), int(seen.spot_ready[0]), int(seen.lost[0]), self.ledger)
        self.backup.follow(int(seen.on_demand_held[0]), int(seen.on_demand_ready[0]), 0, self.ledger)
        if self.ledger.account is not None:
            account = replace(self.ledger.account, spent=float(seen.spent[0]))
            self.ledger = replace(self.ledger, account=account, accounted_at=now)
        self.spot.leaving = {node: until for node, until in self.spot.leaving.items() if until > now}
        if self.warned:
            self.spot.leaving |= dict.fromkeys(taken, now + self.spec.notice_seconds)
        events = [NoticeHeard(node=n, kind=INTERRUPTION, event_at=now) if self.warned else NodeGone(n) for n in taken]
        events += [LaunchFailed(SPOT, CAPACITY, now)] if refused else []
        events += [PriceTold(PriceRecord(float(seen.price[0]), now)), Tick()] if ticks else []
        decision = decide(self.spec, self.view(seen, now), self.ledger, events, now)
        sent = {signal.node: signal.notice_id for signal in decision.signals}
        self.ledger = settle(decision.ledger, sent, (), now)
        self.spot.desired, self.backup.desired = self.ledger.spot_desired, self.ledger.backup_desired
        return decision

    def view(self, seen: Seen, now: float) -> FleetView:
        ready = [*self.spot.nodes[: self.spot.ready], *self.backup.nodes[: self.backup.ready]]
        self.told_by = ready[0] if ready else self.told_by
        each = STEPS / self.job.work_seconds
        works = not self.job.gang and seen.standstill[0] <= 0 < seen.done[0]
        nodes = min(len(ready), self.job.nodes) if works else None
        progress = Progress(
            self.spec.fleet,
            self.spec.incarnation,
            1,
            self.told_by,
            now,
            step=round(each * float(seen.done[0])),
            total=STEPS,
            steps_per_second=None if nodes is None else each * self.job.speed_by_nodes()[nodes],
            published_step=round(each * float(seen.saved[0])),
            published_at=now,
            nodes=nodes,
        )
        reported = dict.fromkeys([*ready, *self.spot.leaving], now)
        return FleetView(self.spot.seen(), self.backup.seen(), reported_at=reported, progress=progress)


class Both:
    """The simulator's player of one window, held against the function at every tick and at every loss."""

    def __init__(self, responder: Responder, job: Job, windows, *, warned: bool) -> None:
        self.player = responder.begin(job, windows)
        self.period, self.spot_at_first = self.player.period, self.player.spot_at_first
        price = windows.market.on_demand_price
        spec = spec_of(responder.policy, job, price, responder.hysteresis_seconds)
        self.fleet = Fleet(spec, job, warned=warned)
        self.looks: list[dict[str, object]] = []

    def decide(self, seen: Seen) -> Wanted:
        ticks = not seen.lost[0] or bool(self.player.due(seen)[0])
        wanted = self.player.decide(seen)
        if seen.asked[0]:
            decision, at = self.fleet.look(seen, ticks=ticks), round(float(seen.now[0]))
            self.looks.append({"at": at, **said(wanted, self.player.ledger(0))})
            assert self.looks[-1] == {"at": at, **meant(decision)}
            asked = [plan_at(self.player.ledger(0)) == at, plan_at(decision.ledger) == EPOCH + at]
            assert ticks or len(set(asked)) == 1, (
                f"at {at} s, between two ticks, the policy is asked by both or by none"
            )
            if ticks:
                assert markets_seen(self.player.ledger(0)) == markets_seen(decision.ledger), f"at {at} s"
        return replace(wanted, again=np.full(1, self.period))


def said(wanted: Wanted, ledger: FleetLedger) -> dict[str, object]:
    """What the simulator does at a look, and what it has in mind."""
    return {
        "on demand": int(wanted.on_demand[0]),
        "spot": int(wanted.spot[0]),
        "saves": bool(wanted.save[0]),
        **in_mind(ledger),
    }


def meant(decision: Decision) -> dict[str, object]:
    """The same of the function."""
    ledger = decision.ledger
    return {
        "on demand": ledger.backup_desired,
        "spot": ledger.spot_desired,
        "saves": any(signal.drill for signal in decision.signals),
        **in_mind(ledger),
    }


def in_mind(ledger: FleetLedger) -> dict[str, object]:
    account = ledger.account
    clocks = {
        name: None if at is None else at % EPOCH
        for name, at in (("short since", ledger.shortfall_since), ("surplus since", ledger.surplus_since))
    }
    if account is None or account.plan is None:
        return clocks
    plan = account.plan
    return {
        **clocks,
        "buys": plan.buys,
        "asks for spot": plan.spot,
        "final": plan.final,
        "problem": plan.problem,
    }


def plan_at(ledger: FleetLedger) -> float | None:
    return ledger.account.plan.at if ledger.account and ledger.account.plan else None


def markets_seen(ledger: FleetLedger):
    return (ledger.account.spells, ledger.account.gaps, ledger.account.speeds) if ledger.account else None


@dataclass(frozen=True)
class Compared:
    """A policy of the simulator that is not alone."""

    responder: Responder
    warned: bool
    players: list[Both] = field(default_factory=list)
    name: str = "compared"

    def begin(self, job, windows):
        self.players.append(Both(self.responder, job, windows, warned=self.warned))
        return self.players[-1]


def compare(policy, whole: Market, job: Job, hysteresis: float = 0.0, *, warned: bool = False):
    """Play a job in a market through both, and return what was decided at each look.

    Nodes that are lost are gone, or, if the function is ``warned``, under notice and still there for two minutes.
    """
    both = Compared(Responder(name="x", policy=policy, hysteresis_seconds=hysteresis), warned)
    play(job, whole.windows([0], whole.ticks), both)
    return both.players[0].looks


def changes(looks, *names):
    """When something was decided otherwise than before."""
    found = []
    for look in looks:
        decided = tuple(look[name] for name in names)
        if not found or found[-1][1:] != decided:
            found.append((look["at"], *decided))
    return found
