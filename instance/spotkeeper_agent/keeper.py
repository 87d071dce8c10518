"""The lease in a thread of its own: a ledger that answers slowly or not at all must not hold up a notice."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Tuple, Union

from spotkeeper_agent.lease import Lease
from spotkeeper_agent.logs import log
from spotkeeper_ledger import Generation

RETRY_SECONDS = 1.0
"""Pause after a write that has to be made and could not be."""


@dataclass(frozen=True)
class Taken:
    """The job is this node's now."""

    generation: Generation


@dataclass(frozen=True)
class Lost:
    """Another node has the job."""

    number: int


@dataclass(frozen=True)
class Ended:
    """The generation has been ended; ``state`` says how."""

    number: int
    state: str


Outcome = Union[Taken, Lost, Ended]


class Holder(Protocol):
    """What takes, keeps and ends a node's part in the job."""

    @property
    def seeking(self) -> bool:
        """Whether this node may be about to take part, on account of having been allowed to before."""

    def allow(self, allowed: bool) -> None:
        """Say whether this node may take part."""

    def end(self, state: str, reason: str) -> None:
        """End this node's part."""


class Keeper(threading.Thread):
    """Seeks the lease while that is allowed, keeps what it has taken, ends it when told to.

    Args:
        lease: used by this thread only.
        tell: called with each outcome, in this thread.
        seek_seconds: pause between two looks at a generation of another node.
        beat_seconds: pause between two signs of life.
    """

    def __init__(self, lease: Lease, tell: Callable[[Outcome], None], seek_seconds: float, beat_seconds: float) -> None:
        super().__init__(name="lease", daemon=True)
        self._lease, self._tell = lease, tell
        self._seek_seconds, self._beat_seconds = seek_seconds, beat_seconds
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._allowed = False
        self._seeking = False
        self._ending: Optional[Tuple[str, str]] = None
        self._failing = False

    @property
    def seeking(self) -> bool:
        """Whether it looks for the lease right now; what it takes is told before it looks no more."""
        return self._seeking

    def allow(self, allowed: bool) -> None:
        """Say whether this node may take the lease."""
        if allowed != self._allowed:
            self._allowed = allowed
            self._wake.put(None)

    def end(self, state: str, reason: str) -> None:
        """End the held generation as soon as the ledger can be written."""
        self._ending = (state, reason)
        self._wake.put(None)

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            pause = self.turn()
            try:
                self._wake.get(timeout=pause)
            except queue.Empty:
                continue

    def turn(self) -> float:
        """Do what is due, and return the seconds until the next turn."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - whatever a ledger answers, this thread goes on
            if not self._failing:
                log("ledger-failing", doing="lease", error=f"{type(error).__name__}: {error}")
            self._failing = True
            return min(RETRY_SECONDS, self._beat_seconds)
        if self._failing:
            log("ledger-back", doing="lease")
        self._failing = False
        return self._seek_seconds if self._lease.held is None else self._beat_seconds

    def _work(self) -> None:
        held, ending = self._lease.held, self._ending
        if held is None:
            self._ending = None
            self._seek()
        elif ending is not None:
            ours = self._lease.end(*ending)
            self._ending = None
            self._tell(Ended(held.number, ending[0]) if ours else Lost(held.number))
        elif not self._lease.beat():
            self._tell(Lost(held.number))

    def _seek(self) -> None:
        self._seeking = True  # before it is asked whether that is allowed: whoever forbids it then sees what goes on
        try:
            taken = self._lease.seek() if self._allowed else None
            if taken is not None:
                self._tell(Taken(taken))
        finally:
            self._seeking = False
