"""The decision: from what is wanted, seen, remembered and heard to what is remembered next and done. Pure.

No clock, no I/O, no cloud: the same call gives the same answer in the function, in a rehearsal and in a simulation.
Sizes follow from what is *seen*; events only make it look sooner, or tell what cannot be seen. So an event that is
lost, repeated, late or out of order changes nothing but the delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from spotkeeper_ledger import FleetLedger, FleetSpec, NoticeRecord, Signal
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder import announcements, drains, limits, notices, plans, sizes
from spotkeeper_responder import strength as strengths
from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.model import (
    BACKUP,
    CONFIGURATION,
    QUOTA,
    SPOT,
    Announcement,
    Decision,
    Event,
    Facts,
    FleetView,
    JobEnded,
    NodeGone,
    Tick,
)
from spotkeeper_responder.plans import Planned
from spotkeeper_responder.strength import Strength


@dataclass(frozen=True, eq=False, repr=False)
class Holding(Fact):
    """What a fleet is to hold, and what that was settled on."""

    ledger: FleetLedger
    """With the sizes to hold in it."""
    spec: FleetSpec
    """What the fleet may hold at present, in place of what its user wants."""
    strength: Strength
    """Of the spot group, by that."""
    planned: Planned
    """What the policy that plans ahead has answered."""


def decide(spec: FleetSpec, view: FleetView, ledger: FleetLedger, events: Sequence[Event], now: float) -> Decision:
    """Decide what to remember and what to do.

    Args:
        spec: what the user wants.
        view: both groups and the agents' reports, as they are now.
        ledger: what was remembered last; of another incarnation, it counts as nothing.
        events: what was heard, in any order.
        now: Unix seconds.

    Returns:
        The decision. Its ledger has the revision that came in: whoever writes it raises that.

    Raises:
        UnknownPolicy: The spec names a policy that this code does not have.
    """
    tick = any(isinstance(event, Tick) for event in events)
    view = view.without({event.node for event in events if isinstance(event, NodeGone)})
    before = fresh(spec, ledger.revision) if ledger.incarnation != spec.incarnation else ledger
    after = _job(before, events, now)
    after = _heard(spec, view, after, events, now, tick=tick)
    holding = hold(spec, view, after, now, tick=tick)
    after, allowed, strength = holding.ledger, holding.spec, holding.strength
    if holding.planned.saves:
        word = plans.save_now(holding.planned.saves, now)
        after = replace(after, notices=notices.hear(spec, view, after.notices, [word], now, job_over=False))
    if tick and after.job_ended_at is None and not limits.held(after):
        after = replace(after, notices=drains.drained(allowed, view, after, now))
    if tick:
        after = replace(after, announcements=announcements.remembered(spec, after, now))
    facts = _facts(spec, view, before, after, strength, now)
    after = replace(after, ticked_at=now) if tick else after  # last: who is silent goes by the tick before
    decision = Decision(
        ledger=after,
        signals=notices.due(before.notices, after.notices, now),
        standing=_standing(after),
        announcements=announcements.due(spec, view, after) if tick else (),
        facts=facts,
    )
    return _acting(allowed, view, decision, now, tick=tick)


def hold(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float, *, tick: bool, policy: Deadline | None = None
) -> Holding:
    """Settle what the fleet is to hold: what comes between hearing and acting, and all that a simulation plays.

    Args:
        spec: what the user wants.
        view: both groups and the agents' reports, as they are now.
        ledger: holds this moment's notices, nodes seen and account.
        now: Unix seconds.
        tick: whether time is taken: only then anything is lowered. The policy ``deadline`` is asked then, and when spot
            falls below strength.
        policy: in place of the one that ``spec.deadline`` describes; a job that is over, or that a person has stopped,
            needs no plan of either.
    """
    planned, strength = Planned(ledger), strengths.measure(spec, view, ledger, now)
    if ledger.job_ended_at is None and ledger.pause is None and (tick or _lost(spec, view, ledger, now)):
        planned = plans.planned(spec, view, ledger, strength, now, policy)
    ledger = planned.ledger
    allowed = limits.limited(plans.limited(spec, ledger), ledger, now)
    strength = strength if allowed is spec else strengths.measure(allowed, view, ledger, now)
    ledger = _clocks(view, ledger, strength, now, counts=allowed is spec or allowed == spec, tick=tick)
    return Holding(_sized(allowed, view, ledger, strength, now, tick=tick), allowed, strength, planned)


def _lost(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> bool:
    """Whether spot has just fallen below strength, which the policy ``deadline`` need not learn from the next tick."""
    if spec.deadline is None or ledger.shortfall_since is not None:
        return False
    allowed = limits.limited(plans.limited(spec, ledger), ledger, now)
    return strengths.measure(allowed, view, ledger, now).shortfall > 0


def fresh(spec: FleetSpec, revision: int = 0) -> FleetLedger:
    """Return the memory of a fleet of which nothing is remembered; ``revision`` is that of what it replaces."""
    return FleetLedger(fleet=spec.fleet, incarnation=spec.incarnation, revision=revision)


def settle(
    ledger: FleetLedger,
    signalled: Mapping[str, str],
    terminated: Iterable[str],
    now: float,
    *,
    announced: Iterable[Announcement] = (),
) -> FleetLedger:
    """Return the ledger with the outcome of what was done.

    Args:
        ledger: the one that was acted on, or a later one.
        signalled: notice ids that were signalled, by node.
        terminated: nodes whose termination the cloud has accepted.
        now: Unix seconds.
        announced: what people were told of.
    """
    after: dict[str, NoticeRecord] = dict(ledger.notices)
    for node, ident in signalled.items():
        record = after.get(node)
        if record and record.notice_id == ident and record.stage == notices.SENDING:
            after[node] = replace(record, stage=notices.SIGNALLED, signalled_at=now)
    for node in terminated:
        record = after.get(node)
        if record and not notices.over(record):
            after[node] = replace(record, stage=notices.ENDED, ended_at=now)
    return replace(ledger, notices=after, announcements=announcements.told(ledger, announced, now))


def _job(ledger: FleetLedger, events: Iterable[Event], now: float) -> FleetLedger:
    """What has ended stays ended: a job is never restarted by a late word."""
    ended = [event for event in events if isinstance(event, JobEnded)]
    if not ended or ledger.job_ended_at is not None:
        return ledger
    first = min(ended, key=lambda event: (event.at, event.state))
    return replace(ledger, job_state=first.state, job_ended_at=min(first.at, now))


def _heard(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, events: Sequence[Event], now: float, *, tick: bool
) -> FleetLedger:
    job_over = ledger.job_ended_at is not None
    if tick:
        ledger = limits.accounted(spec, view, plans.accounted(spec, view, ledger, events, now), now)
    records = _confirmed(view, notices.hear(spec, view, ledger.notices, events, now, job_over=job_over))
    return replace(
        ledger,
        notices=records,
        failures=sizes.record_failures(ledger, events, now),
        seen=strengths.see(spec, view, ledger.seen, records, now, tick=tick),
    )


def _confirmed(view: FleetView, records: Mapping[str, NoticeRecord]) -> dict[str, NoticeRecord]:
    """Note the steps that nodes have confirmed for the notices they are under."""
    after = dict(records)
    for node, report in view.reports.items():
        record = after.get(node)
        if record and report.notice_id == record.notice_id and report.confirmed_step is not None:
            after[node] = replace(record, confirmed_step=report.confirmed_step)
    return after


def _clocks(
    view: FleetView, ledger: FleetLedger, strength: Strength, now: float, *, counts: bool, tick: bool
) -> FleetLedger:
    """Note since when spot is short; ``counts`` says that it is asked for, so that how long it was tells something.

    Who is gone is forgotten on ticks only: a node that is replaced between two of them is still to be accounted for.
    """
    if strength.shortfall:
        return ledger if ledger.shortfall_since is not None else replace(ledger, shortfall_since=now)
    seen = strengths.forget(view, ledger.seen) if tick else ledger.seen
    if ledger.shortfall_since is None:
        return ledger if len(seen) == len(ledger.seen) else replace(ledger, seen=seen)
    ledger = plans.gap_over(ledger, now) if counts else ledger
    return replace(ledger, shortfall_since=None, seen=seen)


def _sized(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, strength: Strength, now: float, *, tick: bool
) -> FleetLedger:
    """Settle what to hold. A job that is over buys nothing and gives nothing back, until it gives back everything."""
    if limits.held(ledger):
        return replace(ledger, surplus_since=None, surplus_wanted=None)  # what is enough is looked at anew afterwards
    if limits.released(spec, ledger, now):
        return replace(ledger, spot_desired=0, backup_desired=0, surplus_since=None, surplus_wanted=None)
    size = sizes.held(spec, view, ledger, now)
    if ledger.spot_desired != max(0, spec.spot_target):
        ledger = replace(ledger, spot_desired=max(0, spec.spot_target))
    if ledger.job_ended_at is not None:
        return replace(ledger, backup_desired=size)
    size = sizes.raised(spec, strength, ledger, size, now)
    return sizes.lowered(spec, strength, ledger, size, now, tick=tick)


def _acting(spec: FleetSpec, view: FleetView, decision: Decision, now: float, *, tick: bool) -> Decision:
    """Add what brings both groups from what they are to what the ledger says they should hold."""
    ledger = decision.ledger
    if limits.held(ledger):
        return decision
    if limits.released(spec, ledger, now):
        target = {name: 0 if tick else group.desired for name, group in view.groups()}
        named = drains.dismissals(view)
    else:
        wanted = {SPOT: ledger.spot_desired or 0, BACKUP: ledger.backup_desired or 0}
        target = {name: sizes.resized(spec, view, name, wanted[name], ledger, now) for name in wanted}
        named = drains.terminations(spec, view, ledger, target, now)
    hooks = drains.completions(spec, view, ledger, now)[: drains.CALLS_PER_TICK]
    return replace(
        decision,
        sizes={name: target[name] for name, group in view.groups() if target[name] != group.desired},
        completions=tuple(hooks) if tick else (),
        terminations=tuple(named[: drains.CALLS_PER_TICK - len(hooks)]) if tick else (),
    )


def _standing(ledger: FleetLedger) -> tuple[Signal, ...]:
    signals = [notices.signal_of(node, record) for node, record in ledger.notices.items() if not notices.over(record)]
    return tuple(sorted(signals, key=lambda signal: (-signal.at, signal.node)))


def _facts(
    spec: FleetSpec, view: FleetView, before: FleetLedger, after: FleetLedger, strength: Strength, now: float
) -> Facts:
    def new(failure_class: str) -> int:
        names = [sizes.failure_key(group, failure_class) for group in (SPOT, BACKUP)]
        return sum(_count(after, name) - _count(before, name) for name in names)

    return Facts(
        shortfall=strength.shortfall,
        backup_size=after.backup_desired or 0,
        silent=strengths.silent(spec, view, after, now),
        drought=sizes.refusals(spec, after).refused,
        quota_failures=new(QUOTA),
        configuration_failures=new(CONFIGURATION),
        cap_reached=limits.used_up(spec, after),
        paused=after.pause is not None,
        deadline_at_risk=bool(plans.problem(after)),
    )


def _count(ledger: FleetLedger, name: str) -> int:
    return ledger.failures[name].count if name in ledger.failures else 0
