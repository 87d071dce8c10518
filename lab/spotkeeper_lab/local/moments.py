"""What happened in the local cloud and when, in the order in which it happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """One thing that happened."""

    at: float
    """Unix seconds."""
    what: str
    """``instance-launched``, ``node-started``, ``node-failed``, ``warning-sent``, ``notice-injected``, ``launch-
    refused``, ``reclaimed``, ``killed``, ``frozen``, ``woken``, ``hostile``, ``terminated``, ``leaving``, ``desired-
    changed``, ``announced``, ``alarm``, ``function-invoked``, ``function-failed``, ``fault-began``, ``fault-ended``,
    ``resource-changing``, ``resource-deleting``, ``deploying``, ``deployed``, ``deploy-failed``, ``local-cloud-
    failed``; on AWS ``lifecycle-wait``, ``lifecycle-completed`` and ``ssm-delivered``; on Google Cloud ``instance-
    running``, ``soft-off`` and ``dead-lettered``."""
    node: str | None
    """The instance that it happened to, if it was one."""
    detail: Mapping[str, Any]
    """What else there is to say; the names depend on ``what``."""


class EventLog:
    """An append-only list of moments that any thread may add to, read and wait on."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._changed = threading.Condition()

    def add(self, what: str, node: str | None = None, **detail: Any) -> Moment:
        """Write down that ``what`` happens now, and return it."""
        with self._changed:
            moment = Moment(time.time(), what, node, detail)
            self._moments.append(moment)
            self._changed.notify_all()
        return moment

    def moments(self) -> tuple[Moment, ...]:
        """Return everything that has happened so far, oldest first."""
        with self._changed:
            return tuple(self._moments)

    def wait(self, holds: Callable[[Moment], bool], timeout: float) -> Moment:
        """Return the first moment for which ``holds``, those of the past included.

        Raises:
            TimeoutError: There was none within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for moment in self._moments[seen:]:
                    if holds(moment):
                        return moment
                seen = len(self._moments)
                left = deadline - time.monotonic()
                if left <= 0:
                    happened = ", ".join(moment.what for moment in self._moments) or "nothing"
                    raise TimeoutError(f"not within {timeout} s; what happened was: {happened}")
                self._changed.wait(left)
