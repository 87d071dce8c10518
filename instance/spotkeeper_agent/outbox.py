"""Words to the world, sent until they arrive. Of each sort only the newest counts, so an outage piles nothing up."""

from __future__ import annotations

import threading
from typing import Callable, Dict, Set

from spotkeeper_agent.logs import log

RETRY_SECONDS = 1.0

Send = Callable[[], None]


class Outbox(threading.Thread):
    """Sends in the order in which sorts were first put; what fails is sent again every second."""

    def __init__(self) -> None:
        super().__init__(name="outbox", daemon=True)
        self._changed = threading.Condition()
        self._waiting: Dict[str, Send] = {}
        self._sending = False
        self._failing: Set[str] = set()

    def put(self, sort: str, send: Send) -> None:
        """Send this instead of whatever of its sort has not arrived yet.

        ``send`` must bear being called again, and raises as long as it should be.
        """
        with self._changed:
            self._waiting[sort] = send
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything has arrived, at most ``seconds``; returns whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._sending, seconds)

    def run(self) -> None:
        """Send until the process ends."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                batch, self._waiting = self._waiting, {}
                self._sending = True
            failed = {sort: send for sort, send in batch.items() if not self._send(sort, send)}
            with self._changed:
                self._waiting = {**failed, **self._waiting}
                self._sending = False
                self._changed.notify_all()
                if failed:
                    self._changed.wait(RETRY_SECONDS)

    def _send(self, sort: str, send: Send) -> bool:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - whatever the other side answers, this thread goes on
            if sort not in self._failing:
                log("sending-fails", sort=sort, error=f"{type(error).__name__}: {error}")
            self._failing.add(sort)
            return False
        if sort in self._failing:
            log("sending-works", sort=sort)
        self._failing.discard(sort)
        return True
