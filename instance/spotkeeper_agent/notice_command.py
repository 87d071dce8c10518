"""The user's own command for a notice: run once for each, with an end set to it, whatever it does.

It is not the lifecycle hook (``hook.py``): that is the cloud's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import uuid
from typing import Callable, Dict, Mapping, Optional

from spotkeeper_agent import processes
from spotkeeper_agent.job import own_group, signal_group
from spotkeeper_agent.logs import log
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.tail import Tail, catch_output

GRACE_SECONDS = 2.0
"""From ``SIGTERM`` to ``SIGKILL`` for a command that has run out of time."""
SHOWN_LINES = 20
"""How many of its last lines are put into the agent's log."""


class NoticeCommand:
    """A running command for one notice.

    Args:
        command: run by ``/bin/sh -c``, in a process group of its own.
        env: its environment, without what the notice adds.
        notice: what it is told of.
        most_seconds: how long it may take at most; never longer than until the job is told to stop.
        succeeded: called in a thread of the command once it has ended with exit code 0 within its time.
    """

    def __init__(
        self,
        command: str,
        env: Mapping[str, str],
        notice: Notice,
        most_seconds: float,
        succeeded: Callable[[Notice], None],
    ) -> None:
        self._notice, self._most_seconds, self._succeeded = notice, most_seconds, succeeded
        self._began = Moment.now()
        self._tail = Tail()
        self._lock = threading.Lock()
        self._over = False
        self._stopped_at: Optional[float] = None
        self._mark = uuid.uuid4().hex
        told = {**env, **environment(notice, self.seconds_left(notice, self._began)), processes.MARK: self._mark}
        output, self._reader = catch_output(self._tail)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - running this command is what was asked for
                ["/bin/sh", "-c", command],
                env=told,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **own_group(),
            )
        except OSError as error:
            self._over = True
            log("notice-command-cannot-start", error=str(error))
            return
        finally:
            os.close(output)
        log("notice-command", notice_id=notice.notice_id, pid=self._process.pid)
        threading.Thread(target=self._wait, name="notice command", daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._over

    def seconds_left(self, notice: Notice, now: Moment) -> float:
        """Return how much longer it may run under what is known of the notice by now."""
        until = self._began.boot + self._most_seconds
        if notice.deadline is not None:
            until = min(until, notice.stop_times()[0])
        return until - now.boot

    def turn(self, notice: Optional[Notice], now: Moment) -> None:
        """Stop it if its time is up; ``notice`` is the present one, whose deadline may have come closer."""
        if self._over:
            return
        if self._stopped_at is None:
            if self.seconds_left(notice or self._notice, now) > 0:
                return
            self._stopped_at = now.boot
            log("notice-command-too-slow", notice_id=self._notice.notice_id)
            self._signal(signal.SIGTERM)
        elif now.boot >= self._stopped_at + GRACE_SECONDS:
            self._signal(signal.SIGKILL)
            processes.end(self._mark)

    def kill(self) -> None:
        """Stop it at once; one that has ended is no error."""
        self._stopped_at = self._stopped_at or Moment.now().boot
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._over:
                signal_group(self._process.pid, number)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            signal_group(self._process.pid, signal.SIGKILL)  # what it has left behind holds the pipe and more
            code = self._process.wait()
        processes.end(self._mark)
        self._reader.join(GRACE_SECONDS)
        log(
            "notice-command-exit",
            notice_id=self._notice.notice_id,
            code=code,
            seconds=round(Moment.now().boot - self._began.boot, 3),
            too_slow=self._stopped_at is not None or None,
            output_bytes=self._tail.bytes,
            output=self._tail.lines(SHOWN_LINES) or None,
        )
        if code == 0 and self._stopped_at is None:
            with contextlib.suppress(OSError):  # a run directory that is full: then nothing is confirmed
                self._succeeded(self._notice)
        self._over = True


def environment(notice: Notice, seconds: float) -> Dict[str, str]:
    """Return what a command is told of a notice; ``seconds`` is how long it may take."""
    return {
        "SPOTKEEPER_NOTICE_ID": notice.notice_id,
        "SPOTKEEPER_NOTICE_KIND": notice.kind,
        "SPOTKEEPER_NOTICE_LEAVING": "1" if notice.leaving else "0",
        "SPOTKEEPER_NOTICE_DEADLINE": f"{notice.deadline.wall:.3f}" if notice.deadline else "",
        "SPOTKEEPER_NOTICE_SECONDS": f"{max(0.0, seconds):.1f}",
        "SPOTKEEPER_NOTICE_DRILL": "1" if notice.drill else "0",
    }
