"""What has to hold where several nodes train together. Pure.

Sums of another number of ranks are made in another order, so their last bits differ, and the weights cannot be compared
with those of an uninterrupted run. The samples can: which of them made every step of the final weights, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spotkeeper_lab.evidence import Evidence, next_holding
from spotkeeper_lab.timeline import Holding, Timeline

ACCURACY = 0.02
"""How far the final accuracy may be from that of an uninterrupted run: seven of the 360 test images."""


def _trained_together(evidence: Evidence) -> Iterator[str]:
    """All nodes that were there have trained at once, before a blow and after it."""
    timeline = evidence.timeline
    if not evidence.elastic or not evidence.trains:
        return
    target = timeline.shape.spot_target + timeline.shape.base
    if timeline.ranks < target:
        yield f"{timeline.ranks} nodes have trained together at most, expected {target}"
        return
    for blow in timeline.blows:
        before, after = _before(timeline, blow.at), next_holding(timeline, blow.at)
        if not blow.held_job or before is None or after is None:
            continue
        gone = {each.node for each in timeline.notices if each.at <= after.start}
        gone |= {each.node for each in timeline.strikes if each.at <= after.start}
        missing = [node for node in before.nodes if node not in after.nodes and node not in gone]
        if missing:
            nodes = ", ".join(missing)
            yield f"{nodes} did not go on in generation {after.generation}, though nothing was said of them"
    held = [blow for blow in timeline.blows if blow.held_job]
    joined = [each for each in timeline.runs if held and each.start > held[0].at and len(each.nodes) >= target]
    if held and evidence.expect.returned_to_spot and not joined:
        yield f"never again after the first interruption did {target} nodes train together"


def _same_step_on_all_ranks(evidence: Evidence) -> Iterator[str]:
    for run in evidence.timeline.runs:
        for what, steps in (("went on from", run.resumed), ("stopped at", run.stopped)):
            if len(steps) > 1:
                told = " and ".join(str(step) for step in sorted(steps))
                yield f"the ranks of generation {run.generation} {what} steps {told}, expected the same step on all"


def _same_samples(evidence: Evidence) -> Iterator[str]:
    if not evidence.trains or evidence.timeline.ranks == 1 or evidence.digest is None:
        return
    ours, theirs = evidence.final, evidence.uninterrupted
    if not ours.get("samples") or ours["samples"] != theirs.get("samples"):
        yield (
            f"the steps saw other samples than those of an uninterrupted run: digest {str(ours.get('samples'))[:12]}…, "
            f"uninterrupted {str(theirs.get('samples'))[:12]}…"
        )
    accuracy, wanted = ours.get("accuracy", 0.0), theirs.get("accuracy", 1.0)
    if abs(accuracy - wanted) > ACCURACY:
        yield f"the final accuracy is {accuracy:.3f}, that of an uninterrupted run {wanted:.3f}"


def _before(timeline: Timeline, at: float) -> Holding | None:
    return next((each for each in reversed(timeline.runs) if each.start < at), None)


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (_trained_together, _same_step_on_all_ranks, _same_samples)
