"""What a rehearsal is judged by, and what several judgements ask of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import SPOT, Holding, Timeline
from spotkeeper_ledger.documents import REBALANCE

LAG_SECONDS = 2.0
"""How old the responder's picture of the fleet may be when it acts: one run of the function."""
FOREVER = float("inf")


@dataclass(frozen=True)
class Evidence:
    """All that is judged."""

    timeline: Timeline
    expect: Expectations
    trains: bool = True
    """Whether the job is a training that saves; otherwise only notices, sizes and the take-over of the job are
    judged."""
    digest: str | None = None
    """Digest of the final weights."""
    uninterrupted_digest: str | None = None
    elastic: bool = False
    """Whether all nodes of the fleet are to train together."""
    final: Mapping[str, Any] = field(default_factory=dict)
    """All that the training wrote about its end: ``digest``, ``accuracy``; on several ranks ``samples``, a digest over
    the samples of all steps in their order."""
    uninterrupted: Mapping[str, Any] = field(default_factory=dict)
    """The same of the run that nobody interrupted, which had one rank."""
    commands: bool = True
    """Whether the responder can tell a node something past the ledger."""
    hooks: bool = True
    """Whether a node that is let go waits until it has said that it is ready."""
    on_destroy: str = "checkpoint"
    """What the fleet is asked to do when it is destroyed."""
    resumed_step: int | None = None
    """The step that a run went on from which had nothing but the checkpoints of a fleet that was destroyed."""
    steps_unsaved: int = 0
    """The most steps that fit between two checkpoints that nobody asked for: what a node that dies may cost."""
    unnoticed_seconds: float = 0.0
    """How long the loss of a node may go unnoticed of which nobody is told."""
    missed: Sequence[str] = ()
    """What the scenario waited for in vain, and processes that failed: sentences."""


def steps_lost(timeline: Timeline) -> int | None:
    """Return how many steps were done twice because a generation went on from before the end of the one before it."""
    pairs = list(zip(timeline.runs, timeline.runs[1:], strict=False))
    lost = [lost_between(before, after) for before, after in pairs]
    known = [steps for steps in lost if steps is not None]
    return sum(known) if known or not pairs else None


def lost_between(before: Holding, after: Holding) -> int | None:
    """Return the steps of one generation that the next one did again; ``None`` where either is not known."""
    if before.last_step is None or after.resume_step is None:
        return None
    return max(0, before.last_step - after.resume_step)


def next_holding(timeline: Timeline, at: float) -> Holding | None:
    """Return the generation that went on with the job after its node was noticed, or lost, at a time."""
    return next((each for each in timeline.runs if each.start >= at), None)


def most_missing(timeline: Timeline, at: float) -> int:
    """Return the most spot nodes that can be said to be missing at ``at``; none are while the fleet is first filled."""
    spot = [life for life in timeline.lives if life.group == SPOT]
    told = {notice.node: notice.at for notice in timeline.notices if notice.kind != REBALANCE}
    lost = {life.node: min(told.get(life.node, FOREVER), life.ended_at or FOREVER) for life in spot}
    away = [(strike.node, strike.at, strike.until or FOREVER) for strike in timeline.strikes]
    refused = any(when <= at for when, group in timeline.refused if group == SPOT)
    if not refused and all(when > at for when in (*lost.values(), *(begin for _, begin, _ in away))):
        return 0

    def strength(moment: float) -> int:
        absent = {node for node, begin, end in away if begin <= moment < end}
        return sum(
            (life.serving_at or FOREVER) <= moment < lost[life.node] and life.node not in absent for life in spot
        )

    wanted = max(timeline.shape_at(moment).spot_target for moment in (at, at - LAG_SECONDS))
    return max(0, wanted - min(strength(at), strength(at - LAG_SECONDS)))
