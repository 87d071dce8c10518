"""Deploys, and the destruction of a fleet, while a rehearsal goes on: nobody waits for Pulumi."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from spotkeeper_lab.deployment import Stack
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.rollouts import BEGAN, ENDED, FAILED
from spotkeeper_lab.timeline import DEPLOY, DESTROY


class Changes:
    """Changes a stack, one change after the other, in a thread of its own.

    Args:
        stack: is changed.
        events: is told when a change begins and how it ends.
    """

    def __init__(self, stack: Stack, events: EventLog) -> None:
        self._stack, self._events = stack, events
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="changes")

    def deploy(self, values: Mapping[str, Any]) -> None:
        """Run the program with other values from now on."""
        self._start(DEPLOY, lambda: self._stack.up(values))

    def destroy(self) -> None:
        """Destroy the fleet."""
        self._start(DESTROY, self._stack.destroy_fleet)

    def close(self) -> None:
        """Wait for what was begun."""
        self._worker.shutdown()

    def _start(self, change: str, work: Callable[[], Sequence[str] | None]) -> None:
        self._events.add(BEGAN, change=change)
        self._worker.submit(self._work, change, work)

    def _work(self, change: str, work: Callable[[], Sequence[str] | None]) -> None:
        try:
            left = work() or ()
        except Exception:  # noqa: BLE001 - whatever it was, it must be told, and the rehearsal goes on to its end
            self._events.add(FAILED, change=change, error=traceback.format_exc())
        else:
            self._events.add(ENDED, change=change, left=left)
