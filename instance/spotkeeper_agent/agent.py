"""The agent's one thread of decisions.

Events come in through a queue, time passes in turns, and nothing here waits for a network.
"""

from __future__ import annotations

import contextlib
import queue
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Union

from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.events import Confirmed, Event, SpecSeen
from spotkeeper_agent.exits import Exit
from spotkeeper_agent.hook import HookWatch, LifecycleHook
from spotkeeper_agent.keeper import Ended, Holder, Lost, Taken
from spotkeeper_agent.lease import ENDING, FINISHED
from spotkeeper_agent.logs import log
from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Book, Moment, Notice, Word
from spotkeeper_agent.reporter import Reporter
from spotkeeper_agent.runner import JobExited, Runner
from spotkeeper_ledger import DRAIN, INTERRUPTION, SCALE_IN, FleetSpec, Generation, Progress, run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice

SHUTDOWN_SECONDS = 30.0
"""How long a machine that shuts down is taken to leave the job: less than a service manager's usual patience."""
END_SECONDS = 5.0
"""How long after its deadline an agent that is told to stop may go on to free the job for others."""
TURN_SECONDS, PRESSING_TURN_SECONDS = 1.0, 0.1
"""Pause between two looks at the run directory, without and with a notice that has not been dealt with."""


class Agent:
    """Everything that one node decides.

    Args:
        config: what the node was told.
        node: who it is.
        inbox: events from all other threads.
        keeper: seeks and holds the lease.
        runner: runs the training command.
        reporter: tells the ledger.
        hook_watch: keeps and completes the terminate hook.
        open_hook: returns the hook of the group that the spec says this node is in.
    """

    def __init__(
        self,
        config: AgentConfig,
        node: Node,
        inbox: queue.SimpleQueue[Event],
        *,
        keeper: Holder,
        runner: Runner,
        reporter: Reporter,
        hook_watch: HookWatch,
        open_hook: Callable[[FleetSpec], LifecycleHook],
    ) -> None:
        self._config, self._node, self._inbox = config, node, inbox
        self._keeper, self._runner, self._reporter = keeper, runner, reporter
        self._hook_watch, self._open_hook = hook_watch, open_hook
        self._folder = Path(config.run_dir)
        seconds = {INTERRUPTION: config.notice_seconds, SCALE_IN: config.hook_seconds, DRAIN: config.hook_seconds}
        self._book = Book(node.name, seconds, config.rebalance_expiry_seconds)
        self._confirmed: Optional[Confirmed] = None
        self._cut_short = False
        """Whether the job had to be stopped before it confirmed anything."""
        self._progress: Optional[Progress] = None
        """Of the generation that this node holds, or has just ended."""
        self._is_first = False
        """Whether rank 0 of that generation runs here."""
        self._holds = False
        self._ending = False
        self._over = False
        self._admitted = False
        """Whether this node may take part in the fleet."""
        self._hook: Optional[LifecycleHook] = None
        self._in_hook = False
        self._shutdown = False
        self._report = reporter.blank_report()

    def run(self) -> None:
        """Work until the agent is told to stop, and has left nothing behind that runs."""
        while not self._is_done():
            self._step(PRESSING_TURN_SECONDS if self._is_pressed() else TURN_SECONDS)

    def _step(self, seconds: float) -> None:
        try:
            with contextlib.suppress(queue.Empty):
                self.handle(self._inbox.get(timeout=seconds))
            self.turn(Moment.now())
        except OSError as error:  # a run directory that is full or gone: what can be done without it is still done
            log("run-directory-failing", error=str(error))

    def handle(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Word):
            self._hear(event, Moment.now())
        elif isinstance(event, SpecSeen):
            self._admitted, self._hook = True, self._open_hook(event.spec) if event.spec else None
        elif isinstance(event, Taken):
            self._take(event.generation)
        elif isinstance(event, (Lost, Ended)):
            self._let_go(event)
        elif isinstance(event, JobExited):
            self._judge(event)
        else:
            self._shutdown = True
            now = Moment.now()
            seconds = min(SHUTDOWN_SECONDS, self._config.notice_seconds)
            self._hear(Word(INTERRUPTION, "shutdown", now.wall, now.wall + seconds), now)

    def turn(self, now: Moment) -> None:
        """Do what the present asks for."""
        self._expire(now)
        notice = self._notice
        self._runner.turn(notice, now)
        if notice is not None:
            self._confirm(notice, now)
        if notice is not None and notice.leaving:
            self._leave(notice, now)
        else:
            self._runner.start_again(now)
        self._consult()
        self._tell()
        if notice is not None and notice.leaving and self._in_hook and self._hook is not None:
            gone = not self._holds and self._runner.idle
            self._hook_watch.turn(self._hook, notice, saved=self._confirmed is not None, gone=gone, now=now)

    def status(self) -> Dict[str, Any]:
        """What the agent knows and does, for ``spotkeeper-agent status``."""
        notice = self._book.notice
        return {
            "node": self._node.name,
            "fleet": self._config.fleet,
            "zone": self._node.zone,
            "life_cycle": "on-demand" if self._node.on_demand else "spot",
            "role": self._role(),
            "generation": self._progress.generation if self._progress and self._holds else None,
            "pid": self._runner.pid,
            "crashes": self._runner.crashes,
            **self._reporter.goodput(),
            "notice": notice.kind if notice else None,
            "deadline": notice.deadline.wall if notice and notice.deadline else None,
            "drill": notice.drill if notice else None,
            "confirmed_step": self._confirmed.step if self._confirmed else None,
            "confirmed_at": self._confirmed.at if self._confirmed else None,
        }

    def _role(self) -> str:
        if self._over:
            return "finished"
        if self._book.notice is not None and self._book.notice.leaving:
            return "leaving"
        if self._holds:
            return "holder"
        return "spare" if self._admitted else "waiting for the fleet's spec"

    def _may_seek(self) -> bool:
        leaving = self._book.notice is not None and self._book.notice.leaving
        free = not (self._holds or self._runner.running or self._over)
        return self._admitted and free and not leaving

    def _consult(self) -> None:
        self._keeper.allow(self._may_seek())

    @property
    def _notice(self) -> Optional[Notice]:
        """What the job has to know: the notice of this node."""
        return self._book.notice

    def _is_pressed(self) -> bool:
        notice = self._notice
        return notice is not None and (self._confirmed is None or (notice.leaving and self._runner.running))

    def _is_done(self) -> bool:
        if not self._shutdown or self._runner.running:
            return False
        deadline = self._book.notice.deadline if self._book.notice else None
        free = not (self._holds or self._keeper.seeking) and self._inbox.empty()  # the job may just have been taken
        return free or deadline is None or Moment.now().boot >= deadline.boot + END_SECONDS

    def _hear(self, word: Word, now: Moment) -> None:
        self._in_hook = self._in_hook or word.in_hook
        told, before = self._notice, self._book.notice
        self._book = self._book.hear(word, now, saved=self._confirmed is not None and told is before)
        notice = self._book.notice
        if notice is None or notice is before:
            return
        log("notice", kind=notice.kind, source=word.source, deadline=_wall(notice.deadline), drill=notice.drill or None)
        # An agent that is restarted is no node that goes: nothing is to be bought for it. Nor is anything for a save,
        # and who has asked for it would take the echo for another wish.
        if word.source != "shutdown" and not notice.asks_for_a_save:
            self._reporter.notice(notice)
        self._announce(told)

    def _expire(self, now: Moment) -> None:
        told, before = self._notice, self._book
        self._book = before.expire(now)
        if self._book is not before and before.notice is not None:
            log("notice-over", kind=before.notice.kind, drill=before.notice.drill or None)
            self._announce(told)

    def _announce(self, told: Optional[Notice]) -> None:
        """Let the job know what stands now, where that is not what it has been told."""
        notice = self._notice
        if notice is told:
            return
        if notice is None:
            run_dir.remove(self._folder, LocalNotice)
        if notice is None or not _is_same(told, notice):
            self._confirmed, self._cut_short = None, False
            run_dir.remove(self._folder, Confirmation)
        if notice is not None:
            run_dir.write(self._folder, notice.as_file(self._node.boot_id))
            if not _is_same(told, notice):
                self._runner.tell(notice)

    def _confirm(self, notice: Notice, now: Moment) -> None:
        if self._confirmed is not None:
            return
        found = run_dir.read(self._folder, Confirmation)
        if found is not None and found.notice_id == notice.notice_id:
            self._confirmed = Confirmed(found.step, found.at)
        elif self._runner.idle and not self._cut_short:
            self._confirmed = Confirmed(None, now.wall)
        else:
            return
        log("confirmed", notice_id=notice.notice_id, step=self._confirmed.step)

    def _leave(self, notice: Notice, now: Moment) -> None:
        self._runner.cancel()
        confirmed = self._confirmed is not None
        if self._runner.running and self._runner.stop_in_time(notice, confirmed=confirmed, now=now):
            self._cut_short = not confirmed
        if self._holds and self._runner.idle:
            self._end(ENDING, "notice")

    def _take(self, generation: Generation) -> None:
        number = generation.number
        log("lease-taken", generation=number)
        self._holds, self._ending = True, False
        self._is_first = generation.members[0].node == self._node.name
        self._progress = self._reporter.blank_progress(number, len(generation.members))
        self._report = replace(self._report, exit_code=None, exit_reason="")
        if self._notice is None or not self._notice.leaving:
            self._runner.start(number, self._place(generation))

    def _place(self, _generation: Generation) -> Mapping[str, str]:
        """What the job is told about its generation, its number apart."""
        return {}

    def _let_go(self, event: Union[Lost, Ended]) -> None:
        lost = isinstance(event, Lost)
        if lost:
            self._runner.drop()
            self._over = False  # what ended here was not the job's to say any more
        log("lease-lost" if lost else "lease-ended", generation=event.number)
        self._holds, self._ending = False, False

    def _judge(self, event: JobExited) -> None:
        leaving = self._notice is not None and self._notice.leaving
        judged = self._runner.judge_exit(event.code, leaving=leaving)
        self._report = replace(self._report, exit_code=event.code, exit_reason=judged.value)
        if judged in (Exit.FINISHED, Exit.FAILED):
            self._over = True
            self._progress = replace(
                self._progress or self._reporter.blank_progress(event.number), state=judged.value, exit_code=event.code
            )
            self._end(FINISHED, judged.value)
        elif judged is Exit.FENCED:
            self._end(ENDING, "crash")

    def _end(self, state: str, reason: str) -> None:
        if not self._ending:
            self._ending = True
            self._keeper.allow(allowed=False)
            self._keeper.end(state, reason)

    def _tell(self) -> None:
        notice = self._book.notice
        held = self._progress.generation if self._progress and self._holds else None
        self._report = replace(
            self._report,
            generation=held,
            notice_id=notice.notice_id if notice else "",
            confirmed_step=self._confirmed.step if self._confirmed else None,
            confirmed_at=self._confirmed.at if self._confirmed else None,
            restarts=self._runner.crashes,
            stacks=self._runner.stacks,
        )
        self._reporter.output(self._runner.last_words, self._report)
        if self._admitted:
            self._reporter.report(self._report)
        # The end is told only once the generation says so.
        if self._progress is not None and self._is_first and self._holds != self._over:
            self._reporter.progress(self._progress, self._runner.account)


def _is_same(told: Optional[Notice], notice: Notice) -> bool:
    """Whether the job has been told of the notice before: of each save that is asked for it is told anew."""
    return told is not None and (told.notice_id, told.heard) == (notice.notice_id, notice.heard)


def _wall(moment: Optional[Moment]) -> Optional[float]:
    return moment.wall if moment else None
