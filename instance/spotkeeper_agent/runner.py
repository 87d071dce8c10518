"""Runs the training command: starts it, starts it again after a crash, stops it in order before the deadline."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Mapping, Optional

from spotkeeper_agent import goodput
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.council import Council, LocalRanks
from spotkeeper_agent.exits import Exit, judge, restart_pause
from spotkeeper_agent.goodput import Account
from spotkeeper_agent.hangs import HangWatch, summary
from spotkeeper_agent.job import Job
from spotkeeper_agent.logs import log
from spotkeeper_agent.notice_command import NoticeCommand
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.processes import signal_number
from spotkeeper_agent.tail import Tail
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalProgress, boot_time

GRACE_SECONDS = 2.0
"""How long a job that has confirmed its last checkpoint may take to exit before it is told to."""
MOST_CHARACTERS = 128 * 1024
"""How much of a command's last words is kept, stacks among them."""
_CANNOT_START = 127
JOB_PID = "SPOTKEEPER_JOB_PID"
"""Told to the notice's command: process id of the training command."""


@dataclass(frozen=True)
class JobExited:
    """A training command has ended, and so has everything that it had started."""

    number: int
    """The generation that it ran for."""
    code: int


class Runner:
    """The one training command of this node, over all its starts.

    Args:
        config: command, checkpoint URI, restart budget.
        node: this node's name.
        tell: called with each exit, in another thread.
        council: where the job's ranks meet.
    """

    def __init__(
        self, config: AgentConfig, node: str, tell: Callable[[JobExited], None], council: Optional[Council] = None
    ) -> None:
        self._config, self._node, self._tell = config, node, tell
        self._folder = Path(config.run_dir)
        self._council = council or Council(LocalRanks(self._folder))
        self._job: Optional[Job] = None
        self._number = 0
        self._place: Mapping[str, str] = {}
        self._starts = 0
        self._restart_at: Optional[float] = None
        self._confirmed_at: Optional[float] = None
        self._lost = False
        self._told_to_stop = False
        self._signalled = False
        self._notice_command: Optional[NoticeCommand] = None
        self._hangs = HangWatch(self._folder, config.hang_seconds)
        self._account: Optional[Account] = None
        self._accounted_at = 0.0
        self._output: Optional[Tail] = None
        self.crashes = 0
        """How often the command has crashed on this node."""

    @property
    def running(self) -> bool:
        """Whether a command runs."""
        return self._job is not None

    @property
    def idle(self) -> bool:
        """Whether nothing runs that this node would have to wait for before another one takes over."""
        saving = self._config.notice_command_confirms and self._notice_command is not None
        return self._job is None and not (saving and self._notice_command and self._notice_command.running)

    @property
    def pid(self) -> Optional[int]:
        """Process id of the running command."""
        return self._job.pid if self._job else None

    def start(self, number: int, place: Optional[Mapping[str, str]] = None) -> None:
        """Start the command for generation ``number``; ``place`` is told to it on top, at later starts too."""
        self._place = self._place if place is None else place
        if self._account is None or number != self._number:
            self._account, self._accounted_at = Account(time.time()), boot_time()
        self._number, self._restart_at, self._confirmed_at = number, None, None
        self._hangs.start()
        self._lost = self._told_to_stop = self._signalled = False
        run_dir.remove(self._folder, Confirmation)
        run_dir.remove(self._folder, LocalProgress)
        self._council.begin(number, self._starts)
        try:
            self._job = Job(self._config.command, self._env(number), self._folder, self._exited)
            self._output = self._job.output
        except OSError as error:
            log("job-cannot-start", error=str(error))
            self._tell(JobExited(number, _CANNOT_START))
        self._starts += 1
        log("job-start", generation=number, attempt=self._starts, pid=self.pid)

    def start_again(self, now: Moment) -> None:
        """Start a crashed command again once its pause is over."""
        if self._restart_at is not None and now.boot >= self._restart_at:
            self.start(self._number)

    def tell(self, notice: Notice) -> None:
        """Tell a running command of a new notice, as the user wants it: by a signal, by a command, by neither.

        The signal is for leaving only: a program that ends on it could not tell a mere recommendation from that.
        """
        if self._job is None:
            return
        if self._config.notice_signal and notice.leaving:
            self._signalled = True
            told = self._job.tell(signal_number(self._config.notice_signal))
            log("notice-signal", signal=self._config.notice_signal, processes=told)
        if self._config.notice_command:
            if self._notice_command is not None:
                self._notice_command.kill()  # that of a recommendation, by now overtaken
            env = {**self._env(self._number), JOB_PID: str(self._job.pid)}
            seconds = self._config.notice_command_seconds
            self._notice_command = NoticeCommand(self._config.notice_command, env, notice, seconds, self._told)

    def turn(self, notice: Optional[Notice], now: Moment) -> None:
        """Do what is due besides the command itself."""
        self._council.want(notice)
        if self._notice_command is not None:
            self._notice_command.turn(notice, now)
        local = run_dir.read(self._folder, LocalProgress) if self._job is not None else None
        if local is not None and local.generation not in (None, self._number):
            local = None
        self._keep_account(local, now)
        if self._job is not None:
            found = self._hangs.found
            self._hangs.turn(self._job, local, notice, now)
            if self._hangs.found and not found and self._account is not None:
                self._account = goodput.hung(self._account, self._hangs.quiet_seconds)

    @property
    def account(self) -> Optional[Account]:
        """Where the time of the present or last generation on this node has gone."""
        return self._account

    @property
    def stacks(self) -> str:
        """Where the ranks were when the command was last found hanging."""
        return summary(self._hangs.stacks)

    def last_words(self) -> str:
        """Return the last lines that the command has said, and all stacks if it was found hanging."""
        if self._output is None:
            return ""
        head = f"# {self._node}, generation {self._number}, start {self._starts}"
        stacks = [f"# stacks of {name}\n{text}" for name, text in self._hangs.stacks.items()]
        return "\n".join([head, *self._output.lines(), *stacks])[-MOST_CHARACTERS:] + "\n"

    def cancel(self) -> None:
        """Do not start a crashed command again."""
        self._restart_at = None

    def drop(self) -> None:
        """Kill the command at once: another node has the job."""
        self.cancel()
        self._lost = True
        if self._notice_command is not None:
            self._notice_command.kill()  # what it saves would be in the way of the other node's
        if self._job is not None:
            self._job.kill()

    def stop_in_time(self, notice: Notice, *, confirmed: bool, now: Moment) -> bool:
        """Stop a command that has no time left, or has saved all it can and does not exit; return whether that was."""
        if self._job is None:
            return self._told_to_stop
        if confirmed and self._confirmed_at is None:
            self._confirmed_at = now.boot
        term_at, kill_at = notice.stop_times()
        if now.boot >= kill_at:
            self._told_to_stop = True
            self._job.kill()
        elif not self._told_to_stop and (now.boot >= term_at or self._has_dawdled(now)):
            self._told_to_stop = True
            log("job-terminate", confirmed=confirmed)
            self._job.terminate()
        return self._told_to_stop

    def judge_exit(self, code: int, *, leaving: bool) -> Exit:
        """Take note that the command has ended; return why, and plan the next start where there is to be one."""
        self._job = None
        self._council.end()
        judged = judge(
            code,
            lost=self._lost,
            leaving=leaving,
            told_to_stop=self._told_to_stop or self._signalled,
            crashes=self.crashes,
            max_restarts=self._config.max_restarts,
            hung=self._hangs.found,
        )
        if judged in (Exit.CRASH, Exit.HANG, Exit.FENCED):
            self.crashes += 1
        if judged in (Exit.CRASH, Exit.HANG):
            self._restart_at = boot_time() + restart_pause(self.crashes)
        log("job-exit", code=code, reason=judged.value, crashes=self.crashes)
        return judged

    def _keep_account(self, local: Optional[LocalProgress], now: Moment) -> None:
        restarts = self._restart_at is not None
        if self._account is not None and (self._job is not None or restarts):
            self._account = goodput.advance(
                self._account,
                max(0.0, now.boot - self._accounted_at),
                step=local.step if local else None,
                saving_seconds=(local.saving_seconds or 0.0) if local else 0.0,
            )
        self._accounted_at = now.boot

    def _has_dawdled(self, now: Moment) -> bool:
        return self._confirmed_at is not None and now.boot >= self._confirmed_at + GRACE_SECONDS

    def _told(self, notice: Notice) -> None:
        """Take the success of a notice's command for the confirmation of a checkpoint, where the user says so."""
        if self._config.notice_command_confirms:
            local = run_dir.read(self._folder, LocalProgress)
            step = None if local is None else local.published_step
            run_dir.write(self._folder, Confirmation(step, time.time(), notice.notice_id, self._number))

    def _exited(self, code: int) -> None:
        self._tell(JobExited(self._number, code))

    def _env(self, number: int) -> Dict[str, str]:
        env = {
            **os.environ,
            run_dir.RUN_DIR: str(self._folder),
            run_dir.FLEET: self._config.fleet,
            run_dir.NODE: self._node,
            run_dir.GENERATION: str(number),
            run_dir.CHECKPOINT_URI: self._config.checkpoint_uri,
            run_dir.RUN_ID: self._config.incarnation,
            run_dir.ATTEMPT: str(self._starts),
            run_dir.SAVE_GAP_SECONDS: f"{self._config.save_gap_seconds:g}",
            **self._place,
        }
        if self._config.region:
            env.setdefault("AWS_REGION", self._config.region)
        return env
