"""What a guard of several ranks adds to that of one: it saves when all do, and stops when all do."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

from spotkeeper_ledger.run_dir import Agreement, LocalNotice
from spotkeeper_training.agreement import ANSWERED, GO_ON, Boundary, answers
from spotkeeper_training.rank_side import RankSide
from spotkeeper_training.store import CheckpointStore


class Together:
    """This rank's saves as those of all ranks.

    Args:
        side: its part in their agreement; ``None`` where no agent is there to agree through.
    """

    def __init__(self, side: Optional[RankSide]) -> None:
        self._side = side
        self._agreed: Optional[Agreement] = None
        self._waits = False
        """Whether training waits for the save of that agreement."""
        self.stops = False
        """Whether all ranks stop now."""

    @property
    def open(self) -> bool:
        """Whether the next boundary has something to look at, or this rank a save in hand that was agreed on."""
        return self._side is not None and self._side.open

    def past(self, step: int) -> None:
        """Take note of a boundary at which there was nothing to do: no notice, no interval that is over, not open."""
        if self._side is not None:
            self._side.previous = step

    def at(self, boundary: Boundary, seconds: Callable[[], float], busy: Callable[[str], None]) -> str:
        """Do what is due at a boundary; returns what :meth:`.RankSide.boundary` does."""
        side, outcome = self._side, GO_ON
        if side is not None:
            if boundary.notice is not None or boundary.due or side.open:
                outcome = side.boundary(boundary, seconds=seconds(), busy=busy)
            else:
                side.previous = boundary.step
            if outcome == ANSWERED and side.read is not None:
                self.stops = self.stops or side.read.leaving
        return outcome

    def covered(self, step: int, notice: LocalNotice) -> None:
        """Say, as rank 0, that the last checkpoint answers ``notice``."""
        if self._side is not None:
            self._side.covered(step, notice)

    def begin(self, step: int, notice: Optional[LocalNotice]) -> Optional[LocalNotice]:
        """Begin a save; returns the notice that it answers."""
        self._agreed = agreed = self._side.begin(step) if self._side is not None else None
        self._waits = True
        if agreed is None or not agreed.notice_id:
            return None
        if answers(agreed, notice):
            return notice
        return LocalNotice(agreed.notice_id, "", agreed.leaving, agreed.at) if agreed.leaving else None

    def begun(self) -> None:
        """Take note that training goes on, whatever becomes of the save."""
        self._waits = False

    def published(self, notice: Optional[LocalNotice]) -> Optional[LocalNotice]:
        """Take note that the save in hand is published; returns what of ``notice`` is answered by it."""
        agreed = self._agreed
        if agreed is None:
            return None
        self.stops = self.stops or agreed.leaving
        return notice if answers(agreed, notice) else None

    def confirmed(self, step: int) -> None:
        """Say that the save in hand is published."""
        if self._side is not None and self._agreed is not None:
            self._side.saved(step, self._agreed)
        self._agreed = None

    def not_saved(self, step: int, seconds: float) -> bool:
        """Say that the save in hand has failed; returns whether the checkpoint is published all the same.

        Waits for word of that, at most ``seconds``, where training waits for the save.
        """
        if self._side is None or self._agreed is None:
            return False
        if self._side.unsaved(step, self._agreed, seconds if self._waits else 0.0):
            return True
        self._agreed = None
        return False


def open_together(
    store: CheckpointStore,
    folder: Optional[Path],
    *,
    counts_steps: bool,
    rate: Callable[[], Optional[float]],
    clock: Callable[[], float],
) -> Optional[Together]:
    """Return what a rank of several needs; ``None`` for a rank that is alone.

    Raises ``ValueError`` for several ranks that have nothing to agree through, and no interval in steps.
    """
    if store.world_size < 2:
        return None
    if folder is None:
        if not counts_steps:
            raise ValueError(
                f"save_interval_steps: was not given, expected with {store.world_size} ranks and no agent "
                "(`spotkeeper-agent run`): nothing else lets them save after the same step"
            )
        return Together(None)
    step = store.last.step if store.last else 0
    side = RankSide(folder, store.rank, store.world_size, store.generation, rate=rate, step=step, clock=clock)
    return Together(side)
