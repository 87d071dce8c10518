"""Store, saver and guard of one training process, put together the way that every adapter needs them."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Callable, Mapping, Optional

from spotkeeper_ledger import BoardError
from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore, Restored
from spotkeeper_training.pieces import Loaded
from spotkeeper_training.saver import Saver

RETRY_SECONDS = 1.0
"""Pause between tries to save the end of the job where the store is away: the work is done, there is no hurry."""
State = Callable[[], Mapping[str, Any]]
_log = logging.getLogger("spotkeeper.training")


class Watch:
    """Fences off older generations when it is made.

    Args:
        store: where checkpoints go; default: where the agent says.
        saver: how they get there; default: behind training's back, from one copy of the state in memory.
        options: of :class:`~spotkeeper_training.CheckpointGuard`.
    """

    def __init__(self, store: Optional[CheckpointStore], saver: Optional[Saver], **options: Any) -> None:
        self.store = store or CheckpointStore()
        self.store.begin()
        self.saver = saver or Saver(self.store)
        self._options = options
        self._guard: Optional[CheckpointGuard] = None

    def expect(self, rank: int, world_size: int) -> None:
        """Refuse a process that takes itself for another rank than the framework does: each would save for itself.

        Raises ``ValueError``.
        """
        if (self.store.rank, self.store.world_size) != (rank, world_size):
            raise ValueError(
                f"rank: was {self.store.rank} of {self.store.world_size}, expected {rank} of {world_size} as training"
                " has it: start every rank with RANK and WORLD_SIZE in its environment, as torchrun does"
            )

    def load(self) -> Optional[Restored]:
        """Return the latest checkpoint, ``None`` where nothing was ever saved. All ranks call it together."""
        latest = self.store.latest()
        if latest is None:
            return None
        restored = self.store.load(latest)
        _log.info("goes on after step %d", restored.step)
        return restored

    def own(self, restored: Restored) -> Mapping[str, Loaded]:
        """Return what this very rank has saved; nothing where there was no such rank."""
        return restored.shards.get(self.store.rank, {})

    def common(self, restored: Restored) -> Mapping[str, Loaded]:
        """Return the parts that rank 0 has saved for all."""
        return restored.shards.get(0) or self.store.load(restored.checkpoint, ranks=[0]).parts

    def begin(self, step: int, total: Optional[int]) -> None:
        """Begin to look for notices, ``step`` steps of ``total`` being completed."""
        self._guard = CheckpointGuard(self.store, saver=self.saver, **self._options)
        self._guard.report(step, total)

    def should_save(self, step: int, total: Optional[int]) -> bool:
        """Report a completed step, and return whether to save now."""
        if self._guard is None:
            return False
        self._guard.report(step, total)
        return self._guard.should_save(step)

    def save(self, step: int, state: Mapping[str, Any]) -> bool:
        """Save; returns whether it was published or is under way. Training goes on where it was not."""
        return self._guard is not None and self._guard.save(step, state)

    def leave_if_told(self) -> None:
        """Raise ``SystemExit`` with ``EXIT_STOPPED_FOR_NOTICE`` if the node will go and all is saved."""
        if self._guard is not None and self._guard.should_stop:
            sys.exit(EXIT_STOPPED_FOR_NOTICE)

    def step_done(self, step: int, total: Optional[int], state: State) -> None:
        """Report a completed step, save if it is time, and leave if the node will go."""
        if self.should_save(step, total):
            self.save(step, state())
        if step != total:
            self.leave_if_told()

    def finish(self, step: int, state: State) -> None:
        """Save the last step and return when it is published, however long the store is away."""
        last = state()  # once: with several ranks all take part in it, while not all need try again
        while not (self._is_settled() and self.store.last is not None and self.store.last.step == step):
            if not (self.save(step, last) and self._is_settled()):
                time.sleep(RETRY_SECONDS)
        self.should_save(step, step)  # takes note of what was published, for the agent

    def _is_settled(self) -> bool:
        try:
            self.saver.flush()
        except (BoardError, TimeoutError) as error:
            _log.warning("the end of the job is not saved yet (%s: %s)", type(error).__name__, error)
            return False
        return True
