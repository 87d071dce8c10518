"""Whether a rehearsal proved anything, and which promises it saw broken. Pure.

A run is ``ok`` only if a node was interrupted, the one that held the job among them, in the middle of an epoch; if
training went on, on another node, from a published checkpoint, for at least one step; and if no promise was broken.
What is wrong is told in sentences with numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spotkeeper_lab import disturbances
from spotkeeper_lab.checks import announcements, changes, destruction, elastic, faults, hostile_nodes
from spotkeeper_lab.evidence import FOREVER, Evidence, lost_between, most_missing, next_holding
from spotkeeper_lab.timeline import BACKUP, SPOT, Notice, Strike, Timeline, alive
from spotkeeper_ledger.documents import DRAIN, INTERRUPTION, SCALE_IN


def broken_promises(evidence: Evidence) -> list[str]:
    """Return a sentence for each promise that was broken, or for why nothing was proved; an empty list is a proof."""
    return [*evidence.missed, *(sentence for check in CHECKS for sentence in check(evidence))]


def _interruptions(evidence: Evidence) -> list[Notice]:
    return [notice for notice in evidence.timeline.interruptions if notice.kind == INTERRUPTION]


def _blows(evidence: Evidence) -> list[Notice | Strike]:
    """What took nodes from the fleet, with a notice or without."""
    return [*_interruptions(evidence), *evidence.timeline.losses]


def _something_happened(evidence: Evidence) -> Iterator[str]:
    blows = _blows(evidence)
    held = [blow for blow in blows if blow.held_job]
    if not blows:
        yield "nothing was proved: no node was interrupted"
    elif not held:
        yield f"nothing was proved: the job's node was not among the {len(blows)} that were interrupted"
    elif evidence.trains:
        steps = [_step(blow) for blow in held]
        if not any((step or 0) % evidence.timeline.shape.steps_per_epoch for step in steps):
            yield f"nothing was proved: the job was interrupted at step {steps[0]}, the end of an epoch, not within one"


def _step(blow: Notice | Strike) -> int | None:
    saved = blow.confirmed_step if isinstance(blow, Notice) else None
    return blow.step if saved is None else saved


def _training_went_on(evidence: Evidence) -> Iterator[str]:
    for blow in _blows(evidence):
        if not blow.held_job:
            continue
        after = next_holding(evidence.timeline, blow.at)
        if after is None or blow.node in after.nodes:
            yield f"training did not go on: no other node took the job of {blow.node}"
        elif not evidence.trains:
            continue
        elif not after.resume_step:
            yield f"training did not go on from a checkpoint: {after.node} began at step 0"
        elif after.last_step is None or after.last_step <= after.resume_step:
            yield f"training did not go on: {after.node} resumed at step {after.resume_step} and made no step"


def _no_step_lost(evidence: Evidence) -> Iterator[str]:
    runs = evidence.timeline.runs
    for notice in evidence.timeline.notices:
        before = [each for each in runs if each.start < notice.at and notice.node in each.nodes]
        after = next_holding(evidence.timeline, notice.at)
        in_time = notice.heard_at is not None and (notice.deadline is None or notice.heard_at < notice.deadline)
        if not (evidence.trains and notice.held_job and in_time and before and after):
            continue
        lost = lost_between(before[-1], after)
        if lost:
            yield (
                f"{lost} steps were lost although the notice reached {notice.node} in time: "
                f"it stopped at step {before[-1].last_step}, {after.node} resumed at {after.resume_step}"
            )


def _checkpoint_confirmed(evidence: Evidence) -> Iterator[str]:
    for notice in evidence.timeline.interruptions:
        if not (evidence.trains and notice.held_job and notice.leaves_time):
            continue
        if notice.heard_at is None:
            yield f"the notice of {notice.node} never reached its agent"
        elif notice.confirmed_at is None or notice.confirmed_step is None:
            yield f"{notice.node} held the job and did not confirm a checkpoint for its {notice.kind} notice"
        elif notice.deadline is not None and notice.confirmed_at > notice.deadline:
            late = notice.confirmed_at - notice.deadline
            yield f"{notice.node} confirmed its checkpoint {late:.1f} s after the deadline"


def _same_weights(evidence: Evidence) -> Iterator[str]:
    if not evidence.trains:
        return
    if evidence.digest is None:
        yield "the training left no result: its final weights could not be compared"
    elif evidence.timeline.ranks == 1 and evidence.digest != evidence.uninterrupted_digest:
        yield (
            f"the final weights differ from those of an uninterrupted run: digest {evidence.digest[:12]}…, "
            f"uninterrupted {str(evidence.uninterrupted_digest)[:12]}…"
        )


def _signalled_once(evidence: Evidence) -> Iterator[str]:
    for notice in (each for each in _interruptions(evidence) if _can_be_signalled(evidence, each)):
        if notice.signalled_at is None:
            yield f"the responder never signalled {notice.node}, which was interrupted"
        elif notice.deadline is not None and notice.signalled_at > notice.deadline:
            late = notice.signalled_at - notice.deadline
            yield f"the responder signalled {notice.node} {late:.1f} s after its deadline"
    for notice in evidence.timeline.notices:
        if notice.commands > 1:
            yield f"the {notice.kind} notice of {notice.node} was acted on {notice.commands} times, expected once"


def _can_be_signalled(evidence: Evidence, notice: Notice) -> bool:
    """Whether there was time for a signal, and a way: through the ledger, or past one that is away."""
    dark = [] if evidence.commands else disturbances.away(evidence.timeline.faults, evidence.timeline.ended_at)
    until = notice.at if notice.deadline is None else notice.deadline
    return notice.leaves_time and not any(notice.at <= end and begin <= until for begin, end in dark)


def _only_what_is_missing(evidence: Evidence) -> Iterator[str]:
    timeline, before = evidence.timeline, 0
    for at, size in timeline.desired[BACKUP]:
        shape = timeline.shape_at(at)
        missing = most_missing(timeline, at)
        # A drained node counts until it is gone; its successor may be asked for on top.
        drained = {n.node for n in timeline.notices if n.kind in (DRAIN, SCALE_IN) and n.at <= at}
        leaving = alive([life for life in timeline.lives if life.node in drained], BACKUP, at)
        allowed = min(shape.maximum, shape.base + missing + leaving)
        if size > max(before, allowed):
            yield (
                f"{size} on-demand nodes were asked for {at - timeline.started_at:.1f} s after the start, "
                f"expected at most {allowed}: base {shape.base}, maximum {shape.maximum}, {missing} spot nodes missing"
            )
        before = size


def _sizes_as_expected(evidence: Evidence) -> Iterator[str]:
    timeline, expect, shape = evidence.timeline, evidence.expect, evidence.timeline.shape
    for notice in _interruptions(evidence):
        if shape.policy == "never":
            if notice.backup_requested_at is not None:
                yield f"on-demand was bought for {notice.node} although the policy is never"
        elif expect.backup_before_reclaim and notice.group == SPOT:
            yield from _bought_in_time(timeline, notice)
    if expect.returned_to_spot and not any(blow.returned_at for blow in timeline.blows):
        size, living = timeline.size(BACKUP, timeline.ended_at), alive(timeline.lives, BACKUP, timeline.ended_at)
        yield (
            f"the fleet did not return to spot: at the end {size} on-demand nodes were asked for and {living} running, "
            f"base {shape.base}"
        )
    if expect.released:
        sizes = {group: timeline.size(group, timeline.ended_at) for group in (SPOT, BACKUP)}
        living = sum(alive(timeline.lives, group, timeline.ended_at) for group in (SPOT, BACKUP))
        if any(sizes.values()) or living:
            yield (
                f"the finished job still costs: {sizes[SPOT]} spot and {sizes[BACKUP]} on-demand nodes asked for, "
                f"{living} running"
            )


def _bought_in_time(timeline: Timeline, notice: Notice) -> Iterator[str]:
    gone = notice.gone_at or notice.deadline or timeline.ended_at
    if timeline.finished_at is not None and timeline.finished_at < gone:
        return  # what was bought has been given back with everything else
    shape = timeline.shape_at(gone)
    spot = [life for life in timeline.lives if life.group == SPOT]
    coming = sum(life.launched_at < gone <= (life.serving_at or FOREVER) for life in spot)
    needed = min(shape.maximum, shape.base + max(0, most_missing(timeline, gone) - coming))
    held = timeline.size(BACKUP, gone)
    if held < needed:
        yield (
            f"{held} on-demand nodes were asked for when {notice.node} was gone, "
            f"{gone - notice.at:.1f} s after its notice, expected {needed}"
        )


def _hook_after_confirmation(evidence: Evidence) -> Iterator[str]:
    for notice in evidence.timeline.notices:
        done = notice.hook_completed_at
        if done is None or (notice.deadline is not None and done >= notice.deadline):
            continue
        if notice.confirmed_at is None or notice.confirmed_at > done:
            yield f"the lifecycle hook of {notice.node} was completed before its checkpoint was confirmed"


def _held_on_demand(evidence: Evidence) -> Iterator[str]:
    if not evidence.expect.held_on_demand:
        return
    holdings = evidence.timeline.holdings
    bridges = [n for n, each in enumerate(holdings) if each.group == BACKUP]
    if not bridges:
        yield "the job was expected to run on an on-demand node, and never did"
    elif not any(each.group == SPOT for each in holdings[bridges[-1] :]):
        yield f"the job stayed on the on-demand node {holdings[bridges[-1]].node} and did not move back to spot"


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    _something_happened,
    _training_went_on,
    _checkpoint_confirmed,
    _no_step_lost,
    _same_weights,
    _signalled_once,
    _only_what_is_missing,
    _sizes_as_expected,
    _hook_after_confirmation,
    _held_on_demand,
    *elastic.CHECKS,
    *changes.CHECKS,
    *destruction.CHECKS,
    *announcements.CHECKS,
    *faults.CHECKS,
    *hostile_nodes.CHECKS,
)
"""Everything that is judged, in the order in which it is told."""
