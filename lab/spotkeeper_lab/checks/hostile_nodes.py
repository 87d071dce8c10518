"""What has to hold where nodes died, stood still, or wrote what they should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from spotkeeper_lab.evidence import FOREVER, LAG_SECONDS, Evidence, lost_between, most_missing, next_holding
from spotkeeper_lab.forger import REFUSED, WRITTEN
from spotkeeper_lab.forgeries import FOREIGN, SORTS
from spotkeeper_lab.timeline import BACKUP, FROZEN, HOSTILE, SPOT, Life, Notice, Strike, Timeline, last
from spotkeeper_ledger.documents import INTERRUPTION, REBALANCE


def _no_more_lost_than_unsaved(evidence: Evidence) -> Iterator[str]:
    """What a lost holder takes with it is what it had done since its last checkpoint, and that is bounded."""
    if not evidence.trains:
        return
    timeline = evidence.timeline
    sudden: list[tuple[Notice | Strike, str]] = [(each, each.how) for each in timeline.losses]
    sudden += [(each, "taken back without a notice") for each in timeline.interruptions if not each.leaves_time]
    for blow, what in sudden:
        if not blow.held_job:
            continue
        before = [each for each in timeline.runs if each.start < blow.at and blow.node in each.nodes]
        after, published = next_holding(timeline, blow.at), last(timeline.saved, blow.at)
        if not before or after is None or after.resume_step is None:
            continue  # told by others
        if published is None:
            yield f"nothing was proved: no checkpoint was published before {blow.node} was {what}"
        elif after.resume_step < published:
            yield (
                f"{after.node} resumed at step {after.resume_step} although step {published} had been published "
                f"before {blow.node} was {what}"
            )
        lost = lost_between(before[-1], after)
        if lost is None:
            yield f"it is not known how many steps were lost with {blow.node}"
        elif lost > evidence.steps_unsaved:
            yield (
                f"{lost} steps were lost with {blow.node}, expected at most the {evidence.steps_unsaved} that fit "
                "between two checkpoints"
            )


def _loss_is_noticed(evidence: Evidence) -> Iterator[str]:
    """Capacity that is lost without a word is found missing by a tick, and bought for unless it is replaced by then."""
    timeline, shape = evidence.timeline, evidence.timeline.shape
    for strike in timeline.losses:
        at = strike.at + evidence.unnoticed_seconds + LAG_SECONDS
        if shape.policy != "mirror" or strike.group != SPOT or at > min(strike.until or FOREVER, timeline.ended_at):
            continue
        coming = sum(life.launched_at < at <= (life.serving_at or FOREVER) for life in _spot(timeline))
        needed = min(shape.maximum, shape.base + max(0, most_missing(timeline, at) - coming))
        if timeline.size(BACKUP, at) < needed:
            yield (
                f"{timeline.size(BACKUP, at)} on-demand nodes were asked for {at - strike.at:.1f} s after "
                f"{strike.node} was {strike.how}, expected {needed}"
            )


def _woken_too_late(evidence: Evidence) -> Iterator[str]:
    """A holder that wakes after another node took its job tries to publish, is refused, and disturbs nobody."""
    for strike in evidence.timeline.losses:
        if not (evidence.trains and strike.how == FROZEN and strike.held_job and strike.until is not None):
            continue
        after = next_holding(evidence.timeline, strike.at)
        if after is None or after.node == strike.node:
            continue  # told by others
        woken = strike.refused_at or strike.until
        saved = [step for at, step in evidence.timeline.saved if after.start < at < woken]
        if not any(step > (after.resume_step or 0) for step in saved):
            yield f"nothing was proved: {after.node} had published nothing yet when {strike.node} woke"
        if strike.refused_at is None:
            yield f"{strike.node} woke after {after.node} had taken its job, and was never refused a checkpoint"
        yield from _undisturbed(evidence.timeline, strike.until, f"{strike.node} had woken")


def _undisturbed(timeline: Timeline, since: float, what: str, hostile: str = "") -> Iterator[str]:
    """Nobody has lost the job since then without a reason; a hostile node may, and by its own false word."""
    for before, after in pairwise(timeline.holdings):
        if before.node == hostile or before.node in after.nodes:
            continue
        told = any(n.node == before.node and before.start <= n.at <= after.start for n in timeline.notices)
        lost = any(s.node == before.node and before.start <= s.at <= after.start for s in timeline.losses)
        if after.start > since and not (told or lost):
            yield (
                f"the job moved from {before.node} to {after.node} {after.start - since:.1f} s after {what}, though "
                "nothing was said of the one and nothing had happened to it"
            )


def _only_the_forger_is_affected(evidence: Evidence) -> Iterator[str]:
    """Whatever a hostile node writes, it may cost nobody but that node its place."""
    timeline = evidence.timeline
    for hostile in (each for each in timeline.strikes if each.how == HOSTILE):
        yield from _enough_was_tried(timeline)
        yield from _undisturbed(timeline, hostile.at, f"{hostile.node} had begun to forge", hostile.node)
        for notice in timeline.notices:
            if notice.kind in (INTERRUPTION, REBALANCE) and not notice.injected and notice.node != hostile.node:
                yield f"{notice.node} was taken for a node under {notice.kind}, on nobody's word but {hostile.node}'s"
        told = {blow.node for blow in timeline.blows}
        for life in _spot(timeline):
            ended = min(life.ended_at or FOREVER, FOREVER if timeline.finished_at is None else timeline.finished_at)
            if life.node not in told and ended == life.ended_at:
                yield f"{life.node} came to its end while the job went on, though nothing had happened to it"


def _enough_was_tried(timeline: Timeline) -> Iterator[str]:
    for sort in SORTS:
        outcomes = timeline.forgeries.get(sort, {})
        wanted = REFUSED if sort == FOREIGN else WRITTEN
        if not outcomes.get(wanted):
            yield f"nothing was proved: no {sort} document of a hostile node was {wanted}"
    if foreign := timeline.forgeries.get(FOREIGN, {}).get(WRITTEN):
        yield f"the cloud let a node write {foreign} documents that are not the node's to write"


def _head_never_goes_back(evidence: Evidence) -> Iterator[str]:
    """The checkpoints' head only ever moves to a later generation, whoever writes it."""
    for before, after in pairwise(evidence.timeline.heads):
        if after < before:
            yield f"the checkpoints' head went back from generation {before} to {after}"


def _spot(timeline: Timeline) -> list[Life]:
    return [life for life in timeline.lives if life.group == SPOT]


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    _no_more_lost_than_unsaved,
    _loss_is_noticed,
    _woken_too_late,
    _head_never_goes_back,
    _only_the_forger_is_affected,
)
"""In the order in which they are told."""
