"""Keeps one rank's part in the agreement of all ranks: looks, says and waits, at step boundaries and nowhere else."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

from spotkeeper_ledger.run_dir import ARMED, PASSED, PROMISED, READY, SAVED, SAVING, UNSAVED, Agreement, LocalNotice
from spotkeeper_training.agreement import GO_ON, RELEASED, SAVE, WAIT, Boundary, Stand, verdict
from spotkeeper_training.rank_files import RankFiles

POLL_SECONDS = 0.002
"""Pause between two looks of a rank that waits at its stop step."""
WAIT_SECONDS = 120.0
"""How long a rank waits at its stop step where no deadline says it; the agent gives up before."""
VERDICT_SECONDS = 30.0
"""How long a rank that could not save waits to hear what became of the others."""
LONELY_SECONDS = 60.0
"""After this time without any agreement a rank says that no agent answers."""
_log = logging.getLogger("spotkeeper.training")


class RankSide:
    """This rank's part.

    Args:
        folder: the run directory.
        rank: this process's.
        world_size: how many ranks save together.
        generation: the job's.
        rate: returns the steps that this rank makes per second, where it knows.
        step: completed steps so far.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        world_size: int,
        generation: int,
        *,
        rate: Callable[[], Optional[float]] = lambda: None,
        step: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = RankFiles(folder, rank, world_size, generation)
        self._rate, self._clock = rate, clock
        self._opened_at = clock()
        self._lonely = False
        self._saved_round = 0
        self.previous = step
        """The last boundary; set by whoever has no reason to call :meth:`boundary`."""
        self.agreed: Optional[Agreement] = None
        """The agreement whose save is this rank's to make now."""
        found = self._files.look()
        self._stand = Stand(READY, found.round if found else 0)
        self._tell(step)

    @property
    def open(self) -> bool:
        """Whether the next boundary has something to look at."""
        return self._stand.open or self.agreed is not None

    def boundary(
        self,
        here: Boundary,
        *,
        seconds: float,
        busy: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Do what is due at a step boundary, for a rank that has something to save for or is open.

        Args:
            here: that boundary; the one before is put in.
            seconds: how long it may wait for the others.
            busy: told why no step is to be expected, and with an empty text when they go on.

        Returns ``GO_ON``, ``SAVE``, ``ANSWERED`` or ``RELEASED``; :attr:`read` is the agreement that says so.
        """
        step = here.step
        if self.agreed is not None:  # it was this rank's turn, and it did not save
            self.unsaved(step, self.agreed, 0.0)
        boundary = replace(here, previous=self.previous)
        self.previous = step
        outcome = self._look(boundary)
        if outcome == WAIT:
            busy("agreeing")
            outcome = self._wait(boundary, min(seconds, WAIT_SECONDS))
            busy("")
        if outcome == SAVE:
            self.agreed = self._files.read
        elif outcome == RELEASED:
            reason = self._files.read.reason if self._files.read else ""
            _log.warning("step %d: the ranks do not save together (%s); training goes on", step, reason)
        return outcome

    @property
    def read(self) -> Optional[Agreement]:
        """The agreement as it was last read."""
        return self._files.read

    def begin(self, step: int) -> Optional[Agreement]:
        """Begin the save that it is this rank's turn for; returns what was agreed, ``None`` where nothing was."""
        agreed, self.agreed = self.agreed, None
        if agreed is not None:
            self._move(self._stand.closed(SAVING), step)
        return agreed

    def saved(self, step: int, agreed: Agreement) -> None:
        """Say that the checkpoint is published whose save was begun, even if this rank has armed for another by now."""
        self._saved_round = agreed.round
        if self._stand.stage in (SAVING, UNSAVED) and self._stand.round == agreed.round:
            self._move(self._stand.closed(SAVED), step)
        else:
            self._tell(step)

    def unsaved(self, step: int, agreed: Agreement, seconds: float) -> bool:
        """Say that a save has failed; wait for ``seconds`` at most until all ranks know what becomes of it.

        Returns whether the checkpoint is published all the same, as another rank knows.
        """
        self.agreed = None
        if self._stand.stage not in (SAVING, PROMISED) or self._stand.round != agreed.round:
            return False  # it has armed for another by now
        self._move(self._stand.closed(UNSAVED), step)
        give_up_at = self._clock() + min(seconds, VERDICT_SECONDS)
        while True:
            found = verdict(agreed, self._files.look())
            if found is not None:
                return found
            if self._clock() >= give_up_at:
                return False
            time.sleep(POLL_SECONDS)

    def covered(self, step: int, notice: LocalNotice) -> None:
        """Say, as rank 0, that the last checkpoint answers ``notice``."""
        self._move(self._stand.covered(notice, self._files.look()), step)

    def _look(self, boundary: Boundary) -> str:
        stand, outcome = self._stand.at(boundary, self._files.look())
        self._move(stand, boundary.step)
        return outcome

    def _wait(self, boundary: Boundary, seconds: float) -> str:
        give_up_at = self._clock() + seconds
        while True:
            outcome = self._look(boundary)
            if outcome != WAIT:
                return outcome
            if self._clock() >= give_up_at:
                _log.warning("step %d: not all ranks have promised to save here in time; going on", boundary.step)
                self._move(self._stand.tired(), boundary.step)
                return GO_ON
            time.sleep(POLL_SECONDS)

    def _move(self, stand: Stand, step: int) -> None:
        now = self._clock()
        if not self._stand.open and stand.open:
            self._opened_at = now
        # One that leaves a boundary without a promise says so each time: the agent has to know who is past a stop step,
        # because that rank may come to no other boundary while one that has promised waits at this one.
        leaves = stand.stage in (ARMED, PASSED)
        if stand != self._stand or leaves:
            before, self._stand = self._stand, stand
            if not self._tell(step) and stand.stage == PROMISED:
                self._stand = before  # nobody has heard it
        if leaves and self._files.read is None and not self._lonely and now >= self._opened_at + LONELY_SECONDS:
            self._lonely = True
            _log.warning("no agent answers: several ranks cannot agree on a step to save after without one")

    def _tell(self, step: int) -> bool:
        return self._files.tell(self._stand, step, self._rate(), self._saved_round)
