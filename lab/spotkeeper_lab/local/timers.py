"""Things that are due later, done by one thread in the order in which they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable


class Timer:
    """Something that is due later; see :meth:`Timers.after`."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Do not do it after all. Nothing happens where it has been done already."""
        self.cancelled = True


class Timers:
    """One thread that does things when they are due.

    Args:
        failed: is told of an action that raised, by its traceback; the other actions go on.
    """

    def __init__(self, failed: Callable[[str], object]) -> None:
        self._failed = failed
        self._due: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="local-timers", daemon=True)
        self._thread.start()

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do ``action`` in so many seconds, unless the timers are closed before.

        It must be short: all others wait for it.
        """
        timer = Timer(action)
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), timer))
            self._changed.notify()
        return timer

    def close(self) -> None:
        """Forget what is still due and wait for the action that runs now."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.action()
            except Exception:  # noqa: BLE001 - whatever it was, it must be told and not end the thread
                self._failed(traceback.format_exc())

    def _next(self) -> Timer | None:
        """Wait for the next action that is due; ``None`` once closed."""
        with self._changed:
            while not self._closed:
                if not self._due:
                    self._changed.wait()
                elif self._due[0][2].cancelled:
                    heapq.heappop(self._due)
                elif (wait := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(wait)
                else:
                    return heapq.heappop(self._due)[2]
            return None
