"""What a training process tells its agent: how far it is, what holds it up, and which checkpoint is published."""

from __future__ import annotations

import logging
import time
from collections import deque
from pathlib import Path
from typing import Callable, Deque, Optional, Tuple, Union

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress
from spotkeeper_training.figures import p95, rate
from spotkeeper_training.pending import median

REPORT_SECONDS = 1.0
"""Progress is written at most this often."""
_RATE_REPORTS = 60
_SAVES = 50
_log = logging.getLogger("spotkeeper.training")


class Account:
    """``progress.json`` and ``confirm.json``. A run directory that cannot be written does not stop training.

    Args:
        folder: the run directory; ``None`` where no agent listens.
        generation: the job's.
        silent: whether another rank speaks for this one.
        step: of the checkpoint that was loaded, ``None`` where there was none.
        clock: monotonic seconds.
    """

    def __init__(
        self, folder: Optional[Path], generation: int, *, silent: bool, step: Optional[int], clock: Callable[[], float]
    ) -> None:
        self._folder, self._generation, self._clock = None if silent else folder, generation, clock
        self.step = 0
        """The furthest that was told of."""
        self.published_step = step
        """Of the last checkpoint; ``None`` where there is none."""
        self._published_at: Optional[float] = None
        self._save_seconds: Deque[float] = deque(maxlen=_SAVES)
        self._reported: Deque[Tuple[float, int]] = deque(maxlen=_RATE_REPORTS)
        self._total: Optional[int] = None
        self._saving_seconds = 0.0
        self._busy = ""

    @property
    def usual_save_seconds(self) -> Optional[float]:
        """How long saves have taken of late: the median; ``None`` where there were none."""
        return median(self._save_seconds) if self._save_seconds else None

    def rate(self) -> Optional[float]:
        """Return the steps per second of late, ``None`` where nobody knows."""
        return rate(self._reported)

    def report(self, step: int, total: Optional[int]) -> None:
        """Say that ``step`` steps of ``total`` are completed; it is written once a second, and at the end."""
        self.step, self._total = step, total
        now = self._clock()
        if self._reported and now < self._reported[-1][0] + REPORT_SECONDS and step != total:
            return
        self._reported.append((now, step))
        self.write()

    def busy(self, busy: str) -> None:
        """Say why no step is to be expected, with an empty text that they go on: it would be taken for a hang."""
        self._busy = busy
        self.write()

    def held_up(self, seconds: float) -> None:
        """Add to how long saves have held up the steps; told with what is written next."""
        self._saving_seconds += seconds

    def published(self, step: int, seconds: Optional[float]) -> None:
        """Take note of a checkpoint, and of how long its save took where that is known; told with what comes next."""
        if seconds is not None:
            self._save_seconds.append(seconds)
        self.published_step, self._published_at = step, time.time()
        self.step = max(self.step, step)

    def confirm(self, notice: Optional[LocalNotice]) -> None:
        """Say that the last checkpoint is whole, and that it answers ``notice``."""
        if self.published_step is None:
            return
        notice_id = notice.notice_id if notice else ""
        self._write(Confirmation(self.published_step, time.time(), notice_id, self._generation))

    def write(self) -> None:
        """Say all that is known now."""
        self._write(
            LocalProgress(
                step=self.step,
                at=time.time(),
                total=self._total,
                generation=self._generation,
                steps_per_second=self.rate(),
                published_step=self.published_step,
                published_at=self._published_at,
                save_seconds_p95=p95(self._save_seconds),
                saving_seconds=self._saving_seconds,
                busy=self._busy,
            )
        )

    def _write(self, document: Union[Confirmation, LocalProgress]) -> None:
        if self._folder is None:
            return
        try:
            run_dir.write(self._folder, document)
        except OSError as error:
            _log.warning("%s: cannot be written (%s); training goes on", self._folder, error)
