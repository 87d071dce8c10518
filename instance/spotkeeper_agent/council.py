"""Where the ranks of a job meet: looks at what they say, and writes down at which step all of them save.

A thread of its own. It looks once a second while nothing is to be agreed on, and sixty times a second while something
is.
"""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Dict, Optional, Protocol, Set, Tuple

from spotkeeper_agent.agreement import Coordinator, Present, Wanted
from spotkeeper_agent.logs import log
from spotkeeper_agent.notices import Notice
from spotkeeper_ledger import MalformedDocument, load, run_dir
from spotkeeper_ledger.run_dir import ARMING, COMMIT, GO, RANKS, Agreement, RankState, boot_time

IDLE_SECONDS = 1.0
OPEN_SECONDS = 0.015
SLOW_SECONDS = 0.1
"""Pause between two looks: while nothing is to be agreed on; while something is; and while that takes long."""
LONG_SECONDS = 10.0
_Process = Tuple[int, int, int]
"""Rank, process id, start."""


class Ranks(Protocol):
    """The ranks of one start of the job, wherever they run."""

    def begin(self, generation: int, attempt: int) -> None:
        """Forget all ranks of before: the job is about to start."""

    def present(self) -> Present:
        """Return what they say now."""

    def tell(self, agreement: Agreement) -> None:
        """Let all of them read ``agreement``. Raises ``OSError`` if it cannot be written."""

    @property
    def follows(self) -> bool:
        """Whether another node's agent decides."""

    def decided(self) -> Optional[Agreement]:
        """Return what that agent has decided last."""


class LocalRanks:
    """The ranks on this node, through its run directory ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start = (0, 0)
        self._read: Dict[str, Tuple[Tuple[int, int, int], Optional[RankState]]] = {}
        self._seen: Set[_Process] = set()

    def begin(self, generation: int, attempt: int) -> None:
        """Forget all ranks of before."""
        self._start, self._read, self._seen = (generation, attempt), {}, set()
        run_dir.clear_ranks(self._folder)

    def present(self) -> Present:
        """Return what they have written, if it was in this start of the job, and which of their processes are gone."""
        try:
            with os.scandir(self._folder / RANKS) as entries:
                found = [self._state(entry) for entry in entries if entry.name.endswith(".json")]
        except OSError:
            found = []
        states = {state.rank: state for state in found if state and (state.generation, state.attempt) == self._start}
        return Present(states, frozenset(rank for rank, state in states.items() if self._is_lost(state)))

    def tell(self, agreement: Agreement) -> None:
        """Write ``agreement.json``."""
        run_dir.write(self._folder, replace(agreement, attempt=self._start[1]))

    @property
    def follows(self) -> bool:
        """Whether another node's agent decides: there is none."""
        return False

    def decided(self) -> Optional[Agreement]:
        """Return nothing."""
        return None

    def _state(self, entry: os.DirEntry[str]) -> Optional[RankState]:
        if entry.name.startswith("."):
            return None  # not whole yet
        status = entry.stat()
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        before = self._read.get(entry.name)
        if before is None or before[0] != signature:
            try:
                state = load(RankState, Path(entry.path).read_bytes())
            except (OSError, MalformedDocument):
                state = None
            self._read[entry.name] = before = (signature, state)
        return before[1]

    def _is_lost(self, state: RankState) -> bool:
        """Whether its process is gone. In a container it may have another number there: then nothing is known."""
        if state.started is None:
            return False
        process = (state.rank, state.pid, state.started)
        if run_dir.process_started(state.pid) == state.started:
            self._seen.add(process)
            return False
        return process in self._seen


class Council(threading.Thread):
    """Coordinates the ranks of the job that runs now.

    Args:
        ranks: these.
        lead_seconds: how far ahead a stop step is set: what it takes until all ranks have heard of it.
    """

    def __init__(self, ranks: Ranks, *, lead_seconds: Optional[float] = None) -> None:
        super().__init__(name="council", daemon=True)
        self._ranks, self._lead_seconds = ranks, lead_seconds
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._coordinator: Optional[Coordinator] = None
        self._told: Optional[Agreement] = None
        self._wanted: Optional[Wanted] = None
        self._since = 0.0

    @property
    def agreement(self) -> Optional[Agreement]:
        """The newest agreement of the job that runs, or has run last."""
        return self._told

    def begin(self, generation: int, attempt: int) -> None:
        """Forget all ranks of before: the job is about to start. Raises ``OSError`` if the folder cannot be used."""
        with self._lock:
            self._ranks.begin(generation, attempt)
            self._coordinator, self._told = Coordinator(generation, attempt), None
            if self._lead_seconds is not None:
                self._coordinator = replace(self._coordinator, lead_seconds=self._lead_seconds)

    def end(self) -> None:
        """Look no more: the job has ended."""
        with self._lock:
            self._coordinator = None

    def want(self, notice: Optional[Notice]) -> None:
        """Say for which notice the job has to save, if for any."""
        wanted = None
        if notice is not None:
            until = notice.stop_times()[0] if notice.leaving else math.inf
            wanted = Wanted(notice.notice_id, notice.heard.wall, notice.leaving, until)
        if wanted != self._wanted:
            self._wanted, self._since = wanted, boot_time()
            self._wake.set()

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            self._wake.wait(self._turn())
            self._wake.clear()

    def _turn(self) -> float:
        """Do what is due, and return the seconds until the next look."""
        with self._lock:
            if self._coordinator is None:
                return IDLE_SECONDS
            now = boot_time()
            try:
                present = self._ranks.present()
                if self._ranks.follows:
                    self._coordinator = replace(self._coordinator, agreement=self._ranks.decided())
                else:
                    self._coordinator = self._coordinator.turn(present, self._wanted, now)
                self._publish(now)
            except OSError as error:
                log("agreement-failing", error=str(error))
                return SLOW_SECONDS
            stage = self._coordinator.stage
            if self._ranks.follows and stage not in (COMMIT, GO):
                stage = ARMING
        if stage in (COMMIT, GO):
            return OPEN_SECONDS if now < self._since + LONG_SECONDS else SLOW_SECONDS
        if stage == ARMING:
            pressing = self._wanted is not None and now < self._since + LONG_SECONDS
            return OPEN_SECONDS if pressing else SLOW_SECONDS
        return IDLE_SECONDS

    def _publish(self, now: float) -> None:
        agreement = self._coordinator.agreement if self._coordinator else None
        if agreement is None or agreement == self._told:
            return
        self._ranks.tell(replace(agreement, at=time.time()))
        before, self._told = self._told, agreement
        if before is None or (before.stage, before.round) != (agreement.stage, agreement.round):
            self._since = now
            log(
                "agreement",
                stage=agreement.stage,
                round=agreement.round,
                step=agreement.stop_step,
                notice_id=agreement.notice_id or None,
                reason=agreement.reason or None,
            )
