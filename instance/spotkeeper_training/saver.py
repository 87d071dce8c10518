"""Saves while training goes on: the state is copied into memory, then published behind the training loop's back.

    saver = Saver(store, like={"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    pending = saver.save(step, state)     # returns when the copy is made
    saver.flush()                         # returns when it is published

One copy of this rank's state is all the memory it takes, and it is taken when the saver is made. Where that does not
fit, it saves while training waits, and says so.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from spotkeeper_training.memory import available_bytes, refusal
from spotkeeper_training.pending import DoesNotFit, Job, Pace, Pending, Replaced
from spotkeeper_training.staging import Staging, room_for
from spotkeeper_training.state import Plan, plan, to_parts
from spotkeeper_training.store import Checkpoint, CheckpointStore
from spotkeeper_training.tier import Near, Tier
from spotkeeper_training.turns import Turns

_log = logging.getLogger("spotkeeper.training")

__all__ = ["DoesNotFit", "Pending", "Replaced", "Saver"]


class Saver:
    """Publishes states of this rank, one at a time, in the order in which they are given, all by one thread.

    Args:
        store: where checkpoints go; :meth:`~spotkeeper_training.store.CheckpointStore.begin` has been called.
        mode: ``async``: training goes on once the state is copied; ``sync``: when it is published. ``async`` becomes
            ``sync``, with a warning, where one copy does not fit into what memory is left. What lies on a GPU is copied
            to the host in either case.
        on_busy: what a save does while another is being published. ``wait``: training waits until that one is done.
            ``replace``: it takes the place of one that waits for its turn, and does not wait itself if it consists of
            ``bytes`` alone, which need no copy. One that is being published is never broken off. Not for several
            ranks, of which each would leave out others.
        local_tier: folder on a local disk, where a copy is written first. Memory is free for the next save then, and
            the store loads from there, if this saver was made before, what is a copy of the checkpoint it is to load.
        like: a state as large as those to come, or its size in bytes: memory is taken for it now, so that the first
            save is as fast as later ones. An optimizer has its state only after its first step.
        available: returns the bytes of memory that can be taken, ``None`` where nobody knows.

    Raises ``ValueError`` for a setting that cannot be used.
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        mode: str = "async",
        on_busy: str = "wait",
        local_tier: Union[str, Path, None] = None,
        like: Union[Mapping[str, Any], int, None] = None,
        available: Callable[[], Optional[int]] = available_bytes,
    ) -> None:
        if mode not in ("async", "sync"):
            raise ValueError(f"mode: was {mode!r}, expected 'async' or 'sync'")
        if on_busy not in ("wait", "replace"):
            raise ValueError(f"on_busy: was {on_busy!r}, expected 'wait' or 'replace'")
        if on_busy == "replace" and store.world_size > 1:
            raise ValueError(
                f"on_busy: was 'replace', expected 'wait' with {store.world_size} ranks: each would leave out others"
            )
        self.mode = mode
        self._store, self._available = store, available
        self._tier = Tier(Path(local_tier), store.rank, store.world_size) if local_tier else None
        if self._tier is not None:
            store.near = self._tier.parts
        self._staging = Staging()
        self._turns = Turns(replace=on_busy == "replace")
        self._last: Optional[Pending] = None
        self._unreported: Optional[BaseException] = None
        self._began = 0.0
        self._copying, self._publishing = Pace(), Pace()
        if like is not None:
            self.prepare(like)

    @property
    def busy(self) -> bool:
        """Whether a save is under way or waits."""
        return self._turns.busy

    @property
    def last(self) -> Optional[Pending]:
        """The newest save, done or not."""
        return self._last

    def prepare(self, like: Union[Mapping[str, Any], int]) -> None:
        """Take and touch the memory for states like this one, or for so many bytes. See ``like`` above."""
        size = like if isinstance(like, int) else room_for(plan(like))
        if self.mode == "sync" or size <= self._staging.size:
            return
        available = self._available()
        problem = refusal(size, None if available is None else available + self._staging.size)
        if problem:
            _log.warning("%s: saving with mode='sync', training waits until a checkpoint is published", problem)
            self.mode = "sync"
            self._staging.release()
            return
        self._staging.reserve(size)
        self._staging.pin()
        self._turns.get_ready()

    def save(self, step: int, state: Mapping[str, Any], *, deadline_seconds: Optional[float] = None) -> Pending:
        """Copy a state and have it published. The state may change once this returns.

        Args:
            step: completed steps.
            state: parts, or any nested state; see :func:`~spotkeeper_training.state.plan`.
            deadline_seconds: how long all of it may take, until it is published.

        Raises:
            DoesNotFit: it would take longer than ``deadline_seconds``, as far as that was measured. Nothing was begun.
            StaleGeneration: a later generation runs the job.
            BoardError: what an earlier save met behind the loop's back. This one was not begun.
        """
        began = time.monotonic()
        self.raise_failure()
        planned = plan(state)
        self._refuse_late(step, planned, deadline_seconds)
        deadline = math.inf if deadline_seconds is None else began + deadline_seconds
        if not self._turns.wait(deadline, alone=self.mode == "sync", copies=bool(planned.packed)):
            raise self._too_late(step, self.seconds_needed(planned.total) or deadline_seconds or 0.0, 0.0)
        self.raise_failure()
        self.prepare(room_for(planned))
        job = Job(Pending(step), planned, began, deadline)
        self._last = job.pending
        if self.mode == "sync":
            self._turns.wait(math.inf, alone=True, copies=True)
            self._publish_now(job, {**to_parts(state), **planned.ready})
        else:
            job.parts.update(self._copy(planned))
            self._turns.start(job, self._publish_behind)
        return job.pending

    def flush(self, deadline_seconds: Optional[float] = None) -> Optional[Checkpoint]:
        """Wait until the newest save is published, and return its checkpoint.

        Returns ``None`` if nothing was saved, or if it is not published within ``deadline_seconds``, which is logged.

        Raises what :meth:`save` raises for a save that failed.
        """
        last = self._last
        if last is not None and not last.wait(deadline_seconds):
            _log.warning("step %d was not published within %.1f s", last.step, deadline_seconds or 0.0)
            return None
        self.raise_failure()
        return last.result() if last is not None and last.error is None else None

    def close(self) -> None:
        """Wait for what is under way, and give the memory back. Raises nothing for a save that failed."""
        if self._last is not None:
            self._last.wait()
        self._turns.close()
        self._staging.release()

    def seconds_needed(self, size: int) -> Optional[float]:
        """Return how long a save of ``size`` bytes would take if it began now, ``None`` if none was measured yet.

        What is under way comes first and is counted in.
        """
        publishing = self._publishing.seconds(size)
        if publishing is None:
            return None
        running = max(0.0, self._began + publishing - time.monotonic()) if self.busy else 0.0
        return running + (self._copying.seconds(size) or 0.0) + publishing

    def raise_failure(self) -> None:
        """Raise what a save met since this was last asked, once; a later generation is told of every time."""
        error = self._unreported
        if error is None:
            return
        if isinstance(error, Exception):
            self._unreported = None
        raise error

    def _refuse_late(self, step: int, planned: Plan, left: Optional[float]) -> None:
        if left is None:
            return
        needed = self.seconds_needed(planned.total)
        if needed is not None and needed > left:
            raise self._too_late(step, needed, left)

    def _too_late(self, step: int, needed: float, left: float) -> DoesNotFit:
        error = DoesNotFit(step, needed, left)
        _log.warning("%s", error)
        return error

    def _copy(self, planned: Plan) -> Dict[str, memoryview]:
        if not planned.packed:
            return {}
        began = time.monotonic()
        copied = self._staging.take(planned)
        self._copying.add(planned.size, time.monotonic() - began)
        return copied

    def _publish_behind(self, job: Job) -> None:
        checkpoint, error = None, None
        try:
            parts: Mapping[str, Any] = {**job.planned.ready, **job.planned.text(), **job.parts}
            parts, near = self._to_tier(job, parts)
            checkpoint = self._publish(job, parts)
            if near is not None:
                near.published(checkpoint)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, it is raised where training can see it
            error = self._unreported = failure
            _log.warning("step %d was not published: %s: %s", job.pending.step, type(failure).__name__, failure)
        job.parts = {}
        job.pending.finish(checkpoint, error, time.monotonic() - job.began)

    def _publish_now(self, job: Job, parts: Mapping[str, Any]) -> None:
        try:
            checkpoint = self._publish(job, parts)
        except BaseException as failure:
            job.pending.finish(None, failure, time.monotonic() - job.began)
            raise
        job.pending.finish(checkpoint, None, time.monotonic() - job.began)

    def _publish(self, job: Job, parts: Mapping[str, Any]) -> Checkpoint:
        self._began = began = time.monotonic()
        step, left = job.pending.step, job.deadline - began
        if left == math.inf:
            checkpoint = self._store.publish(step, parts)
        else:
            checkpoint = self._store.publish(step, parts, deadline_seconds=max(0.0, left))
        self._publishing.add(job.planned.total, time.monotonic() - began)
        return checkpoint

    def _to_tier(self, job: Job, parts: Mapping[str, Any]) -> Tuple[Mapping[str, Any], Optional[Near]]:
        """Write to the local disk, if there is such a tier, and return the parts as they lie there."""
        if self._tier is None or job.deadline != math.inf:
            return parts, None
        try:
            near = self._tier.write(job.pending.step, parts)
        except OSError as error:
            _log.warning("step %d: no copy on the local disk (%s)", job.pending.step, error)
            return parts, None
        job.parts = {}
        self._turns.give_back_memory(job)
        return near.parts, near
