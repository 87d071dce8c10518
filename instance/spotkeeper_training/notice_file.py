"""The notice of this node as the training process sees it, from one ``stat`` each time it looks."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Optional, Tuple

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import FILES, LocalNotice


class NoticeFile:
    """``notice.json`` in the run directory ``folder``; without one there are no notices."""

    def __init__(self, folder: Optional[Path]) -> None:
        self._folder = folder
        self._path = str(folder / FILES[LocalNotice]) if folder else ""
        self._signature: Optional[Tuple[int, int, int]] = None
        self._boot_id = run_dir.boot_id()
        self._deadline: Tuple[str, float] = ("", math.inf)
        """Of which notice, and when in boot time."""
        self.seen: Optional[LocalNotice] = None
        """What the last look has found."""

    def look(self) -> Optional[LocalNotice]:
        """Return the present notice."""
        if not self._path:
            return None
        try:
            status = os.stat(self._path)  # noqa: PTH116 - once per step: a Path would cost as much again
        except OSError:
            self._signature = self.seen = None
            return None
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        if signature != self._signature and self._folder is not None:
            self._signature, self.seen = signature, run_dir.read(self._folder, LocalNotice)
            self._note_deadline()
        return self.seen

    def seconds_left(self) -> float:
        """Return the seconds until the node goes, infinite where nothing says when, never less than 0.

        They never grow under one notice, whoever sets the wall clock and whatever is written.
        """
        notice = self.look()
        if notice is None or notice.deadline is None:
            return math.inf
        return max(0.0, self._deadline[1] - run_dir.boot_time())

    def _note_deadline(self) -> None:
        notice = self.seen
        if notice is None or notice.deadline is None:
            return
        if notice.deadline_boottime is not None and notice.boot_id == self._boot_id:
            boot = notice.deadline_boottime
        else:
            boot = run_dir.boot_time() + notice.deadline - time.time()
        name, before = self._deadline
        self._deadline = (notice.notice_id, min(boot, before) if name == notice.notice_id else boot)
