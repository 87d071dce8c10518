"""Where fleets keep their checkpoints: another place, or one that two of them share. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from spotkeeper_lab.review.finding import DANGER, INTERRUPTS, Finding, code
from spotkeeper_lab.review.fleets import Fleet


def moved(fleet: Fleet) -> list[Finding]:
    """Return that checkpoints move. Roles and grants move at once, what runs on nodes does not."""
    before, after = fleet.checkpoint_uris()
    if not before or not after or _same(before, after):
        return []
    return [
        Finding(
            DANGER,
            f"**`checkpointUri` moves from {code(before)} to {code(after)}**: what nodes may write moves at once, so "
            "that running ones, which save to the old place, cannot save any more; and whoever starts next finds no "
            "checkpoint there. Finish or pause the job and copy the checkpoints first.",
        )
    ]


def shared(fleet: Fleet, others: Sequence[Fleet]) -> list[Finding]:
    """Return that a fleet comes to checkpoints that another one has.

    Of all that have begun there only the last can publish (``spotkeeper_training.fence``).
    """
    before, after = fleet.checkpoint_uris()
    if not after or (before and _same(before, after)):
        return []
    found = []
    for other in others:
        theirs = other.checkpoint_uris()[0]
        if other.urn == fleet.urn or not theirs or not _same(theirs, after):
            continue
        if other.destroyed:
            text = f"It goes on from the checkpoints of {code(other.id)}, which this deploy destroys. Once its own job "
            text += "has begun, what the other one still saves does not count: to lose nothing, destroy first."
            found.append(Finding(INTERRUPTS, text))
        else:
            text = f"**It keeps its checkpoints where {code(other.id)} has its own** ({code(after)}), which stays: the "
            found.append(Finding(DANGER, f"{text}job that begins last keeps the other one from saving."))
    return found


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
