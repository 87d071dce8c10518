"""The training command: a child in a process group of its own, so that all that it starts can be stopped with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from spotkeeper_agent import processes
from spotkeeper_agent.logs import pass_on
from spotkeeper_agent.tail import Tail, catch_output
from spotkeeper_ledger import run_dir

PID_FILE = "job.pid"
_LAST_WORDS_SECONDS = 2.0
"""How long the output of a job that has ended is waited for, should something still hold it."""


class Job:
    """A running command.

    Args:
        command: run by ``/bin/sh -c``; what it says goes to the agent's standard output.
        env: its whole environment, but for the mark by which all that it starts is found again.
        folder: the run directory; the job's process id is kept there for an agent that is restarted.
        on_exit: called once with its exit code (negative: the signal that ended it), in a thread of the job,
            after every process that it has started is gone.

    Raises ``OSError`` if it cannot be started.
    """

    def __init__(self, command: str, env: Mapping[str, str], folder: Path, on_exit: Callable[[int], None]) -> None:
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._over = False
        self.output = Tail()
        """The end of what it has said."""
        self.mark = uuid.uuid4().hex
        """Tells its processes from all others; see :mod:`spotkeeper_agent.processes`."""
        output, self._reader = catch_output(self.output, pass_on)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - running this command is what the agent is for
                ["/bin/sh", "-c", command],
                env={**env, processes.MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **own_group(),
            )
        finally:
            os.close(output)
        self.pid = self._process.pid
        self._pid_file = folder / PID_FILE
        _remember(self._pid_file, self.pid, self.mark)
        threading.Thread(target=self._wait, name="job", daemon=True).start()

    def terminate(self) -> None:
        """Ask the whole group to stop (``SIGTERM``)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the whole group (``SIGKILL``); what has left it ends with it."""
        self._signal(signal.SIGKILL)

    def tell(self, number: int, *, forks: bool = False) -> int:
        """Send a signal to those of its processes that catch it, with or without what they forked; returns how many."""
        return processes.tell(self.mark, number, forks=forks)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._over:
                signal_group(self.pid, number)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._over = True
            signal_group(self.pid, signal.SIGKILL)  # still unreaped, so the number cannot mean another group yet
        processes.end(self.mark)
        code = self._process.wait()
        self._reader.join(_LAST_WORDS_SECONDS)
        self._pid_file.unlink(missing_ok=True)
        self._on_exit(code)


def kill_leftover(folder: Path) -> Optional[int]:
    """Kill the job of an agent that died on this node without stopping it; return its process id if there was one."""
    path = folder / PID_FILE
    try:
        pid_text, started, boot_id, *mark = path.read_text().split()
        pid = int(pid_text)
    except (OSError, ValueError):
        return None
    path.unlink(missing_ok=True)
    if boot_id != (run_dir.boot_id() or "-"):
        return None
    runs = _started(pid) == started
    if runs:
        signal_group(pid, signal.SIGKILL)
    for each in mark:  # also where the command itself has ended and what it started has not
        processes.end(each)
    return pid if runs else None


def own_group() -> Dict[str, Any]:
    """Return what ``Popen`` needs for an own group.

    Not for an own session: what stops the agent's (a container, a test) is to stop the job too.
    """
    return {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


def _remember(path: Path, pid: int, mark: str) -> None:
    with contextlib.suppress(OSError):  # without the file only a restarted agent knows less
        path.write_text(f"{pid} {_started(pid)} {run_dir.boot_id() or '-'} {mark}\n")


def _started(pid: int) -> str:
    """When a process was started, in clock ticks since boot: with its number, what names it for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "-"
    return stat.rpartition(")")[2].split()[19]


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process group; one in which nobody is left is no error."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it
