"""What the other nodes have said, and since when nothing was heard of each: timed by this reader's clock alone."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, Mapping

from spotkeeper_agent.generations import Peer
from spotkeeper_agent.peer_messages import PeerState
from spotkeeper_ledger import Member


@dataclass(frozen=True)
class Heard:
    """The last that a node has said, and when."""

    state: PeerState
    rose_at: float
    """When its counter was last seen to rise."""
    first_at: float
    """When this start of its agent was first heard."""


class Table:
    """What all nodes have said. Safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._heard: Dict[str, Heard] = {}

    def hear(self, state: PeerState) -> bool:
        """Take in what a node says; returns whether it is more than a sign of life."""
        now = self._clock()
        with self._lock:
            node = state.member.node
            known = self._heard.get(node)
            if known is None or known.state.session != state.session:
                self._heard[node] = Heard(state, now, now)
                return True
            if state.beat < known.state.beat:
                return False  # overtaken on another connection
            rose_at = now if state.beat > known.state.beat else known.rose_at
            self._heard[node] = Heard(state, rose_at, known.first_at)
            return _matter(state) != _matter(known.state)

    def all(self) -> Mapping[str, Heard]:
        """Return everything, by node."""
        with self._lock:
            return dict(self._heard)

    def forgive(self) -> None:
        """Count silence anew: it was this node that could not hear."""
        now = self._clock()
        with self._lock:
            self._heard = {node: Heard(each.state, now, each.first_at) for node, each in self._heard.items()}

    def forget(self, before: float) -> None:
        """Drop nodes that have said nothing since ``before``."""
        with self._lock:
            self._heard = {node: each for node, each in self._heard.items() if each.rose_at >= before}


def known_peers(table: Table, members: Iterable[Member], since: Mapping[str, float], now: float) -> Dict[str, Peer]:
    """Return what is known of all nodes, as decisions are made upon it; every member is among them.

    Args:
        table: what they have said.
        members: those of the present generation.
        since: when each of them was first known to be one.
        now: by the table's clock.
    """
    found = {node: _as_peer(each, now) for node, each in table.all().items()}
    for member in members:
        silent = now - since.get(member.node, now)
        # Never heard: as silent as it is known to be a member. Heard before: not counted before it became one.
        heard = found.get(member.node, Peer(member, silent_seconds=silent))
        found[member.node] = replace(heard, silent_seconds=min(heard.silent_seconds, silent))
    return found


def _as_peer(heard: Heard, now: float) -> Peer:
    state = heard.state
    return Peer(
        member=state.member,
        silent_seconds=now - heard.rose_at,
        known_seconds=now - heard.first_at,
        leaving=state.leaving,
        ledger=state.ledger,
        generation=state.generation,
        job=state.job,
    )


def _matter(state: PeerState) -> object:
    notice = state.notice.key if state.notice else ""  # its seconds are fewer with every line
    return (state.member, state.generation, state.job, state.leaving, state.ledger, notice, state.documents)
