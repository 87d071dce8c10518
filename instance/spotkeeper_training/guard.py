"""Tells a training loop when to save and when to stop, from one ``stat`` of a local file per step.

if guard.should_save(step):
    guard.save(step, parts())
if guard.should_stop:
    sys.exit(EXIT_STOPPED_FOR_NOTICE)
"""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple, Union

from spotkeeper_ledger import BoardError, run_dir
from spotkeeper_ledger.run_dir import LocalNotice
from spotkeeper_training.account import Account
from spotkeeper_training.agreement import ANSWERED, RELEASED, SAVE, Boundary
from spotkeeper_training.behind import Behind, DoesNotFit
from spotkeeper_training.interval import BOUNDS, StepInterval, save_interval
from spotkeeper_training.notice_file import NoticeFile
from spotkeeper_training.saver import Saver
from spotkeeper_training.stacks import answer_stacks
from spotkeeper_training.store import CheckpointStore
from spotkeeper_training.together import Together, open_together

SAVE_INTERVAL_SECONDS = 600.0
SAVE_GAP_SECONDS = 60.0
NOTICE_SECONDS = 120.0
RETRY_SECONDS, PRESSING_RETRY_SECONDS = 10.0, 0.5
"""Pause after a save that the store did not take, without and with a notice that the node will go."""
_log = logging.getLogger("spotkeeper.training")


class CheckpointGuard:
    """Watches for notices and for the time since the last checkpoint.

    On word that the node will go it asks for a save at once, whatever was saved before, unless not one step was made
    since. A rebalance recommendation that comes within the save gap of a whole checkpoint joins that one.

    Of several ranks each has a guard, and each asks it after every step. All of them are told to save after the very
    same step, and all to stop after the same save, whichever node heard the notice and however far a host runs ahead;
    or none is, and the last whole checkpoint stands. They agree through the agent, not through their process group.

    Args:
        store: where checkpoints go; :meth:`~spotkeeper_training.store.CheckpointStore.begin` has been called. It knows
            which rank this is, of how many.
        saver: has states saved behind training's back; without one training waits until a checkpoint is published.
        save_interval_seconds: between checkpoints that nobody asked for: what is left if no notice comes in time.
        save_interval_steps: the same, counted in steps; then ``save_interval_seconds`` and ``mean_spell_seconds`` do
            not count. Several ranks need no agent for it.
        mean_spell_seconds: how long a node stays on the average. Where it is given, the interval follows from it and
            from how long saves are measured to take, see :func:`~spotkeeper_training.interval.save_interval`;
            ``save_interval_seconds`` then counts until the first save only.
        save_interval_bounds: the least and the most seconds that follow from it, default 600 and 1800.
        notice_seconds: how long the notice is then, default 120.
        save_gap_seconds: default ``SPOTKEEPER_SAVE_GAP_SECONDS``, else 60.
        folder: the run directory; default ``SPOTKEEPER_RUN_DIR``. Without one there are no notices, only the interval.
        clock: monotonic seconds.

    Raises ``ValueError`` for several ranks with neither an agent nor ``save_interval_steps``.
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        saver: Optional[Saver] = None,
        save_interval_seconds: float = SAVE_INTERVAL_SECONDS,
        save_interval_steps: Optional[int] = None,
        mean_spell_seconds: Optional[float] = None,
        save_interval_bounds: Tuple[float, float] = BOUNDS,
        notice_seconds: float = NOTICE_SECONDS,
        save_gap_seconds: Optional[float] = None,
        folder: Union[str, Path, None] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._clock = store, clock
        self._behind = Behind(saver) if saver else None
        by_time = save_interval_steps is None
        self._interval = save_interval_seconds if by_time else math.inf
        self._mean_spell, self._notice_seconds = mean_spell_seconds if by_time else None, notice_seconds
        self._bounds = save_interval_bounds
        gap = os.environ.get(run_dir.SAVE_GAP_SECONDS)
        self._gap = save_gap_seconds if save_gap_seconds is not None else float(gap) if gap else SAVE_GAP_SECONDS
        found = folder or os.environ.get(run_dir.RUN_DIR)
        self._folder = Path(found) if found else None
        self._notices = NoticeFile(self._folder)
        self._answered: Optional[Tuple[str, float]] = None
        self._saved_clock: Optional[float] = None
        self._due = clock() + self._interval
        self._retry_due = -math.inf
        step = store.last.step if store.last else None
        self._account = Account(self._folder, store.generation, silent=store.rank > 0, step=step, clock=clock)
        if self._folder is not None:
            answer_stacks(self._folder)
        self._counted = StepInterval(save_interval_steps, step or 0)
        self._together = open_together(
            store, self._folder, counts_steps=not by_time, rate=self._account.rate, clock=clock
        )

    @property
    def notice(self) -> Optional[LocalNotice]:
        """The present notice of this node."""
        return self._notices.look()

    @property
    def should_stop(self) -> bool:
        """Whether the node will go and all is saved: time to exit with ``EXIT_STOPPED_FOR_NOTICE``."""
        self._collect()
        if self._together is not None and self._store.world_size > 1:
            return self._together.stops  # as agreed: one rank's look at its notice is not all ranks'
        if self._answered is None:
            return False
        notice = self.notice
        return notice is not None and notice.leaving and self._is_answered(notice)

    def seconds_left(self) -> float:
        """Return the seconds until the node goes, infinite where nothing says when, never less than 0."""
        return self._notices.seconds_left()

    def should_save(self, step: int) -> bool:
        """Whether to call :meth:`save` now, ``step`` steps being completed."""
        counted = self._counted.is_over(step)  # asked at each boundary, or it would count from another one
        return self._is_asked_for(step) or counted

    def _is_asked_for(self, step: int) -> bool:
        self._collect()
        notice = self.notice
        underway = self._behind is not None and self._behind.underway
        wanted = None if notice is None or self._is_answered(notice) else notice
        due = wanted is None and not underway and step != self._account.published_step
        due = due and self._clock() >= max(self._due, self._retry_due)
        if self._together is not None:
            if underway and wanted is not None and not wanted.leaving:
                wanted = None  # what is under way may answer it, and a rank that armed anew would give that up
            if wanted is None and not due and not self._together.open:
                self._together.past(step)
                return False
            return self._should_save_together(self._together, step, wanted, due)
        if wanted is None:
            return due
        notice = wanted
        if self._behind is not None and underway and not notice.leaving:
            self._behind.join(notice)
            return False
        if self._is_covered(notice, step):
            self._confirm(notice)
            return False
        return self._clock() >= self._retry_due

    def _should_save_together(self, together: Together, step: int, wanted: Optional[LocalNotice], due: bool) -> bool:
        spared = wanted is not None and not wanted.leaving and not together.open and self._store.rank == 0
        if wanted is not None and spared and self._is_covered(wanted, step):
            self._confirm(wanted)
            together.covered(step, wanted)
            wanted = None
        outcome = together.at(Boundary(step, notice=wanted, due=due), self.seconds_left, self._account.busy)
        if outcome == ANSWERED and wanted is not None:
            self._answered = (wanted.notice_id, wanted.at)
        elif outcome == RELEASED:
            self._retry_due = self._clock() + RETRY_SECONDS
        return outcome == SAVE

    def save(self, step: int, parts: Mapping[str, Any]) -> bool:
        """Publish a checkpoint, and confirm it to the agent for the notice that was there when it began.

        With a saver this returns once the state is copied, and the checkpoint is confirmed when it is published; under
        a notice that the node will go it returns when it is. A save that cannot be done in the time that is left is
        not begun: then the checkpoint before it is what is confirmed.

        Args:
            step: completed steps.
            parts: what :meth:`.CheckpointStore.publish` takes; with a saver any nested state
                (:func:`~spotkeeper_training.state.plan`).

        Returns whether it was published, or is under way. A store that does not answer is asked again later: training
        goes on.

        Raises :class:`StaleGeneration` if a later generation runs the job.
        """
        self._collect()
        notice = self.notice
        if self._together is not None:
            notice = self._together.begin(step, notice)
        started = self._clock()
        self._account.busy("saving")
        try:
            if self._behind is None:
                self._store.publish(step, parts)
                self._published(step, self._clock() - started, notice)
                return True
            if self._together is not None and not self._behind.holds_up(notice):
                self._together.begun()
            self._behind.begin(step, parts, notice, self.seconds_left())
            self._due, self._retry_due = self._clock() + self._interval, -math.inf
            found = self._behind.collect()
            if found is not None:
                self._published(found.step, found.seconds, found.notice)
        except (BoardError, TimeoutError) as error:
            return self._not_saved(step, notice, error)
        except DoesNotFit as error:
            if self._together is not None:
                return self._not_saved(step, notice, error)
            self._stand(notice)
            return False
        finally:
            if self._together is not None:
                self._together.begun()
            self._account.held_up(self._clock() - started)
            self._account.busy("")
        return True

    def report(self, step: int, total: Optional[int] = None) -> None:
        """Say how far training is: ``step`` steps completed of ``total``. Cheap enough for every step."""
        self._account.report(step, total)

    def _collect(self) -> None:
        """Take note of what has been published behind training's back."""
        if self._behind is None or not self._behind.underway:
            return
        try:
            found = self._behind.collect()
        except BoardError as error:
            self._not_saved(None, self.notice, error)
            return
        if found is not None:
            self._published(found.step, found.seconds, found.notice)
            self._account.write()

    def _published(self, step: int, seconds: Optional[float], notice: Optional[LocalNotice]) -> None:
        self._saved_clock = ended = self._clock()
        self._account.published(step, seconds)
        usual = self._account.usual_save_seconds
        if usual is not None and self._mean_spell is not None:
            self._interval = save_interval(usual, self._mean_spell, self._notice_seconds, self._bounds)
        self._due, self._retry_due = ended + self._interval, -math.inf
        if self._together is not None:
            notice = self._together.published(self._notices.seen)
        self._confirm(notice)
        if self._together is not None:
            self._together.confirmed(step)

    def _not_saved(self, step: Optional[int], notice: Optional[LocalNotice], error: Exception) -> bool:
        """Take note of a save that has failed here; returns whether another rank knows that it is published."""
        if self._together is not None:
            published = self._together.not_saved(step or self._account.step, self.seconds_left())
            if published and step is not None:
                self._published(step, None, notice)
                return True
        pressing = notice is not None and notice.leaving
        self._retry_due = self._clock() + (PRESSING_RETRY_SECONDS if pressing else RETRY_SECONDS)
        self._due = min(self._due, self._retry_due)
        what = "the last save" if step is None else f"step {step}"
        _log.warning("%s was not published (%s: %s); training goes on", what, type(error).__name__, error)
        return False

    def _stand(self, notice: Optional[LocalNotice]) -> None:
        """Let the checkpoint before stand, or the one under way: there is no time for another."""
        if self._behind is not None:
            self._behind.rest(self.seconds_left())
            self._collect()
        self._confirm(notice)

    def _is_answered(self, notice: LocalNotice) -> bool:
        return self._answered == (notice.notice_id, notice.at)

    def _is_covered(self, notice: LocalNotice, step: int) -> bool:
        if step == self._account.published_step:
            return True
        recent = self._saved_clock is not None and self._clock() < self._saved_clock + self._gap
        return recent and not notice.leaving

    def _confirm(self, notice: Optional[LocalNotice]) -> None:
        if notice is not None:
            self._answered = (notice.notice_id, notice.at)
        self._account.confirm(notice)
