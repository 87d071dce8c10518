"""Deletes what may go, after a publish, as the holder of the generation: manifests first, then what they named."""

from __future__ import annotations

import logging
import math
import time
from typing import List, Optional, Set

from spotkeeper_ledger import ABSENT, ANY, Board, BoardError, Conflict, MalformedDocument, load
from spotkeeper_ledger.checkpoints import Head, Manifest
from spotkeeper_training.meeting import LOADS, SHARDS
from spotkeeper_training.objects import MANIFESTS, PARTS, Objects
from spotkeeper_training.retention import Retention, expendable, orphans

PINS = "pins/"
SWEEP_SECONDS = 3600.0
"""How often remains of dead writers are looked for, besides after the first publish of a process."""
_log = logging.getLogger("spotkeeper.training")


class Custodian:
    """Keeps a store tidy.

    Args:
        board: where documents lie.
        objects: parts and manifests.
        retention: what is kept.
    """

    def __init__(self, board: Board, objects: Objects, retention: Retention) -> None:
        self._board, self._objects, self._retention = board, objects, retention
        self._sweep_due = -math.inf

    def tidy(self, head: Head, done: str = "") -> None:
        """Delete what may go, ``head`` having just been published. A store that refuses is asked again next time.

        ``done`` precedes the keys of documents that have had their use.
        """
        try:
            if done:
                self._objects.delete_objects([entry.key for entry in self._board.list(done)])
            manifests = [*self._board.list(MANIFESTS)]
            gone = expendable(manifests, head, self._retention, self._pinned())
            for key in gone:
                self._delete(key)
            if time.monotonic() >= self._sweep_due:
                self._sweep(head)
                self._sweep_due = time.monotonic() + SWEEP_SECONDS
        except BoardError as error:
            _log.warning("old checkpoints were not deleted (%s); the next publish tries again", error)

    def pin(self, manifest: str) -> bool:
        """Keep a checkpoint for good. Returns whether it is still there: only then it is kept."""
        self._board.write(_pin(manifest), b"{}", expect=ANY)
        if self._board.read(manifest) is not None:
            return True
        self._board.delete(_pin(manifest))
        return False

    def unpin(self, manifest: str) -> None:
        """Let a checkpoint go when its time comes."""
        self._board.delete(_pin(manifest))

    def _delete(self, key: str) -> None:
        """Delete a checkpoint, unless it is pinned in that moment.

        Its manifest goes first. Whoever pins it looks for that afterwards, and this looks for the pin after the
        manifest went: one of the two sees the other.
        """
        found = self._board.read(key)
        self._board.delete(key)
        if found is None:
            return
        if key in self._pinned():
            self._restore(key, found.body)
            return
        self._objects.delete_objects(_parts(found.body) or [])  # what a damaged one named is found by the sweep

    def _restore(self, key: str, body: bytes) -> None:
        try:
            self._board.write(key, body, expect=ABSENT)
        except Conflict:
            return

    def _sweep(self, head: Head) -> None:
        # Listed before the manifests: what a manifest names by now is then among what they name.
        entries = [entry for folder in (PARTS, SHARDS, LOADS) for entry in self._board.list(folder)]
        manifests = [*self._board.list(MANIFESTS)]
        named: Set[str] = set()
        unclear: List[str] = []
        for entry in manifests:
            parts = self._named(entry.key)
            if parts is None:
                unclear.append(entry.key)
            else:
                named.update(parts)
        now = max((entry.modified_at for entry in manifests), default=-math.inf)  # by the store's clock, not by ours
        gone = orphans(entries, named, unclear, head, now - self._retention.grace_seconds)
        if gone:
            _log.info("%d objects that no checkpoint names are deleted, such as %s", len(gone), gone[0])
            self._objects.delete_objects(gone)

    def _named(self, key: str) -> Optional[List[str]]:
        found = self._board.read(key)
        return _parts(found.body) if found else None

    def _pinned(self) -> Set[str]:
        return {f"{MANIFESTS}{entry.key[len(PINS) :]}" for entry in self._board.list(PINS)}


def _pin(manifest: str) -> str:
    return f"{PINS}{manifest[len(MANIFESTS) :]}"


def _parts(body: bytes) -> Optional[List[str]]:
    """Return the keys that a manifest names; ``None`` where it cannot be read."""
    try:
        return [part.key for part in load(Manifest, body).parts]
    except MalformedDocument:
        return None
