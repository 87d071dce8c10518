"""What has to hold where a deploy changed a running fleet, and wherever nodes end: nobody but us chooses which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.rollouts import PARTS, TEMPLATE
from spotkeeper_lab.timeline import BACKUP, DEPLOY, DESTROY, SPOT, Deploy, Life, Notice, Shape, Timeline, alive, first
from spotkeeper_ledger.documents import DRAIN, SCALE_IN

NAMED, REPLACED, REBALANCED = "named", "replaced", "rebalanced"
"""What a group may end a node for while its fleet lives: somebody named it, to be rid of it or for another one in its
place; it was at risk."""


def _nobody_is_chosen(evidence: Evidence) -> Iterator[str]:
    """Every node that ended, or is on its way, was named, taken by the scenario, or went with the whole fleet."""
    timeline = evidence.timeline
    destroyed_at = first(deploy.began_at for deploy in timeline.deploys if deploy.change == DESTROY)
    for life in timeline.lives:
        going_at = life.left.at if life.left else life.ended_at
        if going_at is None or life.reclaimed or (destroyed_at is not None and going_at > destroyed_at):
            continue
        if life.left is None:
            yield f"{life.node} ended, and nobody had taken or named it"
        elif life.left.why not in (NAMED, REPLACED, REBALANCED):
            yield f"{life.node} was chosen by the cloud to end, expected that only named nodes do"


def _saved_before_it_was_ended(evidence: Evidence) -> Iterator[str]:
    """A node that the responder lets go has confirmed its checkpoint first, or had all the time there was."""
    for notice in evidence.timeline.notices:
        left = _life(evidence.timeline, notice.node).left if notice.kind in (DRAIN, SCALE_IN) else None
        if left is None or left.why not in (NAMED, REPLACED) or notice.injected:
            continue
        if evidence.timeline.finished_at is not None and left.at >= evidence.timeline.finished_at:
            continue  # there is nothing left to save
        late = notice.deadline is not None and left.at >= notice.deadline
        if not late and (notice.confirmed_at is None or notice.confirmed_at > left.at):
            yield f"{notice.node} was ended before it had confirmed that nothing is left to save"


def _sizes_follow_deploys(evidence: Evidence) -> Iterator[str]:
    """After each deploy that asks for another size the fleet had just that size, and spared the node of the job."""
    timeline = evidence.timeline
    for (since, shape), before in zip(timeline.reshaped, _shapes(timeline), strict=False):
        if (shape.spot_target, shape.base) == (before.spot_target, before.base):
            continue
        until = _next_change(timeline, since)
        turns = [since, *(at for life in timeline.lives for at in (life.launched_at, life.ended_at) if at is not None)]
        if not any(_has_size(timeline, shape, at) for at in turns if since <= at <= until):
            size = f"{shape.spot_target} spot and {shape.base} on-demand nodes"
            yield f"the fleet never had the size that a deploy asked for: {size}"
        if shape.version != before.version:
            continue
        for notice in _drains(timeline, since, until):
            spared = [n for n in _spot_nodes(timeline, notice.at) if n != notice.node]
            if notice.group == SPOT and notice.held_job and len(spared) >= shape.spot_target > 0:
                yield f"{notice.node}, which held the job, was let go although {len(spared)} others could have been"


def _has_size(timeline: Timeline, shape: Shape, at: float) -> bool:
    return (alive(timeline.lives, SPOT, at), alive(timeline.lives, BACKUP, at)) == (shape.spot_target, shape.base)


def _a_running_job_keeps_its_version(evidence: Evidence) -> Iterator[str]:
    """A new launch template means nothing to a fleet that takes it up with its next run, replacements included."""
    timeline = evidence.timeline
    for deploy in _new_templates(timeline):
        shape = timeline.shape_at(deploy.ended_at or timeline.ended_at)
        if shape.on_update != "next-run":
            continue
        until = _next_deploy(timeline, deploy)
        later = [life for life in timeline.lives if deploy.began_at < life.launched_at < until]
        if not later:
            yield "nothing was proved: no node was launched after the launch template was changed"
        for life in later:
            if life.version != shape.version:
                yield f"{life.node} started from version {life.version}, expected the running fleet's {shape.version}"


def _a_fleet_moves_to_the_new_version(evidence: Evidence) -> Iterator[str]:
    """Where a deploy restarts the job: every old node goes, spares first, the job's once a successor has reported."""
    timeline = evidence.timeline
    for (since, shape), before in zip(timeline.reshaped, _shapes(timeline), strict=False):
        if shape.on_update != "checkpoint-restart" or shape.version == before.version:
            continue
        until = _next_change(timeline, since)
        old = [each for each in timeline.lives if each.launched_at < until and each.version != shape.version]
        for life in old:
            if (life.ended_at or until + 1) > until:
                yield f"{life.node} still ran version {life.version} at the end, expected {shape.version}"
        new = [each for each in timeline.lives if each.version == shape.version]
        reported_at = first(life.serving_at for life in new)
        drains = {notice.node: notice for notice in _drains(timeline, since, until)}
        for notice in drains.values():
            if notice.held_job and (reported_at is None or notice.at < reported_at):
                yield f"{notice.node}, which held the job, was let go before any node of version {shape.version} served"
        if not any(notice.held_job for notice in drains.values()):
            yield f"nothing was proved: no node that held the job was let go for version {shape.version}"


def _shapes(timeline: Timeline) -> list[Shape]:
    """What the fleet was asked to be before each change of it."""
    return [timeline.shape, *(shape for _, shape in timeline.reshaped)]


def _next_change(timeline: Timeline, since: float) -> float:
    """Return until when what was asked for since a moment has to come true: the next deploy, the job's end, the end."""
    later = [deploy.began_at for deploy in timeline.deploys if deploy.began_at > since]
    return first([*later, timeline.finished_at]) or timeline.ended_at


def _next_deploy(timeline: Timeline, deploy: Deploy) -> float:
    return next((b.began_at for a, b in pairwise(timeline.deploys) if a is deploy), timeline.ended_at)


def _new_templates(timeline: Timeline) -> list[Deploy]:
    return [
        deploy for deploy in timeline.deploys if deploy.change == DEPLOY and TEMPLATE in map(PARTS.get, deploy.changed)
    ]


def _drains(timeline: Timeline, since: float, until: float) -> list[Notice]:
    """The notices of nodes that the responder let go in a time."""
    return [n for n in timeline.notices if not n.injected and n.kind in (DRAIN, SCALE_IN) and since <= n.at <= until]


def _spot_nodes(timeline: Timeline, at: float) -> list[str]:
    return [life.node for life in timeline.lives if life.group == SPOT and alive([life], SPOT, at)]


def _life(timeline: Timeline, node: str) -> Life:
    return next(life for life in timeline.lives if life.node == node)


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    _nobody_is_chosen,
    _saved_before_it_was_ended,
    _sizes_follow_deploys,
    _a_running_job_keeps_its_version,
    _a_fleet_moves_to_the_new_version,
)
"""In the order in which they are told."""
