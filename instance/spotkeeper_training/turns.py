"""Saves take turns: one is published at a time, one may wait behind it, and one holds the memory for a copy."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Callable, Optional

from spotkeeper_training.crew import Crew
from spotkeeper_training.pending import Job, Replaced

_log = logging.getLogger("spotkeeper.training")


class Turns:
    """Has saves published by a thread of its own, in the order in which they are given. One thread gives them.

    Args:
        replace: whether a later save takes the place of one that waits.
    """

    def __init__(self, *, replace: bool) -> None:
        self._replace = replace
        self._hand = Crew(1)  # a thread that is there already takes nothing from training when a save begins
        self._turn = threading.Condition()
        self._running: Optional[Job] = None
        self._waiting: Optional[Job] = None
        self._memory_holder: Optional[Job] = None

    @property
    def busy(self) -> bool:
        """Whether a save is under way or waits."""
        return self._running is not None

    def get_ready(self) -> None:
        """Have the thread there."""
        self._hand.get_ready()

    def close(self) -> None:
        """Let the thread go, once what was begun is done."""
        self._hand.close()

    def wait(self, deadline: float, *, alone: bool, copies: bool) -> bool:
        """Wait until a save may begin, and return whether it may.

        Args:
            deadline: of the waiting, by the monotonic clock; infinity for none.
            alone: whether it may begin only when no other is under way. Otherwise none may wait before it.
            copies: whether it needs the memory.
        """
        with self._turn:
            while not self._is_free(alone, copies):
                if self._replace and self._waiting is not None:
                    self._drop(self._waiting)
                    continue
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._turn.wait(None if left == math.inf else left)
        return True

    def start(self, job: Job, publish: Callable[[Job], None]) -> None:
        """Have a save published as soon as it is its turn. It has waited until it might begin.

        Args:
            job: the save.
            publish: publishes one and finishes it, and raises nothing.
        """
        with self._turn:
            if job.planned.packed:
                self._memory_holder = job
            if self._running is not None:
                self._waiting = job
                return
            self._running = job
        self._hand.start(lambda: self._work(job, publish))

    def give_back_memory(self, job: Job) -> None:
        """Let the next save have the memory, though this one is not published yet."""
        with self._turn:
            if self._memory_holder is job:
                self._memory_holder = None
            self._turn.notify_all()

    def _is_free(self, alone: bool, copies: bool) -> bool:
        if alone:
            return self._running is None
        return self._waiting is None and not (copies and self._memory_holder is not None)

    def _drop(self, job: Job) -> None:
        _log.info("step %d is not saved: a later one takes its place", job.pending.step)
        self._waiting = None
        if self._memory_holder is job:
            self._memory_holder = None
        job.pending.finish(None, Replaced(f"step {job.pending.step}: a later save took its place"), 0.0)

    def _work(self, first: Job, publish: Callable[[Job], None]) -> None:
        job: Optional[Job] = first
        while job is not None:
            publish(job)
            with self._turn:
                if self._memory_holder is job:
                    self._memory_holder = None
                job, self._waiting = self._waiting, None
                self._running = job
                self._turn.notify_all()
