"""A board that keeps the promise about waiting: a signal goes out within two seconds, ledger or no ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from spotkeeper_ledger import Board, Entry, Stored, Unavailable
from spotkeeper_ledger.board import Expected

Answer = TypeVar("Answer")

LEDGER_SECONDS = 2.0
"""How long a signal may wait for the ledger, all calls together."""
CALL_SECONDS = 1.0
"""How long one call may take (the timeout to open the board with): one begun in the first half ends in the second."""


class WatchedBoard:
    """Another board, with its calls counted and its patience limited.

    A board that has let :data:`CALL_SECONDS` pass in calls that came to nothing counts as away from then on, so that
    the next fleet of the batch need not find that out for itself. Made anew for each batch.

    Args:
        board: the board; its own timeout should be :data:`CALL_SECONDS`.
        clock: monotonic seconds.
    """

    def __init__(self, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls = 0
        self._board = board
        self._clock = clock
        self._allowance: float | None = None
        self._lost = 0.0

    @contextmanager
    def before_signal(self) -> Iterator[None]:
        """Make calls fail rather than let them take more than :data:`LEDGER_SECONDS` in all."""
        self._allowance = LEDGER_SECONDS - CALL_SECONDS
        try:
            yield
        finally:
            self._allowance = None

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Except what is done here from :meth:`before_signal`: many quick calls are no sign of a board that is away."""
        allowance, self._allowance = self._allowance, None
        try:
            yield
        finally:
            self._allowance = allowance

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
        if self._lost >= CALL_SECONDS:
            raise Unavailable("the board has not answered before in this batch")
        if self._allowance is not None and self._allowance <= 0:
            raise Unavailable(f"the board takes too long: a signal waits for it at most {LEDGER_SECONDS:g} s")
        began = self._clock()
        self.calls += 1
        try:
            return action()
        except Unavailable:
            self._lost += self._clock() - began
            raise
        finally:
            if self._allowance is not None:
                self._allowance -= self._clock() - began
