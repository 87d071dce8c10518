"""What the policy ``deadline`` is asked, and what becomes of its answer. Pure.

It is asked on ticks, and when spot falls below strength. Between them its last answer stands: whatever else is lost is
bought, or waited for, as was decided before, and the policy counts with the time until it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from spotkeeper_ledger import (
    DRAIN,
    REBALANCE,
    Account,
    DeadlineSpec,
    FleetLedger,
    FleetSpec,
    PlanRecord,
    PriceRecord,
    Progress,
    RestartRecord,
)
from spotkeeper_ledger.facts import Fact, but
from spotkeeper_responder import speeds
from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.fallback import Answer, Market, Situation, Work
from spotkeeper_responder.model import BACKUP, SPOT, Event, FleetView, NoticeHeard, PriceTold, State
from spotkeeper_responder.policies import Standing
from spotkeeper_responder.strength import Strength

HOUR = 3600.0
REMEMBERED = 32
"""How many spells and gaps are remembered: the latest."""
LONGEST_RESTART_SECONDS = 3600.0
"""A restart that took longer than this says something of the job, and not of the next restart."""
TOO_SLOW = 0.9
"""Part of the speed that the work was reckoned with from which on the job counts as slower than that."""
SLOWER = "the job is slower than its work_hours say, so that there is more to do than was reckoned with"


@dataclass(frozen=True, eq=False, repr=False)
class Planned(Fact):
    """A ledger with what was answered in it."""

    ledger: FleetLedger
    answer: Answer | None = None
    """``None`` where nobody was asked."""
    saves: str = ""
    """The node that is to save, empty for none."""


def accounted(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, events: Iterable[Event], now: float
) -> FleetLedger:
    """Return the ledger with what nodes have cost since it was last accounted, and how long they lasted. For ticks.

    As in :func:`~spotkeeper_responder.limits.accounted`, whose time this goes by, nodes that have come or gone since
    then count for all of the time.
    """
    if spec.deadline is None:
        return replace(ledger, account=None) if ledger.account else ledger
    account = ledger.account or Account(since=now)
    told = [event.record for event in events if isinstance(event, PriceTold)]
    price = max((*told, *([account.price] if account.price else [])), key=lambda record: record.at, default=None)
    passed = 0.0 if ledger.accounted_at is None else max(0.0, now - ledger.accounted_at)
    gone = [(node, seen) for node, seen in ledger.seen.items() if node not in view.nodes()]
    lately = [(node, seen) for node, seen in gone if ledger.ticked_at is None or seen.last_at >= ledger.ticked_at]
    spot = len(view.spot.instances) + sum(seen.group == SPOT for _, seen in lately)
    on_demand = len(view.backup.instances) + sum(seen.group == BACKUP for _, seen in lately)
    dollars = _spot_price(spec.deadline, account.price) * spot + spec.deadline.on_demand_price * on_demand
    taken = [
        seen.last_at - seen.first_at
        for node, seen in lately
        if seen.group == SPOT and not (node in ledger.notices and ledger.notices[node].kind == DRAIN)
    ]
    runs = any(i.state is not State.PENDING for _, group in view.groups() for i in group.instances)
    after = replace(
        account,
        started_at=now if account.started_at is None and runs else account.started_at,
        spent=account.spent + passed * dollars / HOUR,
        price=price,
        spells=(*account.spells, *taken)[-REMEMBERED:],
    )
    return replace(ledger, account=after)


def planned(
    spec: FleetSpec,
    view: FleetView,
    ledger: FleetLedger,
    strength: Strength,
    now: float,
    policy: Deadline | None = None,
) -> Planned:
    """Ask the policy, where it is ``deadline``.

    Args:
        spec: the fleet's, as its user wants it.
        view: both groups, and the job's progress.
        ledger: this moment's notices, nodes seen, and account.
        strength: of the spot group, measured as the user wants it.
        now: Unix seconds.
        policy: which one; ``None``: that of :func:`policy_for`.
    """
    terms, account = spec.deadline, ledger.account
    if terms is None or account is None:
        return Planned(ledger)
    account = _learned(spec, terms, account, view.progress)
    situation = _situation(spec, terms, view, ledger, account, strength, now)
    policy = policy or policy_for(terms, account)
    answer = policy.answer(situation)
    record = _record(policy, situation, answer, now)
    if not record.problem and _is_slow(spec, account, view.progress, strength):
        record = replace(record, problem=SLOWER)
    node = view.progress.node if view.progress and answer.checkpoint else ""
    saves = node if node and node in view.nodes() else ""
    return Planned(but(ledger, account=but(account, plan=record)), answer, saves)


def policy_for(terms: DeadlineSpec, account: Account) -> Deadline:
    """Return the policy with its settings: a restart takes as long as is allowed for, or longer if one has."""
    longest = account.restart.longest if account.restart else 0.0
    return Deadline(
        restart=max(terms.restart_seconds, longest),
        period=terms.period_seconds,
        release=terms.release_seconds,
        excess=terms.excess,
    )


def _situation(
    spec: FleetSpec,
    terms: DeadlineSpec,
    view: FleetView,
    ledger: FleetLedger,
    account: Account,
    strength: Strength,
    now: float,
) -> Situation:
    """Return what the policy may know."""
    serving = max(0, spec.spot_target - strength.shortfall)
    held = 0 if ledger.backup_desired is None else max(0, ledger.backup_desired - spec.base)
    price = account.price
    present = {instance.node for instance in view.spot.instances}
    ages = [now - seen.first_at for node, seen in ledger.seen.items() if node in present]
    return Situation(
        missing=max(0, spec.spot_target - serving) if strength.shortfall else 0,
        lasted=0.0 if ledger.shortfall_since is None else now - ledger.shortfall_since,
        held=held,
        serving=serving,
        wanted=max(0, spec.spot_target),
        base=spec.base,
        final=account.plan is not None and account.plan.final,
        work=work_of(spec, terms, account, view.progress, now),
        market=Market(
            spot_price=terms.spot_price if terms.spot_price is not None else price.price if price else None,
            on_demand_price=terms.on_demand_price,
            spent=account.spent,
            price_age=0.0 if terms.spot_price is not None or price is None else max(0.0, now - price.at),
            ages=tuple(sorted(max(0.0, age) for age in ages)),
            spells=account.spells,
            gaps=account.gaps,
        ),
    )


def work_of(
    spec: FleetSpec, terms: DeadlineSpec, account: Account, progress: Progress | None, now: float
) -> Work | None:
    """Return how far the job is, or ``None`` where nobody can say.

    A job of which the user says how long it takes, and whose first nodes may still be starting it, has all of it to do.
    """
    ends_at = deadline_at(terms, account)
    whole = _whole(terms, account)
    if whole is None:
        return None
    time_left, allowed = ends_at - now, max(1.0, ends_at - account.since)
    if progress is None or not progress.total or progress.step is None:
        started = account.started_at
        if started is not None and now - started > policy_for(terms, account).restart:
            return None
        usual = speeds.relative(spec, {}, 1.0)
        return Work(time_left=time_left, remaining=whole, whole=whole, allowed=allowed, speeds=usual)
    published = min(progress.published_step or 0, progress.total)
    return Work(
        time_left=time_left,
        remaining=whole * (1 - published / progress.total),
        whole=whole,
        allowed=allowed,
        unsaved=whole * max(0, min(progress.step, progress.total) - published) / progress.total,
        report_age=max(0.0, now - progress.at),
        speeds=speeds.relative(spec, account.speeds, progress.total / whole),
    )


def deadline_at(terms: DeadlineSpec, account: Account) -> float:
    """Return the deadline, Unix seconds."""
    return terms.at if terms.at is not None else account.since + HOUR * (terms.hours or 0.0)


def limited(spec: FleetSpec, ledger: FleetLedger) -> FleetSpec:
    """Return ``spec`` as it is while no spot is asked for: the same fleet, all that it wants of it base."""
    plan = ledger.account.plan if ledger.account else None
    if spec.deadline is None or plan is None or plan.spot:
        return spec
    some = plan.on_demand is not None and plan.on_demand < spec.spot_target
    target = spec.base + (plan.on_demand or 0) if some else spec.target
    return replace(spec, target=target, base=min(target, max(spec.base, spec.maximum)))


def asks_for_spot(ledger: FleetLedger) -> bool:
    """Whether spot is asked for, as it is unless the policy says otherwise."""
    plan = ledger.account.plan if ledger.account else None
    return plan is None or plan.spot


def problem(ledger: FleetLedger) -> str:
    """Return which assumption of the policy has failed; empty where all hold, or no job goes by it."""
    plan = ledger.account.plan if ledger.account else None
    return plan.problem if plan and ledger.job_ended_at is None else ""


def gap_over(ledger: FleetLedger, now: float) -> FleetLedger:
    """Return the ledger with how long spot was missing, for when it is no longer."""
    account = ledger.account
    if account is None or ledger.shortfall_since is None:
        return ledger
    gaps = (*account.gaps, now - ledger.shortfall_since)[-REMEMBERED:]
    return replace(ledger, account=replace(account, gaps=gaps))


def save_now(node: str, now: float) -> NoticeHeard:
    """Return the word that makes the job save and go on: an exercise of a recommendation to rebalance."""
    return NoticeHeard(node=node, kind=REBALANCE, event_at=now, drill=True)


def _spot_price(terms: DeadlineSpec, told: PriceRecord | None) -> float:
    """Return what a spot node and hour is taken to cost; one whose price nobody knows, as much as on-demand."""
    if terms.spot_price is not None:
        return terms.spot_price
    return terms.on_demand_price if told is None else told.price


def _learned(spec: FleetSpec, terms: DeadlineSpec, account: Account, progress: Progress | None) -> Account:
    """Return the account with what the job's progress says of its work, its speed and its restarts."""
    if progress is None:
        return account
    nodes, rate, told = speeds.nodes_of(spec, progress), progress.steps_per_second, account.speeds
    if progress.total and rate and rate > 0:
        sure = nodes == spec.target and str(nodes) not in told
        if terms.work_hours is None and (sure or account.work_seconds is None):
            account = replace(account, work_seconds=progress.total / rate * (nodes or spec.target) / spec.target)
        if nodes:
            account = replace(account, speeds=speeds.learned(told, nodes, rate))
    if progress.goodput is None:
        return account
    spent, known = progress.goodput.restart_seconds, account.restart
    if known is None or progress.generation < known.generation:
        return replace(account, restart=RestartRecord(progress.generation, before=spent))
    if progress.generation > known.generation:
        return replace(account, restart=replace(known, generation=progress.generation, before=spent))
    took = spent - known.before
    if known.longest < took <= LONGEST_RESTART_SECONDS:
        return replace(account, restart=replace(known, longest=took))
    return account


def _record(policy: Deadline, situation: Situation, answer: Answer, now: float) -> PlanRecord:
    slack = None
    if situation.work is not None and situation.market is not None:
        slack = policy.slack(situation, situation.work, situation.market)
    known = slack is not None and slack.money != float("inf")
    standing = Standing.of(situation, answer)
    return PlanRecord(
        at=now,
        buys=situation.work is None or standing.buys,
        on_demand=standing.on_demand,
        spot=answer.spot != 0 or not situation.wanted,
        final=answer.final,
        reason=answer.reason,
        problem=answer.problem,
        time_slack=slack.time if slack else None,
        money_slack=slack.money if slack and known else None,
    )


def _is_slow(spec: FleetSpec, account: Account, progress: Progress | None, strength: Strength) -> bool:
    """Whether the job is slower than it was reckoned to be, with all its nodes or, if elastic, with those it has."""
    if progress is None or not progress.total or not progress.steps_per_second or spec.deadline is None:
        return False
    whole, nodes = _whole(spec.deadline, account), speeds.nodes_of(spec, progress)
    if whole is None or (nodes is None and strength.shortfall):
        return False
    share = (nodes or spec.target) / spec.target
    return progress.steps_per_second * whole < TOO_SLOW * progress.total * share


def _whole(terms: DeadlineSpec, account: Account) -> float | None:
    """Return how long the job takes with all its nodes, seconds; ``None`` where nobody knows."""
    return account.work_seconds if terms.work_hours is None else terms.work_hours * HOUR
