"""How fast an elastic job is on how many nodes, from what it tells. Pure.

Assumed is that a step is the same work on any number of nodes, and, until the job has run on so many, that its speed is
in proportion to them: whoever gains less by each further node is faster than that on few.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from spotkeeper_ledger import FleetSpec, Progress

REMEMBERED = 32
"""How many numbers of nodes are remembered."""


def nodes_of(spec: FleetSpec, progress: Progress) -> int | None:
    """Return how many nodes an elastic job runs on; ``None`` for others, and where that is not known."""
    nodes = progress.nodes or 0
    return nodes if (spec.min_nodes or spec.target) < spec.target and 1 <= nodes <= spec.target else None


def learned(seen: Mapping[str, float], nodes: int, rate: float) -> Mapping[str, float]:
    """Return the steps per second by number of nodes with the latest for ``nodes``."""
    return {**seen, str(nodes): rate} if str(nodes) in seen or len(seen) < REMEMBERED else seen


def relative(spec: FleetSpec, seen: Mapping[str, float], full: float) -> tuple[float, ...]:
    """Return the speed on 0, 1, … all nodes as a part of ``full``, the steps per second on all; empty for a gang.

    Between numbers of nodes that were seen it is on a straight line, and never more than on more nodes.
    """
    least, most = spec.min_nodes or spec.target, spec.target
    if least >= most:
        return ()
    known = {int(n): rate / full for n, rate in seen.items() if int(n) < most}
    speeds = [1.0]
    for (low, slow), (high, fast) in reversed([*pairwise(sorted({0: 0.0, **known, most: 1.0}.items()))]):
        for n in reversed(range(low, high)):
            speeds.append(min(speeds[-1], slow + (fast - slow) * (n - low) / (high - low)))
    return tuple(speed if n >= least else 0.0 for n, speed in enumerate(reversed(speeds)))
