"""Requests that come at once are responded to together: the first takes all that waits, the others hear the outcome.

Pub/Sub pushes one message a request, and a storm is a thousand of them; a look at the groups serves them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from spotkeeper_responder.model import Heard


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
        respond: responds to a batch and returns the messages that have to come again.
    """

    def __init__(self, respond: Callable[[Sequence[Heard]], Collection[str]]) -> None:
        self._respond = respond
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._waiting: list[_Request] = []

    def take(self, message: str, heard: Sequence[Heard]) -> bool:
        """Return, once it has been responded to, whether what a message said was; otherwise it has to come again."""
        request = _Request(message, heard)
        with self._guard:
            self._waiting.append(request)
        with self._turn:
            if not request.responded:
                self._serve()
        return not request.failed

    def _serve(self) -> None:
        with self._guard:
            batch, self._waiting = self._waiting, []
        try:
            failed = self._respond([each for request in batch for each in request.heard])
            for request in batch:
                request.failed = request.message in failed
        finally:
            for request in batch:
                request.responded = True
