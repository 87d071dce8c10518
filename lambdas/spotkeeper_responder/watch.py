"""A board that keeps the promise about waiting: a signal goes out within two seconds, ledger or no ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from spotkeeper_ledger import Board, Entry, Stored, Unavailable
from spotkeeper_ledger.board import Expected

Answer = TypeVar("Answer")

LEDGER_SECONDS = 2.0
"""How long a signal may wait for the ledger, all calls together; also the timeout to open the board with."""


def one_worker() -> Executor:
    """Return what makes all calls of one handler: a thread, so that one that hangs holds up nobody but the next one.

    A process keeps it between batches, because its connection to the board goes with it.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")


class WatchedBoard:
    """Another board, with its calls counted and its patience limited.

    A board that has let :data:`LEDGER_SECONDS` pass in calls that came to nothing counts as away from then on, so that
    the next fleet of the batch need not find that out for itself. Made anew for each batch.

    Args:
        board: the board.
        clock: monotonic seconds.
        worker: makes the calls, each in its turn; default is one of its own, never shared by two handlers.
    """

    def __init__(
        self, board: Board, clock: Callable[[], float] = time.monotonic, worker: Executor | None = None
    ) -> None:
        self.calls = 0
        self._board = board
        self._clock = clock
        self._worker = worker or one_worker()
        self._hurried = False
        self._allowance = LEDGER_SECONDS
        self._lost = 0.0

    @contextmanager
    def before_signal(self) -> Iterator[None]:
        """Let calls fail as soon as all those made in here, since the last :meth:`refill`, have taken too long."""
        self._hurried = True
        try:
            yield
        finally:
            self._hurried = False

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Except what is done in here from :meth:`before_signal`: many quick calls do not mean that it is away."""
        hurried, self._hurried = self._hurried, False
        try:
            yield
        finally:
            self._hurried = hurried

    def refill(self) -> None:
        """Grant the next fleet its two seconds; the first one shares them with what comes before all fleets."""
        self._allowance = LEDGER_SECONDS

    def read(self, key: str) -> Stored | None:
        """Return the object, or ``None`` where there is none."""
        return self._call(lambda: self._board.read(key))

    def read_changed(self, key: str, version: str) -> Stored | None:
        """Return the object if its version is no longer ``version``, else ``None``."""
        return self._call(lambda: self._board.read_changed(key, version))

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; return its new version."""
        return self._call(lambda: self._board.write(key, body, expect=expect))

    def list(self, prefix: str) -> Sequence[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        return self._call(lambda: [*self._board.list(prefix)])

    def list_folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        return self._call(lambda: [*self._board.list_folders(prefix)])

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self._call(lambda: self._board.delete(key))

    def _call(self, action: Callable[[], Answer]) -> Answer:
        if self._lost >= LEDGER_SECONDS:
            raise Unavailable("the board has not answered before in this batch")
        hurried = self._hurried
        if hurried and self._allowance <= 0:
            raise Unavailable(f"the board takes too long: a signal waits for it at most {LEDGER_SECONDS:g} s")
        began = self._clock()
        self.calls += 1
        try:
            return self._answer(action, self._allowance if hurried else None)
        except Unavailable:
            self._lost += self._clock() - began
            raise
        finally:
            if hurried:
                self._allowance -= self._clock() - began

    def _answer(self, action: Callable[[], Answer], patience: float | None) -> Answer:
        future = self._worker.submit(action)
        try:
            return future.result(patience)
        except TimeoutError:
            future.cancel()  # one that has not begun must not be made any more; one that hangs ends by its own timeout
            raise Unavailable(f"the board did not answer within {patience:.1f} s") from None
