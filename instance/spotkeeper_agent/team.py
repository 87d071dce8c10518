"""One node of several that run the job together: follows the generation, writes the next one where that is its turn.

Takes the keeper's place where the fleet is elastic. The ledger's word is what counts: nothing is stopped or started
here because of what another node says, only because of the generation that was written.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from typing import Callable, Dict, Mapping, Optional, Set, Tuple

from spotkeeper_agent.config import AgentConfig, Elastic
from spotkeeper_agent.generation_ledger import GenerationLedger, following
from spotkeeper_agent.generations import (
    CRASHED,
    DOWN,
    FINISHED,
    RUNNING,
    RUNS,
    Change,
    Door,
    View,
    decide,
    joining,
    writer,
)
from spotkeeper_agent.keeper import Ended, Lost, Taken
from spotkeeper_agent.logs import log
from spotkeeper_agent.peer_messages import PeerNotice, PeerState
from spotkeeper_agent.peer_table import known_peers
from spotkeeper_agent.peers import Peers
from spotkeeper_agent.team_words import Outcome, Own, PeerWord
from spotkeeper_agent.voice import Voice
from spotkeeper_ledger import DRAIN, Board, Generation, Member, run_dir


class Team(threading.Thread):
    """This node's part in the generations of an elastic fleet.

    Args:
        config: the fleet's rules and paces.
        board: the ledger.
        member: this node.
        tell: called with each outcome, in this thread.
        floor: returns the generation that the checkpoints are at.
        clock: monotonic seconds.
        boot_clock: seconds since boot, which deadlines are told in.
    """

    def __init__(
        self,
        config: AgentConfig,
        board: Board,
        member: Member,
        tell: Callable[[Outcome], None],
        *,
        floor: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        boot_clock: Callable[[], float] = run_dir.boot_time,
    ) -> None:
        super().__init__(name="team", daemon=True)
        self._config, self._lease_seconds = config, config.lease_seconds
        self._elastic = config.elastic or Elastic()
        self._tell, self._floor, self._clock = tell, floor, clock
        self._ledger = GenerationLedger(board, config.fleet, config.lease_seconds, clock)
        self._peers = Peers(member.address, config.peer_port, config.lease_seconds / 6, self._state, self._poke)
        self._member = replace(member, port=self._peers.port, processes=self._elastic.processes_per_node)
        self._voice = Voice(self._member, boot_clock)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._willing = False
        """Whether this node has ever been fit to take part: before that nobody hears of it."""
        self._willing_since = self._turned = clock()
        self._look_due = self._beat_due = 0.0
        self._number = 0
        """The generation that was read last."""
        self._since: Dict[str, float] = {}
        self._held: Optional[Generation] = None
        self._taken = 0
        """The last generation that the command was to be started for."""
        self._crashed_at: Optional[float] = None
        self._door = Door(self._elastic.join)
        self._told: Set[Tuple[str, str]] = set()
        self._failing = False

    # Called by the agent's thread.

    def tell(self, own: Own) -> None:
        """Say how this node is."""
        if own != self._voice.own:
            if own.ready and not self._willing:
                self._willing, self._willing_since = True, self._clock()
            self._voice.own = own
            self._peers.push()
            self._poke()

    @property
    def seeking(self) -> bool:
        """No node takes part by itself: those that remain notice that this one has gone."""
        return False

    def allow(self, allowed: bool) -> None:
        """Say whether this node may take part; all else about it stays as it was told."""
        self.tell(replace(self._voice.own, ready=allowed))

    def end(self, state: str, reason: str) -> None:
        """Do nothing: how the command ended here is told with :meth:`tell`, and what follows is a decision of all."""

    def farewell(self, seconds: float) -> None:
        """Be silent after those members that answer have heard the last of this node, at most ``seconds`` later."""
        self._peers.flush(seconds)
        self._peers.close()

    def share(self, documents: Mapping[str, str]) -> None:
        """Let all other members have these documents, instead of those of before."""
        if documents != self._voice.documents:
            self._voice.documents = documents
            self._peers.push()

    def shared(self) -> Mapping[str, Mapping[str, str]]:
        """Return what the other members of the present generation have shared, by node."""
        held = self._held
        others = {member.node for member in held.members} - {self._member.node} if held else set()
        return {node: each.state.documents for node, each in self._peers.table.all().items() if node in others}

    def first(self) -> Optional[str]:
        """Return the node of the present generation's first member, ``None`` if that is this one or there is none."""
        held = self._held
        node = held.members[0].node if held else self._member.node
        return None if node == self._member.node else node

    # Called by any thread.

    def _state(self) -> PeerState:
        return self._voice.state()

    def _poke(self) -> None:
        self._wake.put(None)

    # This thread.

    def run(self) -> None:
        """Work until the process ends."""
        self._peers.start()
        while True:
            pause = self.turn()
            try:
                self._wake.get(timeout=pause)
                while not self._wake.empty():
                    self._wake.get()
            except queue.Empty:
                continue

    def turn(self) -> float:
        """Do what is due, and return the seconds until the next turn."""
        now = self._clock()
        if now - self._turned > self._lease_seconds / 2:
            self._forgive()  # this process was stopped, or the machine: nobody else was silent
        self._turned = now
        self._voice.beat += 1
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - whatever a ledger answers, this thread goes on
            self._forgive()  # a node that cannot reach the ledger declares nobody dead
            self._look_due = self._clock() + min(1.0, self._lease_seconds / 3)
            if not self._failing:
                log("ledger-failing", doing="generation", error=f"{type(error).__name__}: {error}")
            self._failing = True
            self._voice.reaches_ledger = False
        else:
            if self._failing:
                log("ledger-back", doing="generation")
            self._failing = False
            self._voice.reaches_ledger = True
        self._hear()
        return self._lease_seconds / 6

    def _forgive(self) -> None:
        self._peers.table.forgive()
        self._since = dict.fromkeys(self._since, self._clock())

    def _work(self) -> None:
        if self._clock() >= self._look_due or self._is_news():
            self._ledger.look()
            self._look_due = self._clock() + self._lease_seconds / 3
        if not self._ledger.known or not self._willing:
            return
        self._follow()
        view = self._view()
        change = decide(replace(view, crashed_seconds=self._crashed_seconds(view)))
        if change is not None:
            self._write(change)
            self._ledger.look()
            self._follow()
        elif view.current is not None and writer(view) == view.me:
            self._keep(view, view.current)

    def _is_news(self) -> bool:
        heard = [each.state.generation for each in self._peers.table.all().values()]
        return max([self._peers.unknown, *heard]) > self._number

    def _follow(self) -> None:
        """Tell the agent what the generation that was read means for this node."""
        current = self._ledger.generation
        if current is None or current.incarnation != self._config.incarnation:
            return
        self._get_to_know(current)
        held, own, me = self._held, self._voice.own, self._member.node
        mine = any(member.node == me for member in current.members)
        if held is not None:
            if current.number != held.number or not mine:
                self._held = None
                self._tell(Lost(held.number) if own.job == RUNS else Ended(held.number, "next"))
            elif current.state != RUNNING:
                self._held = None
                self._tell(Ended(held.number, current.reason if current.state == FINISHED else current.state))
            elif own.leaving and own.generation == held.number and own.job in DOWN:
                self._held = None
                self._tell(Ended(held.number, "left"))
        free = self._held is None and own.ready and current.number not in (self._taken, self._voice.gone)
        if free and mine and current.state == RUNNING:
            self._taken, self._held = current.number, current
            self._tell(Taken(current))

    def _get_to_know(self, current: Generation) -> None:
        if current.number == self._number:
            return
        first, self._number = self._number == 0, current.number
        self._since = dict.fromkeys((member.node for member in current.members), self._clock())
        self._crashed_at, self._door = None, Door(self._elastic.join)
        self._voice.renew()
        self._told = set()
        if first and current.state == RUNNING and any(member.node == self._member.node for member in current.members):
            self._voice.gone = current.number
        self._peers.meet(current.number, current.rendezvous_id, current.members, self._member.node)
        self._peers.push()
        log("generation", number=current.number, state=current.state, nodes=[m.node for m in current.members])

    def _view(self) -> View:
        now, generation = self._clock(), self._ledger.generation
        peers = known_peers(self._peers.table, generation.members if generation else (), self._since, now)
        return View(
            me=self._member.node,
            incarnation=self._config.incarnation,
            current=generation,
            unchanged_seconds=self._ledger.unchanged_seconds,
            peers={**peers, self._member.node: self._voice.as_peer(now - self._willing_since)},
            lease_seconds=self._lease_seconds,
            settle_seconds=self._lease_seconds / 3,
            min_nodes=self._elastic.min_nodes,
            max_restarts=self._config.max_restarts,
            single_zone=self._elastic.single_zone,
        )

    def _crashed_seconds(self, view: View) -> Optional[float]:
        crashed = any(peer.job == CRASHED and peer.generation == self._number for peer in view.peers.values())
        if self._crashed_at is None and crashed:
            self._crashed_at = self._clock()
        return None if self._crashed_at is None else self._clock() - self._crashed_at

    def _write(self, change: Change) -> None:
        current = self._ledger.generation
        if change.ends and current is not None:
            wanted = replace(current, state=change.state, reason=change.reason, crashes=change.crashes)
        else:
            ours = current is not None and current.incarnation == self._config.incarnation
            number = max(current.number if current else 0, 0 if ours else self._floor()) + 1
            first = self._peers.table.all().get(change.members[0].node)
            port = first.state.job_port if first else self._voice.job_port
            fleet, incarnation = self._config.fleet, self._config.incarnation
            wanted = following(change, fleet=fleet, incarnation=incarnation, number=number, port=port)
        if self._ledger.write(wanted):
            log("generation-written", number=wanted.number, state=wanted.state, reason=wanted.reason)

    def _keep(self, view: View, current: Generation) -> None:
        """Give the generation's sign of life, and let newcomers join when it is time."""
        if current.state != FINISHED and self._clock() >= self._beat_due:
            self._beat_due = self._clock() + self._lease_seconds / 3
            if not self._ledger.write(replace(current, beat=current.beat + 1)):
                self._look_due = 0.0
        if current.state == RUNNING and self._held is not None and self._voice.join is None:
            come = joining(view)
            leaving = any(view.peers[member.node].leaving for member in current.members)
            if not leaving and self._door.opens(come, self._voice.own.published_step):
                self._voice.join = PeerNotice(
                    f"join-{current.number}", DRAIN, time.time(), self._config.notice_seconds, source="join"
                )
                log("join", nodes=[member.node for member in come], after_step=self._voice.own.published_step)
                self._tell(PeerWord(current.number, self._member.node, self._voice.join))
                self._peers.push()

    def _hear(self) -> None:
        """Pass on what other members of the generation have heard."""
        held = self._held
        if held is None:
            return
        members = {member.node for member in held.members} - {self._member.node}
        for node, each in self._peers.table.all().items():
            notice = each.state.notice
            if node not in members or notice is None or each.state.generation != held.number:
                continue
            if (node, notice.key) not in self._told:
                self._told.add((node, notice.key))
                self._tell(PeerWord(held.number, node, notice))
