"""What has to hold where a fleet was destroyed: it saved first, unless by force, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.rollouts import GROUP, PARTS, PERMISSION, SPEC, TEMPLATE
from spotkeeper_lab.timeline import BACKUP, DESTROY, SPOT, Deploy, Life, Timeline


def _nothing_is_left(evidence: Evidence) -> Iterator[str]:
    for destruction in _destructions(evidence.timeline):
        if destruction.ended_at is None:
            yield "the destruction of the fleet never came to its end"
        elif destruction.left:
            yield f"of the destroyed fleet there is still: {', '.join(destruction.left)}"


def _nothing_is_bought(evidence: Evidence) -> Iterator[str]:
    timeline = evidence.timeline
    for destruction in _destructions(timeline):
        launched = [life.node for life in timeline.lives if life.launched_at > destruction.began_at]
        if launched:
            yield f"{', '.join(launched)} were launched while the fleet was destroyed"
        for group in (SPOT, BACKUP):
            before = timeline.size(group, destruction.began_at)
            for at, size in timeline.desired[group]:
                if at > destruction.began_at and size > before:
                    yield f"{size} {group} nodes were asked for while the fleet was destroyed, {before} before"


def _spec_goes_first_and_what_saving_needs_last(evidence: Evidence) -> Iterator[str]:
    for destruction in _destructions(evidence.timeline):
        parts = [*enumerate(map(PARTS.get, destruction.deleted))]
        order = {part: number for number, part in reversed(parts)}
        if order.get(SPEC) != 0:
            yield f"the spec was expected to go first, but {destruction.deleted[0]} did"
        last = max((number for number, part in parts if part == GROUP), default=-1)
        for part in (TEMPLATE, PERMISSION):
            if order.get(part, -1) < last:
                yield f"the {part} went before the groups whose nodes need it to save"


def _every_node_saved(evidence: Evidence) -> Iterator[str]:
    """With ``checkpoint`` all nodes leave through their hooks, once they have confirmed; with ``force`` none does."""
    for destruction in _destructions(evidence.timeline) if evidence.hooks else ():
        for life in _present(evidence.timeline, destruction):
            completed = life.hook == "CONTINUE"
            if evidence.on_destroy == "checkpoint" and not completed:
                yield f"{life.node} was expected to complete its terminate hook, which {life.hook or 'it never did'}"
            elif evidence.on_destroy == "force" and life.hook:
                yield f"{life.node} was expected to go at once, and was waited for"


def _job_can_go_on(evidence: Evidence) -> Iterator[str]:
    """A run that was given nothing but the checkpoints went on from the step at which the fleet has stopped."""
    timeline = evidence.timeline
    if not evidence.trains or not _destructions(timeline) or not timeline.runs:
        return
    stopped = timeline.runs[-1].last_step
    if not evidence.resumed_step:
        yield "the destroyed fleet left no checkpoint that a run could go on from"
    elif evidence.on_destroy == "checkpoint" and evidence.resumed_step != stopped:
        yield f"the destroyed fleet stopped at step {stopped}, but its checkpoint is of step {evidence.resumed_step}"
    elif stopped is not None and evidence.resumed_step > stopped + evidence.steps_unsaved:
        # The last that was seen of a node that was killed may be a little older than its last checkpoint.
        yield f"the checkpoint is of step {evidence.resumed_step}, which was never reached"


def _destructions(timeline: Timeline) -> list[Deploy]:
    return [deploy for deploy in timeline.deploys if deploy.change == DESTROY]


def _present(timeline: Timeline, destruction: Deploy) -> list[Life]:
    began = destruction.began_at
    return [life for life in timeline.lives if life.launched_at <= began < (life.ended_at or began + 1)]


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    _nothing_is_left,
    _nothing_is_bought,
    _spec_goes_first_and_what_saving_needs_last,
    _every_node_saved,
    _job_can_go_on,
)
"""In the order in which they are told."""
