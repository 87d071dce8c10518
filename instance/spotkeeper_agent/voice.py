"""What a node says of itself to the others of its fleet."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Callable, Mapping, Optional, Tuple

from spotkeeper_agent.generation_ledger import free_port
from spotkeeper_agent.generations import GONE, Peer
from spotkeeper_agent.peer_messages import PeerNotice, PeerState
from spotkeeper_agent.team_words import Own
from spotkeeper_ledger import Member


class Voice:
    """All that goes into one node's state. Each part is replaced whole, so that any thread may ask.

    Args:
        member: this node.
        boot_clock: seconds since boot, which deadlines are told in.
    """

    def __init__(self, member: Member, boot_clock: Callable[[], float]) -> None:
        self.member, self._boot_clock = member, boot_clock
        self.own = Own()
        self.documents: Mapping[str, str] = {}
        self.join: Optional[PeerNotice] = None
        """That the generation is to end for nodes that have come, as its writer has found."""
        self.gone = 0
        """The generation that an agent before this one ran on this node: its command was killed with it."""
        self.beat = 0
        self.reaches_ledger = True
        self.job_port = free_port(member.address)
        self._session = secrets.token_hex(8)

    def renew(self) -> None:
        """Begin another generation."""
        self.join, self.job_port = None, free_port(self.member.address)

    def state(self) -> PeerState:
        """Return it as it is now."""
        generation, job = self._job()
        return PeerState(
            member=self.member,
            session=self._session,
            beat=self.beat,
            generation=generation,
            job=job,
            leaving=self.own.leaving,
            ledger=self.reaches_ledger,
            job_port=self.job_port,
            notice=self._notice(),
            documents=self.documents,
        )

    def as_peer(self, known_seconds: float) -> Peer:
        """Return this node as decisions are made upon it."""
        generation, job = self._job()
        return Peer(self.member, 0.0, known_seconds, self.own.leaving, True, generation, job)

    def _job(self) -> Tuple[int, str]:
        gone = self.gone != 0 and self.own.generation < self.gone
        return (self.gone, GONE) if gone else (self.own.generation, self.own.job)

    def _notice(self) -> Optional[PeerNotice]:
        own = self.own
        if self.join is not None and not own.leaving:
            return self.join
        if own.notice is None or own.deadline is None:
            return own.notice
        return replace(own.notice, seconds_left=max(0.0, own.deadline - self._boot_clock()))
