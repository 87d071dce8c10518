"""A board that remembers: what one batch of a storm has read need not be read again by the next one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from spotkeeper_ledger import Board, Entry, Stored, keys
from spotkeeper_ledger.board import Expected

REMEMBERED_SECONDS = 30.0
"""How old an answer may be: half of what passes between two ticks, at which everything is read afresh."""


class WarmBoard:
    """Another board, and what it has answered of late. A process keeps it between batches.

    Remembered is only what may be a little old, because the next tick reads it afresh and puts right what was missed:

    - the roster: a node that it does not know is foreign. One that was launched and noticed within these seconds is
      heard of through its own agent, whose notice names the fleet, or missed in the group by the tick.
    - a fleet's spec: a change by its user reaches a fleet on a tick anyway. A fleet that is being destroyed may get a
      size in these seconds, as it may from a handler that has just read its spec; its groups take none, because Pulumi
      has set their maximum to zero.
    - listings, of which only the ages of reports are used. An answer of some seconds ago says how old they were then,
      so that nobody seems to have fallen silent since.

    That there is no such object is never remembered, nor is a ledger: it is what handlers agree by.

    Args:
        board: the board.
        clock: monotonic seconds.
    """

    def __init__(self, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self.spared = 0
        """How many calls the memory has spared so far."""
        self._board = board
        self._clock = clock
        self._objects: dict[str, tuple[float, Stored]] = {}
        self._listings: dict[str, tuple[float, Sequence[Entry]]] = {}

    def forget(self) -> None:
        """Forget everything: for batches that ask for more than to tell of notices."""
        self._objects.clear()
        self._listings.clear()

    def read(self, key: str) -> Stored | None:
        """Return the object, or ``None`` where there is none."""
        asked_at = self._clock()
        known = self._objects.get(key)
        if known is not None and asked_at - known[0] < REMEMBERED_SECONDS:
            self.spared += 1
            return known[1]
        found = self._board.read(key)
        if found is not None and (key == keys.MEMBERS or key.endswith("/spec.json")):
            self._objects[key] = asked_at, found
        return found

    def read_changed(self, key: str, version: str) -> Stored | None:
        """Return the object if its version is no longer ``version``, else ``None``."""
        return self._board.read_changed(key, version)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; return its new version. Lost or won, it is forgotten.

        So whoever has lost a write to somebody else really looks the second time.
        """
        self._objects.pop(key, None)
        return self._board.write(key, body, expect=expect)

    def list(self, prefix: str) -> Sequence[Entry]:
        """Every object whose key starts with ``prefix``, in key order, as old as it was when it was really listed."""
        asked_at = self._clock()
        listed_at, entries = self._listings.get(prefix, (float("-inf"), ()))
        age = asked_at - listed_at
        if age < REMEMBERED_SECONDS:
            self.spared += 1
            return [replace(entry, modified_at=entry.modified_at + age) for entry in entries]
        found = [*self._board.list(prefix)]
        self._listings[prefix] = asked_at, found
        return found

    def list_folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        return [*self._board.list_folders(prefix)]

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self._objects.pop(key, None)
        self._board.delete(key)
