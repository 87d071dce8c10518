"""A few threads that move objects at once, made when there is more than one thing to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

WORKERS = 8
Result = TypeVar("Result")


class Crew:
    """Runs tasks at once. Its threads stay, and with them their connections."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = workers
        self._pool: Optional[ThreadPoolExecutor] = None
        self._process = 0

    def run(self, tasks: Sequence[Callable[[], Result]]) -> List[Result]:
        """Return what the tasks return, in order.

        After a failure no other is begun, and the first one is raised once those that run have ended.
        """
        if len(tasks) < 2:
            return [task() for task in tasks]
        from concurrent.futures import FIRST_EXCEPTION, wait  # noqa: PLC0415 - a small checkpoint needs none

        started = [self._threads().submit(task) for task in tasks]
        try:
            wait(started, return_when=FIRST_EXCEPTION)
        finally:
            for one in started:
                one.cancel()
            wait(started)
        for one in started:
            if not one.cancelled() and one.exception() is not None:
                one.result()
        return [one.result() for one in started]

    def start(self, task: Callable[[], Result]) -> Future[Result]:
        """Begin a task, and return what it will come to. It is ended before the program is."""
        return self._threads().submit(task)

    def get_ready(self) -> None:
        """Have all threads there: to make one takes longer than to wake it."""
        for _ in range(self._workers):
            self.start(_nothing)

    def close(self) -> None:
        """Let the threads go, once what was begun is done. They come again when there is something to do."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.shutdown(wait=False)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None or self._process != os.getpid():  # a fork has no threads
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="spotkeeper-transfer")
            self._process = os.getpid()
        return self._pool


def _nothing() -> None:
    """Do nothing, in a thread."""
