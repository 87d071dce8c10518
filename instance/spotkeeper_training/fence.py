"""The fence: ``head.json`` names the generation that alone may publish, and is written by compare-and-swap."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Optional

from spotkeeper_ledger import ABSENT, Board, Conflict, Unavailable, dump, load
from spotkeeper_ledger.checkpoints import Head
from spotkeeper_training.errors import StaleGeneration

HEAD = "head.json"
_log = logging.getLogger("spotkeeper.training")


@dataclass(frozen=True)
class Held:
    """The head as last read or written."""

    head: Head
    version: str


class Fence:
    """The head, as one generation sees it.

    Args:
        board: where it lies.
        generation: the caller's.
        session: names the caller's process where it publishes for several ranks; of the processes of one generation,
            only the one that began last can then publish. Empty where one rank is all.
    """

    def __init__(self, board: Board, generation: int, session: str = "") -> None:
        self._board, self._generation, self._session = board, generation, session

    def read(self) -> Optional[Held]:
        """Return the head as it is; ``None`` before anything was begun."""
        found = self._board.read(HEAD)
        return None if found is None else Held(load(Head, found.body), found.version)

    def begin(self) -> Held:
        """Raise the head to this generation, and put the session into it. Raises :class:`StaleGeneration`."""
        while True:
            found = self.read()
            if found is not None and self._is_ours(found) and self._session in ("", found.head.session):
                return found
            head = Head(self._generation) if found is None else found.head
            kept = head.session if head.generation == self._generation else ""
            began = replace(head, generation=self._generation, session=self._session or kept)
            raised = self._swap(found, began)
            if raised is not None:
                return raised

    def check(self, held: Held) -> None:
        """Raise :class:`StaleGeneration` if a later generation has begun, or another process in this one's place."""
        self._is_ours(held)
        if self._session not in ("", held.head.session):
            raise self._refused(held)

    def advance(self, held: Held, step: int, manifest: str, previous: Optional[str]) -> Held:
        """Make ``manifest`` the latest, over ``held`` or whatever this generation has written since.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: the store does not answer, or somebody has emptied it.
        """
        mine = replace(Head(self._generation), step=step, manifest=manifest, previous=previous)
        while True:
            self.check(held)
            kept = held.head
            written = self._swap(held, replace(mine, session=kept.session, revision=kept.revision, extra=kept.extra))
            if written is not None:
                return written
            found = self.read()
            if found is None:
                raise Unavailable(f"{HEAD}: is gone, somebody empties this store")
            self.check(found)
            if found.head.manifest == manifest:
                return found  # an earlier try was written, only its answer was lost
            held = found

    def _swap(self, held: Optional[Held], head: Head) -> Optional[Held]:
        """Write ``head`` over ``held``; ``None`` if somebody else was first."""
        head = replace(head, revision=head.revision + 1)
        try:
            return Held(head, self._board.write(HEAD, dump(head), expect=held.version if held else ABSENT))
        except Conflict:
            return None

    def _is_ours(self, held: Held) -> bool:
        """Whether the head is at this generation already; raises if it is beyond it."""
        if held.head.generation > self._generation:
            raise self._refused(held)
        return held.head.generation == self._generation

    def _refused(self, held: Held) -> StaleGeneration:
        error = StaleGeneration(self._generation, held.head.generation)
        _log.error("%s", error)
        return error
