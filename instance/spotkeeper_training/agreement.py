"""One rank's part in the agreement at which step all ranks save: what it makes of what it reads, at step boundaries.

A rank that has nothing to save for looks at nothing. One that has *arms*: it says where it is, and looks from then on,
at each boundary, whether the agent has set a stop step. If it is not past that yet it promises to save at the first
boundary at or beyond it, and nowhere else. There it waits for word that all ranks have promised, in no collective: it
has done its part in every one that the others need to come as far.

Pure; :mod:`spotkeeper_training.rank_side` reads, writes and waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

from spotkeeper_ledger.run_dir import (
    ARMED,
    ARMING,
    COMMIT,
    COVERED,
    DONE,
    FAILED,
    GO,
    PASSED,
    PROMISED,
    READY,
    UNSAVED,
    Agreement,
    LocalNotice,
)

OVER = (FAILED, ARMING, DONE)
"""Stages of an agreement in which nothing comes of its round any more."""
GO_ON, WAIT, SAVE, ANSWERED, RELEASED = "go on", "wait", "save", "answered", "released"
"""What a rank does at a boundary: nothing · stay and look again · save now · nothing, what it had to save for is
answered · nothing, its promise is void and nobody saves."""


@dataclass(frozen=True)
class Boundary:
    """A moment in the training loop at which a rank may save."""

    step: int
    """Completed steps."""
    previous: int = 0
    """The same at the boundary before."""
    notice: Optional[LocalNotice] = None
    """What the rank has to save for."""
    due: bool = False
    """Whether its save interval is over."""


@dataclass(frozen=True)
class Stand:
    """What a rank has said last, and therefore holds to."""

    stage: str = READY
    round: int = 0
    """The last round that it knows of; what its stage is about."""
    stop_step: Optional[int] = None
    notice: Optional[LocalNotice] = None
    failed: bool = False
    """Whether its save of that round has failed, and it has not heard yet what became of the others'."""

    @property
    def open(self) -> bool:
        """Whether the next boundary has something to look at."""
        return self.stage in (ARMED, PASSED, PROMISED)

    def at(self, boundary: Boundary, found: Optional[Agreement]) -> Tuple[Stand, str]:
        """Return where the rank stands after it has read ``found``, and what it does."""
        if self.stage == PROMISED:
            return self._keep(boundary, found)
        if not self.open:
            return self._arm(boundary, found)
        if boundary.notice is None and not boundary.due:
            return self.closed(READY), GO_ON  # the notice is over
        return self._follow(boundary, found)

    def closed(self, stage: str) -> Stand:
        """Return the stand of a rank that has nothing to save for any more, at that stage."""
        return Stand(stage, self.round, failed=stage == UNSAVED)

    def covered(self, notice: LocalNotice, found: Optional[Agreement]) -> Stand:
        """Return the stand of rank 0 where its last checkpoint answers ``notice``."""
        return Stand(COVERED, self._caught_up(found), notice=notice)

    def tired(self) -> Stand:
        """Return the stand of a rank that waits for the others' promises no longer."""
        return replace(self, stage=PASSED, stop_step=None)

    def _is_news(self, found: Agreement) -> bool:
        """Whether what became of its round, the rank does not know yet."""
        return found.round > self.round or (found.round == self.round and self.failed)

    def _caught_up(self, found: Optional[Agreement]) -> int:
        return max(self.round, found.round) if found is not None and found.stage in OVER else self.round

    def _arm(self, boundary: Boundary, found: Optional[Agreement]) -> Tuple[Stand, str]:
        if found is not None and self._is_news(found) and _answers(found, boundary.notice):
            return Stand(READY, found.round), ANSWERED
        known = self._caught_up(found)
        waits = self.failed and found is not None and found.stage == GO
        return Stand(ARMED, known, notice=boundary.notice, failed=waits), GO_ON

    def _follow(self, boundary: Boundary, found: Optional[Agreement]) -> Tuple[Stand, str]:
        """Take in what the agent says to an armed rank."""
        fresh = replace(self, notice=boundary.notice)
        if found is None or found.round < self.round:
            return fresh, GO_ON
        if self._is_news(found) and _answers(found, boundary.notice):
            return Stand(READY, found.round), ANSWERED
        if found.round == self.round:
            return (replace(fresh, stage=ARMED, failed=False) if found.stage in OVER else fresh), GO_ON
        if found.stage == COMMIT:
            asked = self._answer(boundary, found)
            return asked._keep(boundary, found) if asked.stage == PROMISED else (asked, GO_ON)
        stage = PASSED if found.stage == GO else ARMED  # this process was not asked; what it has replaced was
        return Stand(stage, found.round, notice=boundary.notice), GO_ON

    def _answer(self, boundary: Boundary, asked: Agreement) -> Stand:
        if asked.stop_step is None or boundary.previous >= asked.stop_step:
            return Stand(PASSED, asked.round, notice=boundary.notice)
        return Stand(PROMISED, asked.round, asked.stop_step, boundary.notice)

    def _keep(self, boundary: Boundary, found: Optional[Agreement]) -> Tuple[Stand, str]:
        stand = self
        if found is not None and found.round > self.round and found.stage == COMMIT:
            stand = self._answer(boundary, found)
            if stand.stage != PROMISED:
                return stand, GO_ON
        elif found is not None and (found.round > self.round or (found.round == self.round and found.stage in OVER)):
            return self._release(boundary, found)
        if stand.stop_step is not None and boundary.step < stand.stop_step:
            return stand, GO_ON
        return stand, SAVE if found is not None and (found.round, found.stage) == (stand.round, GO) else WAIT

    def _release(self, boundary: Boundary, found: Agreement) -> Tuple[Stand, str]:
        """Take back a promise that nothing came of."""
        if _answers(found, boundary.notice):
            return Stand(READY, found.round), ANSWERED
        stage = READY if boundary.notice is None else ARMED
        return Stand(stage, found.round, notice=boundary.notice), RELEASED


def verdict(saved_by: Agreement, found: Optional[Agreement]) -> Optional[bool]:
    """Whether the checkpoint of ``saved_by`` is published, for a rank whose save has failed; ``None`` if open still."""
    if found is None or (found.round <= saved_by.round and found.stage not in OVER):
        return None
    return found.stage == DONE and found.round == saved_by.round


def answers(found: Agreement, notice: Optional[LocalNotice]) -> bool:
    """Whether a save by this agreement is what ``notice`` asks for."""
    return notice is not None and found.notice_id != "" and (found.leaving or not notice.leaving)


def _answers(found: Agreement, notice: Optional[LocalNotice]) -> bool:
    return found.stage == DONE and answers(found, notice)
