"""The responder at work in a market: the very functions that decide in the cloud, fed with what they would see there.

Each window has a ledger, and both groups are shown to :func:`spotkeeper_responder.reconcile.hold` as their cloud would
show them. What is left to do here is what the function hears of: which nodes have come and gone, that the market has
no room, what has been paid, and how far the job is. It is not called again while its own answer says that it still
holds.

A look is a tick, but for one at which nodes have been lost: that is an event, and the next tick comes a period later.
Nodes are lost with the notice, those first that were launched first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.market import Windows
from spotkeeper_lab.simulator.player import Seen, Wanted
from spotkeeper_ledger import (
    Account,
    DeadlineSpec,
    FailureRecord,
    FleetLedger,
    FleetSpec,
    PolicySpec,
    PriceRecord,
    Progress,
)
from spotkeeper_ledger.facts import but
from spotkeeper_responder import (
    CAPACITY,
    Deadline,
    FleetView,
    GroupView,
    Instance,
    State,
    notices,
    plans,
    settle,
    strength,
)
from spotkeeper_responder.fallback import Mirror, Never, Patient, Situation
from spotkeeper_responder.policies import policy_of
from spotkeeper_responder.reconcile import Holding, fresh, hold

STEPS = 2**40
"""In how many steps the job tells its progress: so many that rounding them moves nothing."""
SOON = 1e-6
NOBODY = GroupView("", 0, 0)


@dataclass(frozen=True, kw_only=True)
class Responder:
    """A policy of the responder."""

    name: str
    policy: Never | Mirror | Patient | Deadline
    period: float = 60.0
    """Seconds between two ticks of the responder."""
    hysteresis_seconds: float = 0.0
    """For how long spot has to be back before on-demand is given back."""
    elastic: bool = True
    """Whether the job tells on how many nodes it runs, as it does of an elastic fleet."""

    def begin(self, job: Job, windows: Windows) -> Responding:
        """Return it as it is before the first tick."""
        return Responding(self, job, windows)

    def spec(self, job: Job, on_demand_price: float) -> FleetSpec:
        """Return the fleet that has this policy."""
        terms = None
        if isinstance(self.policy, Deadline):
            terms = DeadlineSpec(
                on_demand_price=on_demand_price,
                at=job.deadline_seconds,
                work_hours=job.work_seconds / job.usual_speed / 3600,
                excess=self.policy.excess,
                restart_seconds=self.policy.restart,
                release_seconds=self.policy.restart if self.policy.release is None else self.policy.release,
                period_seconds=self.period,
            )
        named = {Never: "never", Mirror: "mirror", Patient: "patient"}.get(type(self.policy), "deadline")
        wait = self.policy.wait_seconds if isinstance(self.policy, Patient) else 0.0
        return FleetSpec(
            fleet="simulated",
            incarnation="",
            cloud="",
            region="",
            target=job.nodes,
            base=job.base,
            maximum=job.nodes,
            spot_group="spot",
            backup_group="backup",
            policy=PolicySpec(named, wait_seconds=wait),
            hysteresis_seconds=self.hysteresis_seconds,
            min_nodes=job.least if self.elastic else None,
            deadline=terms,
        )


class Responding:
    """A responder for each window."""

    def __init__(self, responder: Responder, job: Job, windows: Windows) -> None:
        self.period, self.spot_at_first = responder.period, job.nodes - job.base
        self.spec = responder.spec(job, windows.market.on_demand_price)
        self._policy = responder.policy if isinstance(responder.policy, Deadline) else None
        size = len(windows)
        self._fleets = [_Fleet(self.spec) for _ in range(size)]
        self._job = job
        self._told = Progress(self.spec.fleet, self.spec.incarnation, 1, "", 0.0, total=STEPS)
        self._tells = self._policy is not None and self.spec.min_nodes is not None and not job.gang
        self._speeds = job.speed_by_nodes()
        # An answer holds until an invariant may break; a save is asked for a restart and a tick before that.
        early = self._policy is not None and (job.notice_coverage < 1 or not math.isinf(job.checkpoint_seconds))
        self._margin = self._policy.period + self._policy.restart if self._policy and early else 0.0
        self._on_demand = np.full(size, job.base, dtype=np.int64)
        self._spot = np.full(size, job.nodes - job.base, dtype=np.int64)
        self._saves = np.zeros(size, dtype=bool)
        self.until = np.full(size, -np.inf)
        """When the next tick has to be looked at: none before it would change anything."""
        self._held = np.zeros(size, dtype=np.int64)
        self._ready = np.zeros(size, dtype=np.int64)
        self._backups = np.zeros(size, dtype=np.int64)
        self._price = np.full(size, -1.0)
        self._minds = np.full(size, self._policy is not None)  # what spot costs

    def decide(self, seen: Seen) -> Wanted:
        """Ask where something has changed, or the last answer holds no longer."""
        changed = (seen.spot_held != self._held) | (seen.lost > 0) | (seen.spot_ready != self._ready)
        self._saves[:] = False
        told = self._minds & (seen.price != self._price) | self._tells & (seen.on_demand_ready != self._backups)
        for row in np.flatnonzero(seen.asked & (changed | told | self.due(seen))):
            self._look(int(row), seen, changed=bool(changed[row]))
        for mine, theirs in (
            (self._held, seen.spot_held),
            (self._ready, seen.spot_ready),
            (self._backups, seen.on_demand_ready),
            (self._price, seen.price),
        ):
            np.copyto(mine, theirs, where=seen.asked)
        again = np.maximum(self.until - seen.now, self.period)
        return Wanted(on_demand=self._on_demand, spot=self._spot, save=self._saves, again=again)

    def due(self, seen: Seen) -> np.ndarray:
        """Where a tick has to be looked at, whatever else has happened."""
        return np.asarray(seen.now >= self.until - SOON)

    def ledger(self, row: int) -> FleetLedger:
        """Return what a window's fleet remembers."""
        return self._fleets[row].ledger

    def _look(self, row: int, seen: Seen, *, changed: bool) -> None:
        fleet, now, lost = self._fleets[row], float(seen.now[row]), int(seen.lost[row])
        held, tick = int(seen.spot_held[row]), not lost or bool(self.due(seen)[row])
        price = float(seen.price[row]) if tick else None
        fleet.told(float(seen.spent[row]), price, now, refuses=held < self._spot[row])
        if changed:
            fleet.counted(held, int(seen.spot_ready[row]), lost, now, before=now - self.period)
        if tick:
            fleet.accounted(now)
        view = fleet.view(now, self._progress(row, seen, now))
        holding = hold(self.spec, view, fleet.ledger, now, tick=tick, policy=self._policy)
        fleet.settled(holding.ledger)
        self._on_demand[row] = holding.ledger.backup_desired or 0
        self._spot[row] = holding.ledger.spot_desired or 0
        answer = holding.planned.answer
        if answer is not None:
            self._minds[row] = not answer.final
            self._saves[row] = answer.checkpoint and fleet.saves(now)
        self.until[row] = self._until(holding, now, held, self._nodes(row, seen)) if tick else now + self.period

    def _until(self, holding: Holding, now: float, held: int, nodes: int) -> float:
        """Return until when nothing would be decided otherwise, as long as no node comes or goes."""
        ledger, answer = holding.ledger, holding.planned.answer
        if answer is None:
            lasted = 0.0 if ledger.shortfall_since is None else now - ledger.shortfall_since
            situation = Situation(missing=holding.strength.missing, lasted=lasted)
            answer = policy_of(self.spec, ledger).answer(situation)
        until = now + min(answer.holds_seconds, self._lasts(ledger, held))
        if ledger.surplus_since is not None:
            until = min(until, ledger.surplus_since + self.spec.hysteresis_seconds)
        if ledger.shortfall_since == now and held < (ledger.spot_desired or 0):
            until = now  # whether the cloud has nodes is known at the next tick
        if self._tells and nodes >= self._job.least and ledger.account and str(nodes) not in ledger.account.speeds:
            until = now  # it tells how fast it is on so many once it runs on them
        return until

    def _lasts(self, ledger: FleetLedger, held: int) -> float:
        """Return for how long there is enough of all that the policy keeps, whatever its answer says."""
        account, terms = ledger.account, self.spec.deadline
        if account is None or terms is None or account.plan is None or account.plan.final:
            return math.inf
        time, money = account.plan.time_slack, account.plan.money_slack
        spot = account.price.price if account.price else 0.0
        hourly = terms.on_demand_price * (ledger.backup_desired or 0) + spot * held
        lasts = math.inf if time is None else time / 2 - self._margin
        if money is not None and hourly:
            most = self._margin * (terms.on_demand_price + max(spot, terms.on_demand_price)) * self.spec.target
            lasts = min(lasts, (3600 * money - most) / hourly)
        return max(0.0, lasts)

    def _nodes(self, row: int, seen: Seen) -> int:
        """Return how many nodes there are for the job."""
        return min(self._job.nodes, int(seen.spot_ready[row] + seen.on_demand_ready[row]))

    def _progress(self, row: int, seen: Seen, now: float) -> Progress:
        """Return what the job tells, an elastic one also on how many nodes it runs, and how fast."""
        each = STEPS / self._job.work_seconds
        step, published = round(each * float(seen.done[row])), round(each * float(seen.saved[row]))
        told = but(self._told, at=now, step=step, published_step=published, published_at=now)
        if not self._tells or seen.standstill[row] > 0 or seen.done[row] <= 0:
            return told
        nodes = self._nodes(row, seen)
        return but(told, nodes=nodes, steps_per_second=each * float(self._speeds[nodes]))


class _Fleet:
    """One window's ledger, and its spot nodes."""

    def __init__(self, spec: FleetSpec) -> None:
        account = Account(since=0.0, started_at=0.0) if spec.deadline else None
        self.ledger: FleetLedger = replace(fresh(spec), backup_desired=spec.base, account=account)
        self._spec = spec
        self._launched = self._turns = 0
        self._spot: tuple[Instance, ...] = ()
        self._group = NOBODY
        self._ready: Sequence[str] = ()
        self._gone = False

    def settled(self, ledger: FleetLedger) -> None:
        """Remember what was decided."""
        self.ledger = ledger
        self._turns += not ledger.backup_desired

    def told(self, spent: float, price: float | None, now: float, *, refuses: bool) -> None:
        """Note what has been paid, and what the cloud has said; prices are asked for on ticks only."""
        ledger, account = self.ledger, self.ledger.account
        failures = {CAPACITY: FailureRecord(1, now)} if refuses else ledger.failures
        if account is not None:
            account = but(account, spent=spent, price=account.price if price is None else PriceRecord(price, now))
        self.ledger = but(ledger, failures=failures, account=account)

    def counted(self, held: int, ready: int, lost: int, now: float, *, before: float) -> None:
        """Note which nodes have come and gone; ``before`` is the tick before this look."""
        gone, stay = self._spot[:lost], self._spot[lost:]
        returned = {instance.node for instance in stay[held:]}
        nodes = [instance.node for instance in stay[:held]]
        nodes += [str(self._launched + number) for number in range(held - len(nodes))]
        self._launched += max(0, held - len(stay))
        self._ready = nodes[:ready]
        states = [State.IN_SERVICE] * ready + [State.PENDING] * (held - ready)
        self._spot = tuple(map(Instance, nodes, states))
        self._group = GroupView("spot", held, held, self._spot)
        ledger, view = self.ledger, self.view(now, None)
        seen = {node: each for node, each in ledger.seen.items() if node not in returned}
        if gone:
            present = {instance.node for instance in gone}
            seen |= {n: replace(each, last_at=max(each.first_at, before)) for n, each in seen.items() if n in present}
            self._gone, ledger = True, but(ledger, ticked_at=before)
            if ready >= self._spec.spot_target and ledger.shortfall_since is None:  # replaced at once
                ledger = replace(plans.gap_over(replace(ledger, shortfall_since=now), now), shortfall_since=None)
        seen = strength.see(self._spec, view, seen, {}, now, tick=True)
        self.ledger = but(ledger, seen=seen)

    def accounted(self, now: float) -> None:
        """Note how long those that are gone have lasted, as the function does on ticks."""
        if self._gone:
            ledger = but(self.ledger, accounted_at=now)  # what has been paid is told
            self.ledger, self._gone = plans.accounted(self._spec, self.view(now, None), ledger, (), now), False

    def saves(self, now: float) -> bool:
        """Ask the job to save, and return whether it is told: not within the save gap of the last time."""
        teller = self._ready[0] if self._ready else f"on-demand-{self._turns}"
        view = FleetView(GroupView("spot", 1, 1, (Instance(teller, State.IN_SERVICE),)), NOBODY)
        known = self.ledger.notices
        told = notices.hear(self._spec, view, known, [plans.save_now(teller, now)], now, job_over=False)
        signals = {signal.node: signal.notice_id for signal in notices.due(known, told, now)}
        self.ledger = settle(replace(self.ledger, notices=told), signals, (), now)
        return bool(signals)

    def view(self, now: float, progress: Progress | None) -> FleetView:
        """Return what the cloud shows. What the on-demand group holds is nothing that anything is decided by."""
        return FleetView(self._group, NOBODY, reported_at=dict.fromkeys(self._ready, now), progress=progress)
