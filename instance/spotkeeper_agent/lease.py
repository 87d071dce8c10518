"""The lease on the job: a generation of one node, taken and kept by compare-and-swap.

Who may take it is a pure decision; :class:`Lease` reads, decides and writes. There is no leader: the board decides
who was first.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import Callable, Optional

from spotkeeper_ledger import (
    ABSENT,
    Board,
    Conflict,
    Generation,
    MalformedDocument,
    Member,
    Unavailable,
    dump,
    keys,
    load,
)

RUNNING, ENDING, FINISHED = "running", "ending", "finished"


@dataclass(frozen=True)
class _Seen:
    """What was last read, and since when (monotonic) every read has found the same."""

    generation: Optional[Generation]
    """``None`` for a document that this version cannot read."""
    version: str
    since: float


def may_take(
    generation: Generation, *, incarnation: str, node: str, silent_seconds: float, lease_seconds: float
) -> bool:
    """Whether a live node that is not about to go may start the next generation.

    Args:
        generation: the present one.
        incarnation: the fleet's.
        node: who asks.
        silent_seconds: how long the generation has been seen unchanged, by reads that all succeeded.
        lease_seconds: silence from which on the holder counts as dead.
    """
    if generation.incarnation != incarnation:
        return True
    if generation.state == FINISHED:
        return False
    if generation.state == ENDING:
        return True
    if any(member.node == node for member in generation.members):
        return True  # only one agent runs on a node: the one that took it is gone, and so is its job
    return silent_seconds >= lease_seconds


class Lease:
    """One node's view of the job's generation. Not for use by several threads.

    Args:
        board: the ledger.
        fleet: whose job.
        incarnation: the fleet's; a generation of another one is free to be taken.
        member: this node.
        lease_seconds: see :func:`may_take`.
        floor: returns the generation that the checkpoints are at, so that a fleet that goes on from another's
            checkpoints is not fenced off by its numbers.
        clock: monotonic seconds.

    Every method raises :class:`Unavailable` or ``Denied`` where the board cannot be asked: nothing is known then.
    """

    def __init__(
        self,
        board: Board,
        fleet: str,
        incarnation: str,
        member: Member,
        lease_seconds: float,
        *,
        floor: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._key = board, keys.generation(fleet)
        self._fleet, self._incarnation, self._member = fleet, incarnation, member
        self._lease_seconds, self._floor, self._clock = lease_seconds, floor, clock
        self._seen: Optional[_Seen] = None
        self._held: Optional[Generation] = None
        self._version = ""
        self._mine = ""
        """Random id of the generation that was taken: tells an own write whose answer was lost from another's."""

    @property
    def held(self) -> Optional[Generation]:
        """The generation that this node holds, as last written."""
        return self._held

    def seek(self) -> Optional[Generation]:
        """Look at the generation once, take the next number if that is allowed, and return it if it is ours now."""
        found = self._look()
        if found is None:
            return self._take(None, ABSENT)
        if self._is_ours(found.generation):
            return self._hold(found.generation, found.version)  # the answer to an earlier take was lost
        return self._take(found.generation, found.version) if self._is_free(found) else None

    def beat(self) -> bool:
        """Say that the holder lives; returns whether it still is the holder."""
        if self._held is None:
            return False
        return self._write(replace(self._held, beat=self._held.beat + 1))

    def end(self, state: str, reason: str) -> bool:
        """End the generation: ``ending`` frees the job for the next node at once, ``finished`` for good.

        Returns whether it still was this node's to end; it is not afterwards, either way.
        """
        if self._held is None:
            return False
        ended = self._write(replace(self._held, state=state, reason=reason))
        self._held, self._mine = None, ""
        return ended

    def _is_free(self, found: _Seen) -> bool:
        silent = self._clock() - found.since
        if found.generation is None:
            return silent >= self._lease_seconds
        return may_take(
            found.generation,
            incarnation=self._incarnation,
            node=self._member.node,
            silent_seconds=silent,
            lease_seconds=self._lease_seconds,
        )

    def _look(self) -> Optional[_Seen]:
        seen = self._seen
        self._seen = None  # a read that fails proves nothing about the holder: the silence is counted anew after it
        if seen is not None and self._board.read_changed(self._key, seen.version) is None:
            self._seen = seen
            return seen
        found = self._board.read(self._key)
        if found is None:
            return None
        self._seen = _Seen(_parse(found.body), found.version, self._clock())
        return self._seen

    def _take(self, present: Optional[Generation], version: Optional[str]) -> Optional[Generation]:
        number = max(present.number if present else 0, self._floor()) + 1
        self._mine = uuid.uuid4().hex
        mine = Generation(
            fleet=self._fleet,
            incarnation=self._incarnation,
            number=number,
            state=RUNNING,
            members=(self._member,),
            master=self._member.node,
            rendezvous_id=self._mine,
        )
        self._seen = None
        try:
            written = self._board.write(self._key, dump(mine), expect=version)
        except Conflict:
            return None  # somebody else was first; the next look sees who
        return self._hold(mine, written)

    def _write(self, wanted: Generation) -> bool:
        """Write over what we hold; after a conflict, once more if the winner was an own write whose answer was lost."""
        if self._put(wanted):
            return True
        found = self._board.read(self._key)
        if found is None or not self._is_ours(_parse(found.body)):
            self._held = None
            return False
        self._version = found.version
        if self._put(wanted):
            return True
        raise Unavailable(f"{self._key}: changes faster than it can be written")

    def _put(self, wanted: Generation) -> bool:
        try:
            self._version = self._board.write(self._key, dump(wanted), expect=self._version)
        except Conflict:
            return False
        self._held = wanted
        return True

    def _hold(self, generation: Optional[Generation], version: str) -> Optional[Generation]:
        self._held, self._version = generation, version
        return generation

    def _is_ours(self, generation: Optional[Generation]) -> bool:
        return generation is not None and bool(self._mine) and generation.rendezvous_id == self._mine


def _parse(body: bytes) -> Optional[Generation]:
    try:
        return load(Generation, body)
    except MalformedDocument:
        return None
