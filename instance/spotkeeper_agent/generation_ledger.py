"""The present generation as the ledger has it, read and written by compare-and-swap."""

from __future__ import annotations

import random
import secrets
import socket
from typing import Callable, Optional

from spotkeeper_agent.generations import Change
from spotkeeper_ledger import ABSENT, Board, Conflict, Generation, MalformedDocument, dump, keys, load

_PORTS = (20000, 32767)
"""Where free ports for the job are looked for: below those that the kernel hands out by itself."""


class GenerationLedger:
    """The generation as the ledger has it. Every method raises :class:`BoardError` where it cannot be asked.

    Args:
        board: the ledger.
        fleet: whose job.
        lease_seconds: a document that cannot be read counts as none once it has been the same for so long; a newer
            version of ours, which can read it, would have written by then.
        clock: monotonic seconds.
    """

    def __init__(self, board: Board, fleet: str, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._board, self._key, self._clock = board, keys.generation(fleet), clock
        self._lease_seconds = lease_seconds
        self.generation: Optional[Generation] = None
        self.known = False
        """Whether the last read succeeded."""
        self._version: Optional[str] = ABSENT
        self._answered = False
        """The same, whatever it has found."""
        self._since = 0.0
        self._problem = ""

    @property
    def unchanged_seconds(self) -> float:
        """How long every read has found the same."""
        return self._clock() - self._since if self.known else 0.0

    def look(self) -> None:
        """Read the generation if it has changed.

        Raises :class:`MalformedDocument` for one that cannot be read, for as long as it is to be left alone.
        """
        answered, self._answered, self.known = self._answered, False, False
        # A read that fails proves nothing: silence is counted anew after it.
        if not (answered and self._version and self._board.read_changed(self._key, self._version) is None):
            self._read()
        self._answered = True
        if self._problem and self._clock() - self._since < self._lease_seconds:
            raise MalformedDocument(self._problem)
        self.known = True

    def _read(self) -> None:
        self.generation, self._version, self._problem = None, ABSENT, ""
        found = self._board.read(self._key)
        self._since = self._clock()
        if found is not None:
            self._version = found.version
            try:
                self.generation = load(Generation, found.body)
            except MalformedDocument as problem:
                self._problem = str(problem)

    def write(self, wanted: Generation) -> bool:
        """Write over what was read; returns whether it still was that."""
        try:
            version = self._board.write(self._key, dump(wanted), expect=self._version)
        except Conflict:
            return False
        self.generation, self._version, self._since, self._problem = wanted, version, self._clock(), ""
        return True


def following(change: Change, *, fleet: str, incarnation: str, number: int, port: int) -> Generation:
    """Return the generation that a change begins.

    Args:
        change: who is in it, and why.
        fleet: whose job.
        incarnation: the fleet's.
        number: of the new generation.
        port: one that is free on its first node.
    """
    return Generation(
        fleet=fleet,
        incarnation=incarnation,
        number=number,
        state=change.state,
        members=change.members,
        master=change.members[0].node,
        port=port,
        rendezvous_id=secrets.token_hex(16),
        reason=change.reason,
        crashes=change.crashes,
    )


def free_port(address: str) -> int:
    """Return a port that nobody listens at; 0 if none was found."""
    for _ in range(20):
        port = random.randint(*_PORTS)  # noqa: S311 - keeps no secret
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    return 0
