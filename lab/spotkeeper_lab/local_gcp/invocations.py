"""What Pub/Sub pushes to the function, and what comes of it, written down."""

from __future__ import annotations

import time
from collections.abc import Mapping

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local_gcp.function import Deployed, Function, FunctionFailed, FunctionKilled
from spotkeeper_lab.local_gcp.pubsub import ABSENT

_REFUSED = 300


class Invocations:
    """Takes messages to the function.

    Args:
        events: where is written down what comes of them.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self.function: Function | None = None
        """The one that runs; until there is one, messages wait."""

    def push(self, address: str, body: bytes, headers: Mapping[str, str], seconds: float, *, again: bool) -> int:
        """Deliver a message; see :class:`~spotkeeper_lab.local_gcp.pubsub.Push`."""
        function, began = self.function, time.monotonic()
        if function is None or not address.startswith(function.deployed.url):
            return ABSENT
        try:
            status = function.request(body, headers, seconds)
        except FunctionKilled as error:
            raise OSError(str(error)) from None  # who did it has told
        except FunctionFailed as error:
            if not function.closed:
                self._events.add("function-failed", batch=1, error=str(error))
            raise OSError(str(error)) from None
        ms, refused = round(1000 * (time.monotonic() - began)), int(status >= _REFUSED)
        self._events.add("function-invoked", batch=1, repeated=int(again), ms=ms, failed=refused, status=status)
        return status

    def replace(self, deployed: Deployed) -> None:
        """A function was declared anew; nothing happens while it does not run."""
        if self.function is not None:
            self.function.replace(deployed)

    def printed(self, line: str) -> None:
        """The function has printed a line."""
        if self.function is not None and (error := self.function.failures.feed(line)) is not None:
            self._events.add("function-failed", batch=1, error=error)

    def buried(self, subscription: str) -> None:
        """A message of a subscription was given up."""
        self._events.add("dead-lettered", subscription=subscription)
