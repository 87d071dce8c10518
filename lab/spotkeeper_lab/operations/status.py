"""How a fleet is, from what the ledger holds and, where it can be asked, from its groups. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spotkeeper_lab.operations.reading import Fleet, Job
from spotkeeper_ledger import FailureRecord, Pause
from spotkeeper_responder.fallback import Situation
from spotkeeper_responder.model import BACKUP, SPOT, FleetView, GroupView, Instance, State
from spotkeeper_responder.notices import leaving, over
from spotkeeper_responder.plans import deadline_at
from spotkeeper_responder.policies import standing
from spotkeeper_responder.strength import serves

_HOUR = 3600.0


@dataclass(frozen=True)
class GroupStatus:
    """One group of a fleet."""

    serving: int
    """Nodes in service whose agents have reported lately (or still have time to), and that stay."""
    nodes: int
    """All of its nodes, those that come and go included."""
    desired: int | None
    """What the responder has it hold; ``None`` before its first decision."""


@dataclass(frozen=True)
class JobStatus:
    """The job of a fleet."""

    state: str
    """``running``, ``finished`` or ``failed``; ``waiting`` while no node has said anything of it."""
    node: str = ""
    """Node that runs it; of several, the first."""
    nodes: int = 0
    """How many run it together."""
    generation: int | None = None
    step: int | None = None
    total: int | None = None
    checkpoint_step: int | None = None
    """Step of the last whole checkpoint."""
    checkpoint_age_seconds: float | None = None
    goodput: float | None = None
    """Useful time over all time since the job was first started."""


@dataclass(frozen=True)
class NoticeStatus:
    """A node that was told to go, or may have to, and that is not gone."""

    node: str
    kind: str
    stage: str
    seconds_left: float | None
    """Until the node goes; ``None`` where nothing says that it will."""
    confirmed_step: int | None
    drill: bool


@dataclass(frozen=True)
class DeadlineStatus:
    """Whether a job will be done in time, and what it has cost."""

    on_track: bool
    """Whether both promises hold: in time, and no dearer than on-demand and the excess."""
    problem: str
    """Which assumption has failed; empty where none has."""
    reason: str
    """Why the policy decided as it did."""
    deadline: float
    """Unix seconds."""
    seconds_left: float
    """Until then; negative after it."""
    slack_seconds: float | None
    """Until only on-demand is in time."""
    ends_on_demand: bool
    """Whether the job ends on on-demand, for want of time or money for spot."""
    spent: float
    """What all nodes have cost so far, in the currency of the prices."""
    spot_price: float | None
    """Of a node and hour."""
    on_demand: int
    """On-demand nodes beyond the base that the policy wants, as many as are missing now."""


@dataclass(frozen=True)
class FleetStatus:
    """Everything that a person on call asks first."""

    fleet: str
    target: int
    base: int
    maximum: int
    spot: GroupStatus
    backup: GroupStatus
    shortfall: int
    """Spot nodes that should serve and do not."""
    shortfall_seconds: float | None
    """How long that has been so."""
    ticked_at: float | None
    """When the responder last looked, Unix seconds; ``None`` if it never has."""
    tick_age_seconds: float | None
    job: JobStatus
    notices: tuple[NoticeStatus, ...]
    failures: Mapping[str, FailureRecord]
    """Failed launches by class; ``backup-`` before those of the backup group."""
    pause: Pause | None
    fallback_hours: float
    """Node-hours of on-demand beyond the base."""
    fallback_hours_limit: float | None
    spot_hours: float
    on_demand_hours: float
    """Node-hours, the base included."""
    outdated: tuple[str, ...] | None
    """Nodes that started from another version of the launch template than new ones do; ``None``: not known."""
    source: str
    """Where the nodes are from: ``cloud``, or ``ledger`` where the cloud could not be asked."""
    problem: str
    """Why the cloud could not be asked; empty where it was not tried."""
    deadline: DeadlineStatus | None
    """For the policy ``deadline``, once it has been asked."""


def status_of(
    fleet: Fleet,
    job: Job,
    reported_at: Mapping[str, float],
    now: float,
    *,
    groups: tuple[GroupView, GroupView] | None = None,
    problem: str = "",
) -> FleetStatus:
    """Return how a fleet is.

    Args:
        fleet: what the ledger holds of it.
        job: what its nodes have written.
        reported_at: when each node's agent has last reported.
        now: Unix seconds.
        groups: both groups as the cloud describes them; without them, nodes are those that the last tick saw.
        problem: why there are no groups, if they were asked for.
    """
    spec, ledger = fleet.spec, fleet.ledger
    view = _view(fleet, reported_at, groups)
    spot, backup = _group(fleet, view, SPOT, now), _group(fleet, view, BACKUP, now)
    instances = [instance for _, group in view.groups() for instance in group.instances]
    return FleetStatus(
        fleet=spec.fleet,
        target=spec.target,
        base=spec.base,
        maximum=spec.maximum,
        spot=spot,
        backup=backup,
        shortfall=max(0, spec.spot_target - spot.serving),
        shortfall_seconds=_age(ledger.shortfall_since, now),
        ticked_at=ledger.ticked_at,
        tick_age_seconds=_age(ledger.ticked_at, now),
        job=_job(fleet, job, now),
        notices=tuple(_notices(fleet, now)),
        failures=dict(sorted(ledger.failures.items())),
        pause=ledger.pause,
        fallback_hours=ledger.fallback_node_seconds / _HOUR,
        fallback_hours_limit=spec.max_on_demand_hours,
        spot_hours=ledger.spot_node_seconds / _HOUR,
        on_demand_hours=ledger.on_demand_node_seconds / _HOUR,
        outdated=None if groups is None else tuple(i.node for i in instances if _outdated(spec.command_version, i)),
        source="ledger" if groups is None else "cloud",
        problem=problem,
        deadline=_deadline(fleet, max(0, spec.spot_target - spot.serving), now),
    )


def _deadline(fleet: Fleet, missing: int, now: float) -> DeadlineStatus | None:
    spec, terms, account = fleet.spec, fleet.spec.deadline, fleet.ledger.account
    plan = account.plan if account else None
    if terms is None or account is None or plan is None:
        return None
    told = account.price.price if account.price else None
    held = max(0, (fleet.ledger.backup_desired or 0) - spec.base)
    return DeadlineStatus(
        on_track=not plan.problem,
        problem=plan.problem,
        reason=plan.reason,
        deadline=deadline_at(terms, account),
        seconds_left=deadline_at(terms, account) - now,
        slack_seconds=plan.time_slack,
        ends_on_demand=plan.final,
        spent=account.spent,
        spot_price=told if terms.spot_price is None else terms.spot_price,
        on_demand=standing(fleet.ledger).answer(Situation(missing=missing, held=held)).on_demand,
    )


def _view(fleet: Fleet, reported_at: Mapping[str, float], groups: tuple[GroupView, GroupView] | None) -> FleetView:
    """Return the fleet as the cloud has it, else as the ledger remembers it."""
    if groups is None:
        last_tick = fleet.ledger.ticked_at or 0.0
        there = {node: seen.group for node, seen in sorted(fleet.ledger.seen.items()) if seen.last_at >= last_tick}
        groups = (_remembered(SPOT, there), _remembered(BACKUP, there))
    return FleetView(*groups, reported_at=reported_at)


def _remembered(name: str, there: Mapping[str, str]) -> GroupView:
    """Return a group of those nodes that are said to be in it, all taken for running."""
    instances = tuple(Instance(node, State.IN_SERVICE) for node, group in there.items() if group == name)
    return GroupView(name, 0, 0, instances)


def _group(fleet: Fleet, view: FleetView, name: str, now: float) -> GroupStatus:
    group = dict(view.groups())[name]
    ledger = fleet.ledger
    serving = [
        i
        for i in group.instances
        if i.state is State.IN_SERVICE
        and not leaving(ledger.notices.get(i.node))
        and serves(fleet.spec, view, ledger, i.node, now)
    ]
    desired = ledger.spot_desired if name == SPOT else ledger.backup_desired
    return GroupStatus(serving=len(serving), nodes=len(group.instances), desired=desired)


def _job(fleet: Fleet, job: Job, now: float) -> JobStatus:
    generation, progress = job.generation, job.progress
    holder = generation.members[0].node if generation and generation.members else ""
    number, nodes = (generation.number, len(generation.members)) if generation else (None, 0)
    ended = fleet.ledger.job_ended_at is not None
    if progress is None:
        return JobStatus(fleet.ledger.job_state if ended else "waiting", holder, nodes, number)
    return JobStatus(
        state=fleet.ledger.job_state if ended else progress.state,
        node=holder,
        nodes=nodes,
        generation=number,
        step=progress.step,
        total=progress.total,
        checkpoint_step=progress.published_step,
        checkpoint_age_seconds=_age(progress.published_at, now),
        goodput=progress.goodput.fraction if progress.goodput else None,
    )


def _notices(fleet: Fleet, now: float) -> list[NoticeStatus]:
    return [
        NoticeStatus(
            node=node,
            kind=record.kind,
            stage=record.stage,
            seconds_left=None if record.deadline is None else record.deadline - now,
            confirmed_step=record.confirmed_step,
            drill=record.drill,
        )
        for node, record in sorted(fleet.ledger.notices.items())
        if not over(record)
    ]


def _outdated(version: str, instance: Instance) -> bool:
    """Whether a node is of another version than new ones, whatever the fleet does about that."""
    return bool(version and instance.version) and instance.version != version


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
