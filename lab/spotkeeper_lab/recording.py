"""What was recorded during a rehearsal, and from that to facts. Pure. All times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from spotkeeper_lab import disturbances, rollouts
from spotkeeper_lab.aftermath import Struck, strike, with_backup
from spotkeeper_lab.timeline import (
    BACKUP,
    SPOT,
    Holding,
    Life,
    Notice,
    Shape,
    Timeline,
    first,
)
from spotkeeper_ledger.documents import INTERRUPTION, Goodput, notice_id

if TYPE_CHECKING:  # the local cloud takes seconds to import
    from spotkeeper_lab.local import Moment


@dataclass(frozen=True)
class Injected:
    """A notice that the scenario gave."""

    node: str
    kind: str
    at: float
    deadline: float | None
    held_job: bool
    step: int | None
    """Steps that the job had done when its holder was noticed; ``None`` for other nodes and jobs that count none."""


@dataclass(frozen=True)
class Taken:
    """A node took the job, in an elastic fleet together with others: a new generation."""

    at: float
    generation: int
    node: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What was written down during a rehearsal, as it was seen."""

    shape: Shape
    started_at: float
    ended_at: float
    reshaped: Sequence[tuple[float, Shape]] = ()
    """See :class:`Timeline`."""
    moments: Sequence[Moment] = ()
    injected: Sequence[Injected] = ()
    struck: Sequence[Struck] = ()
    refused: Mapping[str, float] = field(default_factory=dict)
    """Node to when it was refused to publish a checkpoint."""
    reported: Mapping[str, float] = field(default_factory=dict)
    """Node to its first report."""
    heard: Mapping[str, float] = field(default_factory=dict)
    """Notice id to when the node's agent heard it."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Notice id to the kind that the responder recorded."""
    deadlines: Mapping[str, float] = field(default_factory=dict)
    """Notice id to the deadline that the responder recorded."""
    signalled: Mapping[str, float] = field(default_factory=dict)
    """Notice id to when the responder signalled it."""
    confirmed: Mapping[str, tuple[float, int | None]] = field(default_factory=dict)
    """Notice id to when its checkpoint was confirmed, and at which step (``None``: there was nothing to save)."""
    heard_on_node: Mapping[str, float] = field(default_factory=dict)
    """The same as ``heard`` as the nodes themselves know it, whether or not they could tell the ledger."""
    confirmed_on_node: Mapping[str, tuple[float, int | None]] = field(default_factory=dict)
    """The same as ``confirmed``, likewise."""
    taken: Sequence[Taken] = ()
    steps: Sequence[tuple[float, int]] = ()
    """When the job was seen to have done how many steps."""
    saved: Sequence[tuple[float, int]] = ()
    """When the job was seen to have published which step."""
    forgeries: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """See :class:`Timeline`."""
    heads: Sequence[int] = ()
    """See :class:`Timeline`."""
    total: int | None = None
    resume_steps: Mapping[int, int] = field(default_factory=dict)
    """Generation to the step that it went on from."""
    last_steps: Mapping[int, int] = field(default_factory=dict)
    """Generation to the last step that it did."""
    resumed: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Generation to the steps that its ranks went on from."""
    stopped: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Generation to the steps at which its ranks stopped in order."""
    calls: Sequence[tuple[float, int]] = ()
    """When the responder had made how many calls."""
    full_speed_at: float | None = None
    """When the training was let run at full speed."""
    finished_at: float | None = None
    goodput: Goodput | None = None
    """Where the job's time has gone, as its agents have accounted for it."""


TAKEN_MOMENTS = ("reclaimed", "killed")
"""Names of the moments at which a node was gone without having been asked."""


def build(record: Record) -> Timeline:
    """Return the facts of a rehearsal."""
    lives = _lives(record)
    desired = {group: _desired(record, group) for group in (SPOT, BACKUP)}
    given = {notice_id(each.node, each.kind): each for each in record.injected}
    faults = disturbances.faults(record.moments)
    dark = disturbances.away(faults, record.ended_at)
    record = _as_nodes_know(record, given, dark)
    ids = dict.fromkeys([*given, *record.kinds])
    confirmed = [(at, step) for at, step in record.confirmed.values() if step is not None]
    forgotten = disturbances.forgetful(faults, record.ended_at)
    notices = [_notice(record, each, given.get(each), lives, desired[BACKUP], forgotten) for each in ids]
    return Timeline(
        shape=record.shape,
        started_at=record.started_at,
        ended_at=record.ended_at,
        reshaped=record.reshaped,
        deploys=rollouts.deploys(record.moments),
        lives=lives,
        holdings=_holdings(record, lives),
        notices=sorted(notices, key=lambda notice: notice.at),
        strikes=[
            strike(each, record.refused.get(each.node), partial(_shape_at, record), lives, desired[BACKUP])
            for each in record.struck
        ],
        desired=desired,
        faults=faults,
        repeated=disturbances.repeated(record.moments),
        refused=disturbances.refused(record.moments),
        blocked=disturbances.blocked(record.moments),
        alarms=disturbances.alarms(record.moments),
        announced=[(m.at, m.detail["subject"]) for m in record.moments if m.what == "announced"],
        steps=sorted([*record.steps, *confirmed]),
        saved=sorted({*record.saved, *confirmed}),
        forgeries=record.forgeries,
        heads=record.heads,
        total=record.total,
        calls=record.calls,
        full_speed_at=record.full_speed_at,
        finished_at=record.finished_at,
        goodput=record.goodput,
    )


def _when(record: Record, what: str, node: str) -> float | None:
    return first(m.at for m in record.moments if m.what == what and m.node == node)


def _lives(record: Record) -> list[Life]:
    lives, departures = [], rollouts.departures(record.moments)
    for moment in record.moments:
        if moment.what != "instance-launched" or moment.node is None:
            continue
        reclaimed, terminated = (
            first(_when(record, what, moment.node) for what in ends) for ends in (TAKEN_MOMENTS, ("terminated",))
        )
        lives.append(
            Life(
                node=moment.node,
                group=moment.detail["group"],
                launched_at=moment.at,
                serving_at=record.reported.get(moment.node),
                ended_at=first([reclaimed, terminated]),
                reclaimed=reclaimed is not None,
                version=moment.detail.get("version", ""),
                left=departures.get(moment.node),
                hook=_hook(record, moment.node),
            )
        )
    return lives


def _hook(record: Record, node: str) -> str:
    done = [m for m in record.moments if m.what == "lifecycle-completed" and m.node == node]
    return str(done[-1].detail.get("result", "")) if done else ""


def _desired(record: Record, group: str) -> list[tuple[float, int]]:
    changes = [m for m in record.moments if m.what == "desired-changed" and m.detail["group"] == group]
    return [(m.at, int(m.detail["desired"])) for m in changes]


def _holdings(record: Record, lives: Sequence[Life]) -> list[Holding]:
    ended = {life.node: life.ended_at for life in lives}
    groups = {life.node: life.group for life in lives}
    holdings = []
    for taken, following in zip(record.taken, [*record.taken, None][1:], strict=True):
        lived = [ended.get(node) or record.ended_at for node in (taken.node, *taken.others)]
        end = first([following.at if following else None, max(lived), record.finished_at, record.ended_at])
        holdings.append(
            Holding(
                generation=taken.generation,
                node=taken.node,
                group=groups.get(taken.node, SPOT),
                start=taken.at,
                end=end if end is not None else record.ended_at,
                resume_step=record.resume_steps.get(taken.generation),
                last_step=record.last_steps.get(taken.generation),
                others=taken.others,
                resumed=record.resumed.get(taken.generation, frozenset()),
                stopped=record.stopped.get(taken.generation, frozenset()),
            )
        )
    return holdings


def _as_nodes_know(record: Record, given: Mapping[str, Injected], dark: Sequence[tuple[float, float]]) -> Record:
    """Add what nodes could not tell the ledger because it was away."""
    cut_off = {
        identity
        for identity, each in given.items()
        if any(each.at <= end and begin <= (each.deadline or each.at) for begin, end in dark)
    }
    heard = {identity: at for identity, at in record.heard_on_node.items() if identity in cut_off}
    confirmed = {identity: said for identity, said in record.confirmed_on_node.items() if identity in cut_off}
    return replace(record, heard={**heard, **record.heard}, confirmed={**confirmed, **record.confirmed})


def _notice(
    record: Record,
    identity: str,
    given: Injected | None,
    lives: Sequence[Life],
    backup: Sequence[tuple[float, int]],
    forgotten: Sequence[tuple[float, float]],
) -> Notice:
    node = identity.rpartition(":")[0]
    commands = [moment.at for moment in record.moments if _commands(moment, identity)]
    signalled, heard = first([record.signalled.get(identity), *commands]), record.heard.get(identity)
    at = given.at if given else first([signalled, heard]) or record.ended_at
    confirmed_at, confirmed_step = record.confirmed.get(identity, (None, None))
    life = next((life for life in lives if life.node == node), None)
    notice = Notice(
        node=node,
        kind=given.kind if given else record.kinds[identity],
        group=life.group if life else SPOT,
        at=at,
        deadline=given.deadline if given else record.deadlines.get(identity),
        injected=given is not None,
        held_job=given.held_job if given else _holds(record, node, at),
        step=given.step if given else None,
        heard_at=heard,
        signalled_at=signalled,
        commands=disturbances.remembered(commands, forgotten),
        first_command_at=first(commands),
        confirmed_at=confirmed_at,
        confirmed_step=confirmed_step,
        hook_completed_at=_when(record, "lifecycle-completed", node),
        gone_at=life.ended_at if life else None,
    )
    if not given or given.kind != INTERRUPTION:
        return notice
    return with_backup(notice, partial(_shape_at, record), lives, backup)


def _shape_at(record: Record, at: float) -> Shape:
    return next((shape for since, shape in reversed(record.reshaped) if since <= at), record.shape)


def _holds(record: Record, node: str, at: float) -> bool:
    newest = [(taken.node, *taken.others) for taken in record.taken if taken.at <= at]
    return bool(newest) and node in newest[-1]


def _commands(moment: Moment, identity: str) -> bool:
    """Whether a command for the notice was delivered to its own node; others get it too, and ignore it."""
    if moment.what != "ssm-delivered" or moment.node is None or moment.node not in moment.detail["nodes"].split(","):
        return False
    return notice_id(moment.node, moment.detail["kind"]) == identity
