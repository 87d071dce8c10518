"""The saves of a guard that are published behind training's back, and what came of them."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from spotkeeper_ledger.run_dir import LocalNotice
from spotkeeper_training.pending import DoesNotFit, Pending
from spotkeeper_training.saver import Saver

_log = logging.getLogger("spotkeeper.training")


@dataclass(frozen=True)
class Published:
    """A save that has become a checkpoint."""

    step: int
    seconds: float
    """From the call that began it."""
    notice: Optional[LocalNotice]
    """What it answers."""


class Behind:
    """One saver, and the newest save that it has in hand."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver
        self._pending: Optional[Pending] = None
        self._notice: Optional[LocalNotice] = None

    @property
    def underway(self) -> bool:
        """Whether there is a save of which :meth:`collect` has not told yet."""
        return self._pending is not None

    def holds_up(self, notice: Optional[LocalNotice]) -> bool:
        """Whether training waits until a save for this notice is published."""
        return self._saver.mode == "sync" or (notice is not None and notice.leaving)

    def join(self, notice: LocalNotice) -> None:
        """Have the save under way answer this notice, too."""
        self._notice = notice

    def begin(self, step: int, state: Mapping[str, Any], notice: Optional[LocalNotice], left: float) -> None:
        """Begin a save; under a notice that the node will go, wait until it is published, for ``left`` seconds at most.

        What is under way for the same step already is not begun again.

        Raises what :meth:`Saver.save` raises, :class:`DoesNotFit` included, and ``TimeoutError``.
        """
        leaving = notice is not None and notice.leaving
        deadline = left if leaving and left < math.inf else None
        if self._pending is None or self._pending.step != step or self._pending.error is not None:
            self._pending = self._saver.save(step, state, deadline_seconds=deadline)
        self._notice = notice
        if leaving and not self._pending.wait(deadline):
            raise TimeoutError(f"step {step}: was not published in the {left:.1f} s that were left")

    def collect(self) -> Optional[Published]:
        """Return the save that has been published since this was last asked.

        Raises what a save met since then: StaleGeneration, BoardError.
        """
        pending = self._pending
        if pending is None or not pending.done:
            return None
        self._pending = None
        self._saver.raise_failure()
        return None if pending.error is not None else Published(pending.step, pending.seconds, self._notice)

    def rest(self, left: float) -> None:
        """Wait for what is under way, for ``left`` seconds at most: what was begun earlier may still be published."""
        if self._pending is not None:
            self._pending.wait(None if left == math.inf else left)


__all__ = ["Behind", "DoesNotFit", "Published"]
