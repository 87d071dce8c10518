"""A save that is under way: what came of it, and how long saves take."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, Iterable, Optional, Tuple

from spotkeeper_training.state import Plan
from spotkeeper_training.store import Checkpoint

_MEASURED = 9


class DoesNotFit(Exception):
    """A save was not started, because what was measured says that it takes longer than there is time."""

    def __init__(self, step: int, needed: float, left: float) -> None:
        super().__init__(f"step {step} is not saved: it would take {needed:.1f} s, and {left:.1f} s are left")
        self.step, self.needed, self.left = step, needed, left


class Replaced(Exception):
    """A save that waited has given way to a later one."""


class Pending:
    """A save under way. It keeps what came of it; who waits for it may do so from any thread."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.seconds = 0.0
        """From the call that began it until its end, once it is done."""
        self._done = threading.Event()
        self._checkpoint: Optional[Checkpoint] = None
        self._error: Optional[BaseException] = None

    @property
    def done(self) -> bool:
        """Whether it was published, or failed."""
        return self._done.is_set()

    @property
    def error(self) -> Optional[BaseException]:
        """Why it failed, if it has."""
        return self._error if self.done else None

    def wait(self, seconds: Optional[float] = None) -> bool:
        """Wait until it is done, for ``seconds`` at most. Returns whether it is."""
        return self._done.wait(seconds)

    def result(self, seconds: Optional[float] = None) -> Checkpoint:
        """Return the checkpoint once it is published.

        Raises ``TimeoutError`` if it is not in time, and whatever made it fail.
        """
        if not self.wait(seconds):
            raise TimeoutError(f"step {self.step}: was not published within {seconds} s")
        if self._error is not None:
            raise self._error
        assert self._checkpoint is not None  # noqa: S101 - done, and without an error
        return self._checkpoint

    def finish(self, checkpoint: Optional[Checkpoint], error: Optional[BaseException], seconds: float) -> None:
        """Say what came of it."""
        self._checkpoint, self._error, self.seconds = checkpoint, error, seconds
        self._done.set()


@dataclass
class Job:
    """A save on its way: how it goes on, and when it must be there."""

    pending: Pending
    planned: Plan
    began: float
    deadline: float
    """By the monotonic clock; infinite without one."""
    parts: Dict[str, Any] = field(default_factory=dict)
    """What was copied for it."""


class Pace:
    """How fast something went the last times."""

    def __init__(self) -> None:
        self._last: Deque[Tuple[int, float]] = deque(maxlen=_MEASURED)

    def add(self, size: int, seconds: float) -> None:
        """Remember that ``size`` bytes took ``seconds``."""
        self._last.append((max(1, size), seconds))

    def seconds(self, size: int) -> Optional[float]:
        """Return how long ``size`` bytes would take: the median of the last times, longer where there are more bytes.

        Fewer bytes than before count as many as before: what takes time may not be the bytes. ``None`` if nothing was
        measured.
        """
        if not self._last:
            return None
        return median([took * max(1.0, size / of) for of, took in self._last])


def median(values: Iterable[float]) -> float:
    """Return the median of some numbers; the module ``statistics`` takes longer to import than a small save."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
