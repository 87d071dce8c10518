"""Requests that come at once are responded to together: the first takes all that waits, the others hear the outcome.

Pub/Sub pushes one message a request, and a storm is a thousand of them; a look at the groups serves them all. After a
batch there may be a rest, in which the next one gathers: nobody waits for what has been responded to already, and a
message after a quiet time is responded to at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from spotkeeper_responder.model import Heard

FULL_SHARE = 0.8
"""Of the requests that are taken at once, so many waiting end a rest: those behind them would be turned away."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch."""

    failed: Collection[str] = ()
    """The messages that have to come again."""
    rest_seconds: float = 0.0
    """How long to rest before the next batch."""


@dataclass(slots=True)
class _Request:
    message: str
    heard: Sequence[Heard]
    responded: bool = False
    failed: bool = True
    """Whether the message has to come again."""


class Turns:
    """One batch at a time, each of everything that has come meanwhile.

    Args:
        respond: responds to a batch.
        most: how many requests are taken at once.
    """

    def __init__(self, respond: Callable[[Sequence[Heard]], Outcome], most: int) -> None:
        self._respond = respond
        self._full = max(1, int(FULL_SHARE * most))
        lock = threading.Lock()
        self._arrived, self._done = threading.Condition(lock), threading.Condition(lock)
        self._waiting: list[_Request] = []
        self._serving, self._not_before = False, 0.0

    def take(self, message: str, heard: Sequence[Heard]) -> bool:
        """Return, once it has been responded to, whether what a message said was; otherwise it has to come again."""
        request = _Request(message, heard)
        with self._done:
            self._waiting.append(request)
            self._arrived.notify()
            self._done.wait_for(lambda: request.responded or not self._serving)
            if request.responded:
                return not request.failed
            self._serving = True
            self._arrived.wait_for(
                lambda: len(self._waiting) >= self._full, max(0.0, self._not_before - time.monotonic())
            )
            batch, self._waiting = self._waiting, []
        self._serve(batch)
        return not request.failed

    def _serve(self, batch: Sequence[_Request]) -> None:
        rest = 0.0
        try:
            outcome = self._respond([each for request in batch for each in request.heard])
            rest = outcome.rest_seconds
            for request in batch:
                request.failed = request.message in outcome.failed
        finally:
            with self._done:
                for request in batch:
                    request.responded = True
                self._serving = False
                self._not_before = time.monotonic() + rest
                self._done.notify_all()
