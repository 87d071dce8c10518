"""Which nodes run the job together next, and who may say so: a pure decision over what one node knows.

A generation is numbered and fixed. Whenever it no longer fits the nodes that are there, the first of its live members
writes the next number by compare-and-swap; whoever loses reads again. Nobody is elected, and no node has to believe
another one about who is dead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence, Tuple

from spotkeeper_agent.exits import restart_pause
from spotkeeper_ledger import Generation, Member

FORMING, RUNNING, ENDING, FINISHED = "forming", "running", "ending", "finished"
NONE, RUNS, STOPPED, DONE, CRASHED, GONE = "none", "running", "stopped", "finished", "crashed", "gone"
"""What has become of a generation's command on one node: not started yet · runs · ended because the generation ends ·
exited with 0 · failed · was killed with its agent, which has been started again."""
DOWN = frozenset({STOPPED, DONE, CRASHED, GONE})


@dataclass(frozen=True)
class Peer:
    """What is known of one node, from itself."""

    member: Member
    silent_seconds: float = 0.0
    """Since its counter was last seen to rise, on the reader's clock."""
    known_seconds: float = 0.0
    """Since it was first heard."""
    leaving: bool = False
    ledger: bool = True
    """Whether it can reach the ledger."""
    generation: int = 0
    """The one that :attr:`job` is about."""
    job: str = NONE


@dataclass(frozen=True)
class View:
    """Everything that one node decides upon."""

    me: str
    incarnation: str
    current: Optional[Generation]
    unchanged_seconds: float
    """How long every read has found :attr:`current` as it is."""
    peers: Mapping[str, Peer]
    """By node: this one, every member of the present generation, and whoever else has made itself known."""
    lease_seconds: float
    """A node that has not been heard for so long is taken for dead."""
    settle_seconds: float
    """How long nodes that are about to begin wait for others that start at the same time."""
    min_nodes: int
    max_restarts: int
    single_zone: bool = False
    crashed_seconds: Optional[float] = None
    """Since a member was first heard to have crashed in this generation."""


@dataclass(frozen=True)
class Change:
    """What is to be written: the next number, or the end of the present one."""

    state: str
    members: Tuple[Member, ...] = field(default=())
    reason: str = ""
    crashes: int = 0

    @property
    def ends(self) -> bool:
        """Whether the number stays."""
        return self.state in (ENDING, FINISHED)


def decide(view: View) -> Optional[Change]:
    """Return what this node is to write now, ``None`` where there is nothing, or where that is another node's."""
    current, me = view.current, view.peers[view.me]
    if current is None or current.incarnation != view.incarnation:
        return None if me.leaving else Change(FORMING, (me.member,))
    if current.state == FINISHED or writer(view) != view.me:
        return None
    if not any(member.node == view.me for member in current.members):
        return Change(FORMING, (me.member,), "lost", current.crashes)  # others follow once they read of it
    return _end(view, current) if current.state == RUNNING else _form(view, current)


def writer(view: View) -> Optional[str]:
    """Return who writes the next change, as far as this node can tell; compare-and-swap settles what it cannot.

    The first member that lives, is not about to go and reaches the ledger; if all of them go, the first that lives. A
    node that is no member only where none has given a sign of life to the ledger, or the generation is free.
    """
    current = view.current
    me = view.peers[view.me]
    if current is None:
        return view.me
    if all(member.node != view.me for member in current.members):
        free = current.state == ENDING or view.unchanged_seconds >= view.lease_seconds
        return view.me if free and not me.leaving else None
    live = [member.node for member in current.members if is_live(view, member.node)]
    able = [node for node in live if view.peers[node].ledger]
    staying = [node for node in able if not view.peers[node].leaving]
    return next(iter(staying or able), None)


def is_live(view: View, node: str) -> bool:
    """Whether a node has been heard of late."""
    peer = view.peers.get(node)
    return peer is not None and (node == view.me or peer.silent_seconds < view.lease_seconds)


def joining(view: View) -> List[Member]:
    """Return the nodes that the next generation has and the present one has not."""
    if view.current is None:
        return []
    members = {member.node for member in view.current.members}
    return [member for member in next_members(view, view.current) if member.node not in members]


def _newcomers(view: View) -> List[Member]:
    """The live nodes that are no members and will stay, those that have been known for longest first."""
    members = {member.node for member in view.current.members} if view.current else set()
    found = [
        peer for node, peer in view.peers.items() if node not in members and is_live(view, node) and not peer.leaving
    ]
    return [peer.member for peer in sorted(found, key=lambda peer: (-peer.known_seconds, peer.member.node))]


def _end(view: View, current: Generation) -> Optional[Change]:
    """Whether a running generation is over, and what follows."""
    peers = [view.peers[member.node] for member in current.members]
    live = [peer for peer in peers if is_live(view, peer.member.node)]
    told = [peer for peer in live if peer.generation == current.number]
    jobs = {peer.job for peer in told}
    down = len(told) == len(live) and jobs <= DOWN
    if len(told) == len(peers) and jobs == {DONE}:
        return Change(FINISHED, current.members, "finished", current.crashes)
    if len(live) < len(peers):
        return _next(view, current, "lost") if _may_declare(view, current, peers, live) else None
    if GONE in jobs:
        return _next(view, current, "lost")
    if any(peer.leaving for peer in live):
        return _next(view, current, "notice") if down else None
    if CRASHED in jobs:
        return _after_crash(view, current, live)
    return _next(view, current, "join") if down else None


def _may_declare(view: View, current: Generation, peers: Sequence[Peer], live: Sequence[Peer]) -> bool:
    """Whether the silent members may be left out by now.

    Where the network has come apart, both sides may reach the ledger: the lesser one waits twice as long, so that it
    finds itself left out rather than the others.
    """
    master_lives = is_live(view, current.members[0].node)
    lesser = 2 * len(live) < len(peers) or (2 * len(live) == len(peers) and not master_lives)
    patience = view.lease_seconds * (2 if lesser else 1)
    return all(peer.silent_seconds >= patience for peer in peers if peer not in live)


def _after_crash(view: View, current: Generation, live: Sequence[Peer]) -> Optional[Change]:
    """A command that fails because another node has died is no crash: all have to be heard after it."""
    since = view.crashed_seconds
    if since is None or any(peer.silent_seconds >= since for peer in live if peer.member.node != view.me):
        return None
    crashes = current.crashes + 1
    if crashes > view.max_restarts:
        return Change(FINISHED, current.members, "failed", crashes)
    return _next(view, current, "crash", crashes) if since >= restart_pause(crashes) else None


def _next(view: View, current: Generation, reason: str, crashes: Optional[int] = None) -> Change:
    members = next_members(view, current)
    count = current.crashes if crashes is None else crashes
    if not members:
        return Change(ENDING, current.members, reason, count)
    return Change(RUNNING if len(members) >= view.min_nodes else FORMING, members, reason, count)


def _form(view: View, current: Generation) -> Optional[Change]:
    """Whether those that have gathered are enough to begin."""
    members = next_members(view, current)
    if not members:
        return None if current.state == ENDING else Change(ENDING, current.members, "notice", current.crashes)
    settled = all(view.peers[member.node].known_seconds >= view.settle_seconds for member in members)
    if len(members) >= view.min_nodes and settled:
        return Change(RUNNING, members, current.reason, current.crashes)
    same = {member.node for member in members} == {member.node for member in current.members}
    return None if same and current.state == FORMING else Change(FORMING, members, current.reason, current.crashes)


def next_members(view: View, current: Generation) -> Tuple[Member, ...]:
    """Return the next members in rank order: survivors keep theirs, newcomers follow, and the master goes before all.

    torchrun's first node is the one that the others meet at; an on-demand one is not taken away.
    """
    staying = [
        view.peers[member.node].member
        for member in current.members
        if is_live(view, member.node) and not view.peers[member.node].leaving
    ]
    members = staying + _newcomers(view)
    if view.single_zone:
        members = _of_one_zone(members, staying[0].zone if staying else "", view.min_nodes)
    master = next((member for member in members if member.on_demand), members[0] if members else None)
    return tuple(([master] if master else []) + [member for member in members if member is not master])


def _of_one_zone(members: List[Member], present: str, least: int) -> List[Member]:
    """Those of the zone that the job is in, as long as they are enough, else of the one where most are."""
    zones = [member.zone for member in members]
    if zones.count(present) < least and zones:
        present = max(zones, key=zones.count)
    return [member for member in members if member.zone == present]


class Door:
    """Lets newcomers in: at the next checkpoint after they were first seen, or now.

    Args:
        join: ``checkpoint`` or ``now``.
    """

    def __init__(self, join: str) -> None:
        self._join = join
        self._waits = False
        self._step: Optional[int] = None

    def opens(self, come: Sequence[Member], published_step: Optional[int]) -> bool:
        """Return whether the generation is to end for those that have come.

        Args:
            come: who is to join.
            published_step: step of the last whole checkpoint, as far as it is known.
        """
        if not come:
            self._waits = False
            return False
        if not self._waits:
            self._waits, self._step = True, published_step
        return self._join == "now" or (published_step is not None and published_step != self._step)
