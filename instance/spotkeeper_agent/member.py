"""The agent of a node that runs the job together with others.

What it adds to an agent that has the job to itself: the notices of the others are its job's notices too, and how the
command ended here is only part of how it ended.
"""

from __future__ import annotations

import hashlib
import queue
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Union

from spotkeeper_agent.agent import Agent
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.events import Confirmed, Event
from spotkeeper_agent.exits import Exit
from spotkeeper_agent.generations import CRASHED, DONE, NONE, RUNS, STOPPED
from spotkeeper_agent.hook import HookWatch, LifecycleHook
from spotkeeper_agent.keeper import Ended, Lost
from spotkeeper_agent.logs import log
from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Book, Moment, Notice, Word
from spotkeeper_agent.peer_messages import PeerNotice
from spotkeeper_agent.reporter import Reporter
from spotkeeper_agent.runner import JobExited, Runner
from spotkeeper_agent.team import Team
from spotkeeper_agent.team_ranks import TeamRanks
from spotkeeper_agent.team_words import Own, PeerWord
from spotkeeper_ledger import NOTICE_KINDS, FleetSpec, Generation, run_dir
from spotkeeper_ledger.run_dir import EXIT_STOPPED_FOR_NOTICE, LocalProgress

_JOBS = {Exit.FINISHED: DONE, Exit.NOTICE: STOPPED, Exit.LOST: STOPPED}
"""What an exit says about the generation; all others are crashes."""


class MemberAgent(Agent):
    """An agent of an elastic fleet.

    Arguments as for :class:`Agent`; ``team`` stands in the keeper's place, ``ranks`` are those of all nodes.
    """

    def __init__(
        self,
        config: AgentConfig,
        node: Node,
        inbox: queue.SimpleQueue[Any],
        *,
        team: Team,
        ranks: TeamRanks,
        runner: Runner,
        reporter: Reporter,
        hook_watch: HookWatch,
        open_hook: Callable[[FleetSpec], LifecycleHook],
    ) -> None:
        super().__init__(
            config,
            node,
            inbox,
            keeper=team,
            runner=runner,
            reporter=reporter,
            hook_watch=hook_watch,
            open_hook=open_hook,
        )
        self._team, self._ranks = team, ranks
        self._number, self._job = 0, NONE
        self._others = self._new_book()
        """What the other members have heard, as a notice of the generation."""

    def handle(self, event: Union[Event, PeerWord]) -> None:
        """Take in one event."""
        if isinstance(event, PeerWord):
            self._hear_peer(event, Moment.now())
        else:
            super().handle(event)

    @property
    def _notice(self) -> Optional[Notice]:
        """What the job has to know: that this node will go, that another member will, or may."""
        own, others = self._book.notice, self._others.notice
        if own is None or (others is not None and others.leaving and not own.leaving):
            return others
        return own

    def _role(self) -> str:
        role = super()._role()
        return "member" if role == "holder" else role

    def _hear_peer(self, event: PeerWord, now: Moment) -> None:
        notice = event.notice
        if not self._holds or event.generation != self._number or notice.kind not in NOTICE_KINDS:
            return
        deadline = None if notice.seconds_left is None else now.wall + notice.seconds_left
        told, before = self._notice, self._others
        word = Word(notice.kind, notice.source, now.wall, deadline, notice.drill)
        self._others = before.hear(word, now, saved=True)  # who tells of another save has confirmed the one before it
        if self._others is not before:
            log("peer-notice", of=event.node, kind=notice.kind, source=notice.source, deadline=deadline)
            self._announce(told)

    def _expire(self, now: Moment) -> None:
        super()._expire(now)
        told = self._notice
        self._others = self._others.expire(now)
        self._announce(told)

    def _consult(self) -> None:
        notice = self._book.notice
        deadline = notice.deadline if notice else None
        local = run_dir.read(Path(self._config.run_dir), LocalProgress) if self._is_first and self._holds else None
        self._team.tell(
            Own(
                ready=self._may_seek(),
                leaving=notice is not None and notice.leaving,
                generation=self._number,
                job=self._job,
                notice=_to_peers(notice) if notice else None,
                deadline=deadline.boot if deadline else None,
                published_step=local.published_step if local else None,
            )
        )

    def _confirm(self, notice: Notice, now: Moment) -> None:
        """Take the first node's word as well: rank 0 alone confirms, and that for all.

        Where the job has left before that word came, its own ranks' is as good: they return from a save once the
        checkpoint is published.
        """
        super()._confirm(notice, now)
        if self._confirmed is not None and self._confirmed.step is not None:
            return
        found = self._ranks.confirmed
        same = found is not None and found.notice_id.rpartition(":")[2] == notice.notice_id.rpartition(":")[2]
        if found is not None and same and found.generation == self._number:
            self._confirmed = Confirmed(found.step, found.at)
        elif self._confirmed is not None and self._report.exit_code == EXIT_STOPPED_FOR_NOTICE:
            self._confirmed = Confirmed(self._ranks.saved(), self._confirmed.at)
        if self._confirmed is not None and self._confirmed.step is not None:
            log("confirmed", notice_id=notice.notice_id, step=self._confirmed.step)

    def _take(self, generation: Generation) -> None:
        self._forget_others(generation.number)
        self._number, self._job = generation.number, RUNS
        super()._take(generation)
        if not self._runner.running:
            self._job = STOPPED if self._notice is not None and self._notice.leaving else self._job

    def _place(self, generation: Generation) -> Mapping[str, str]:
        return place(generation, self._node.name)

    def _judge(self, event: JobExited) -> None:
        leaving = self._notice is not None and self._notice.leaving
        judged = self._runner.judge_exit(event.code, leaving=leaving)
        self._runner.cancel()  # the next start is the next generation's
        self._report = replace(self._report, exit_code=event.code, exit_reason=judged.value)
        if event.number == self._number:
            self._job = _JOBS.get(judged, CRASHED)

    def _let_go(self, event: Union[Lost, Ended]) -> None:
        super()._let_go(event)
        self._forget_others(event.number)
        if isinstance(event, Ended) and event.state in (Exit.FINISHED.value, Exit.FAILED.value):
            self._over = True
            self._runner.drop()
            self._progress = replace(
                self._progress or self._reporter.blank_progress(event.number),
                state=event.state,
                exit_code=self._report.exit_code,
            )

    def _end(self, state: str, reason: str) -> None:
        """Nothing ends by this node's word alone: the others hear how it is, and one of them writes what follows."""

    def _forget_others(self, number: int) -> None:
        told = self._notice
        self._others = self._new_book(number)
        self._announce(told)

    def _new_book(self, number: int = 0) -> Book:
        return replace(self._book, node=f"generation-{number}", notice=None, forgotten={})


def place(generation: Generation, node: str) -> Mapping[str, str]:
    """Return what the command is told about its generation, in torchrun's words and in ours.

    The rendezvous has an id of its own: what signs the agents' messages does not go over the job's connections.
    """
    rank = next(n for n, member in enumerate(generation.members) if member.node == node)
    first = generation.members[0]
    rendezvous = hashlib.sha256(f"job:{generation.rendezvous_id}".encode()).hexdigest()[:16]
    return {
        "PET_NNODES": str(len(generation.members)),
        "PET_NODE_RANK": str(rank),
        "PET_NPROC_PER_NODE": str(generation.members[rank].processes),
        "PET_MASTER_ADDR": first.address,
        "PET_MASTER_PORT": str(generation.port),
        "PET_RDZV_ID": rendezvous,
        run_dir.MEMBERS: ",".join(member.address for member in generation.members),
        run_dir.NODE_RANK: str(rank),
        run_dir.MASTER_ADDRESS: first.address,
        run_dir.MASTER_PORT: str(generation.port),
    }


def _to_peers(notice: Notice) -> PeerNotice:
    deadline = f"{notice.deadline.wall:.1f}" if notice.deadline else ""
    which = f"save {notice.heard.boot}" if notice.asks_for_a_save else notice.drill
    return PeerNotice(
        key=f"{notice.notice_id}:{notice.kind}:{deadline}:{which}",
        kind=notice.kind,
        at=notice.heard.wall,
        drill=notice.drill,
    )
