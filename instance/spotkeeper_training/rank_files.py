"""What one rank of several writes and reads in the run directory."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Optional, Tuple

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import FILES, Agreement, RankState
from spotkeeper_training.agreement import Stand

_log = logging.getLogger("spotkeeper.training")


class RankFiles:
    """``ranks/<rank>.json``, which this process writes, and ``agreement.json``, which it reads.

    Args:
        folder: the run directory.
        rank: this process's.
        world_size: how many ranks save together.
        generation: the job's.
    """

    def __init__(self, folder: Path, rank: int, world_size: int, generation: int) -> None:
        self._folder, self._rank, self._world_size, self._generation = folder, rank, world_size, generation
        self._attempt = int(os.environ.get(run_dir.ATTEMPT) or 0)
        self._pid, self._started = os.getpid(), run_dir.process_started(os.getpid())
        self._path = str(folder / FILES[Agreement])
        self._signature: Optional[Tuple[int, int, int]] = None
        self.read: Optional[Agreement] = None
        """What the last look has found."""

    def look(self) -> Optional[Agreement]:
        """Return the agreement of this start of the job."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - at every boundary of an armed rank
        except OSError:
            self._signature = self.read = None
            return None
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        if signature != self._signature:
            found = run_dir.read(self._folder, Agreement)
            ours = found is not None and (found.generation, found.attempt) == (self._generation, self._attempt)
            self._signature, self.read = signature, found if ours else None
        return self.read

    def tell(self, stand: Stand, step: int, rate: Optional[float], saved_round: int) -> bool:
        """Write where this rank stands after ``step`` steps; returns whether it could be written.

        ``saved_round`` is the last round whose checkpoint is published.
        """
        notice = stand.notice
        state = RankState(
            rank=self._rank,
            world_size=self._world_size,
            pid=self._pid,
            generation=self._generation,
            stage=stand.stage,
            step=step,
            at=time.time(),
            round=stand.round,
            stop_step=stand.stop_step,
            notice_id=notice.notice_id if notice else "",
            leaving=notice.leaving if notice else False,
            steps_per_second=rate,
            attempt=self._attempt,
            started=self._started,
            saved_round=saved_round,
        )
        try:
            run_dir.write(self._folder, state)
        except OSError as error:
            _log.warning("%s: cannot be written (%s); training goes on", self._folder, error)
            return False
        return True
