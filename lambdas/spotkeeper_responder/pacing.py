"""How fast a storm is served: few large batches instead of many small ones. Pure.

A handler never keeps back what it has in hand: a batch is served at once, and only then, while a storm lasts, the
handler rests before it takes the next one. What arrives meanwhile waits in the queue and is one decision. By then the
fleet has been told; a notice within the save gap joins the save that is under way; and every agent hears of its own
node from the metadata service, whatever becomes of the queue.
"""

from __future__ import annotations

from spotkeeper_ledger import FleetLedger, FleetSpec

STORM_NOTICES = 10
"""Notices within one rest from which on it is a storm, and more are sure to follow."""
REST_SHARE = 1 / 13
"""Of the time from a warning to the reclaim, that a storm's next notices may wait in the queue: 9 s of AWS's 120."""
LOSER_REST = 1.5
"""How much longer the one of two handlers rests that has lost to the other: so that they take turns from then on."""


def rest_seconds(spec: FleetSpec, ledger: FleetLedger, now: float, *, waited: float, lost: bool) -> float:
    """Return how long to rest after having served a fleet; 0 where there is no storm, or the queue is behind already.

    Args:
        spec: the fleet's.
        ledger: as remembered just now.
        now: Unix seconds.
        waited: seconds that the oldest of the notices just served had been waiting.
        lost: somebody else has served the fleet at the same time.
    """
    rest = REST_SHARE * spec.notice_seconds
    recent = sum(now - record.heard_at < rest for record in ledger.notices.values())
    if recent < STORM_NOTICES or waited > LOSER_REST * rest:
        return 0.0
    return LOSER_REST * rest if lost else rest


def yield_seconds(took: float) -> float:
    """Return how long whoever has lost to somebody else waits before looking again.

    Args:
        took: seconds that it took to find that out: about as long as the other one needs to get done.
    """
    return min(took, 1.0)
