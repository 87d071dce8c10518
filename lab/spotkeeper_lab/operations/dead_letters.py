"""Dead letters: what the responder could not handle, looked through and put back to where it was to be handled.

A message is sent first and deleted only then: whatever happens, it is in one of the two places. One that is in both
does no harm, for the responder decides on what it sees, not on what it hears.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

HOLD_SECONDS = 600
"""For how long messages that were taken are nobody else's."""
NOTICE, UNREADABLE = "notice of a node", "unreadable"
"""Kinds of messages that both clouds have: about what a node has written; and what no sender should have sent, which
the responder logs and drops."""


@dataclass(frozen=True)
class Letter:
    """One message."""

    id: str
    kind: str
    sent_at: float
    """Unix seconds."""
    message: Mapping[str, Any]
    """What is sent, as the cloud's API has it."""
    receipt: str
    """What it is deleted by."""


class DeadLetters(Protocol):
    """What holds the messages that could not be handled. Every method raises ``NoCloud`` where the cloud refuses."""

    source: str
    """Its name."""
    target: str
    """Name of what messages go back to."""
    batch: int
    """Most messages that one request takes."""

    def take(self) -> Sequence[Letter]:
        """Return some messages, which nobody else gets for :data:`HOLD_SECONDS`; none once there are no more."""

    def release(self, letters: Sequence[Letter]) -> None:
        """Let others have messages that were taken; at most a batch."""

    def move(self, letters: Sequence[Letter]) -> int:
        """Move at most a batch, and return how many of it the target has taken. The others are released."""


def taken(dead: DeadLetters) -> list[Letter]:
    """Take all messages."""
    found: dict[str, Letter] = {}
    while letters := dead.take():
        found |= {letter.id: letter for letter in letters}  # one that comes again goes by its last receipt
    return list(found.values())


def released(dead: DeadLetters, letters: Sequence[Letter]) -> None:
    """Let others have messages that were taken."""
    for part in _batches(letters, dead.batch):
        dead.release(part)


def moved(dead: DeadLetters, letters: Sequence[Letter]) -> Iterator[int]:
    """Move messages, and yield after each batch how many of it are in the target.

    Whatever the target does not take stays where it was, and so does all that is left when the cloud refuses.
    """
    for part in _batches(letters, dead.batch):
        yield dead.move(part)


def _batches(letters: Sequence[Letter], size: int) -> Iterator[Sequence[Letter]]:
    for start in range(0, len(letters), size):
        yield letters[start : start + size]
