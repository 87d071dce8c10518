"""Pausing and resuming a fleet: one field of its ledger, written by compare-and-swap as the responder writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from spotkeeper_lab.operations.reading import Fleet, read_fleet
from spotkeeper_lab.operations.status import FleetStatus
from spotkeeper_ledger import ABSENT, STOPPED, Board, Conflict, Pause, dump, keys

TRIES = 20
"""How often a write that is lost is tried again: the responder writes a few times a minute, and in a storm more."""


@dataclass(frozen=True)
class Change:
    """What a fleet's pause was, and what it is now; equal if nothing had to be done."""

    before: Pause | None
    after: Pause | None
    fleet: Fleet
    """As it was read, before the change."""


def pause(board: Board, name: str, mode: str, reason: str, now: float) -> Change:
    """Pause a fleet. One that is paused in this mode stays as it is.

    Args:
        board: the ledger.
        name: of the fleet.
        mode: ``stopped`` or ``held``.
        reason: why; may be empty.
        now: Unix seconds.

    Raises:
        UnknownFleet: there is no such fleet.
        BoardError: the ledger cannot be read or written.
    """

    def wanted(before: Pause | None) -> Pause:
        return before if before is not None and before.mode == mode else Pause(mode, now, reason)

    return _change(board, name, wanted)


def resume(board: Board, name: str) -> Change:
    """Let a fleet go on; raises as :func:`pause` does."""
    return _change(board, name, lambda _: None)


def done(status: FleetStatus, ticked_at: float) -> bool:
    """Whether a change has come about that was made after the tick at ``ticked_at``, and before any later one.

    Stopped: the responder has seen it and no node is left. Held: it has seen it. Resumed: it has seen it, and as many
    nodes serve as the fleet wants, or its job is over.
    """
    if status.ticked_at is None or status.ticked_at <= ticked_at:
        return False
    if status.pause is None:
        over = status.job.state in ("finished", "failed")
        return over or status.spot.serving + status.backup.serving >= status.target
    return status.pause.mode != STOPPED or status.spot.nodes + status.backup.nodes == 0


def _change(board: Board, name: str, wanted: Callable[[Pause | None], Pause | None]) -> Change:
    for left in reversed(range(TRIES)):
        fleet = read_fleet(board, name)
        before = fleet.ledger.pause
        after = wanted(before)
        change = Change(before, after, fleet)
        if after == before:
            return change
        ledger = replace(fleet.ledger, pause=after, revision=fleet.ledger.revision + 1)
        try:
            board.write(keys.ledger(name), dump(ledger), expect=ABSENT if fleet.version is None else fleet.version)
        except Conflict:
            if not left:
                raise
        else:
            return change
    raise AssertionError("unreachable: the last try returns or raises")
