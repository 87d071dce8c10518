"""The training command: a child in a process group of its own, so that all that it starts can be stopped with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from spotkeeper_ledger import run_dir

PID_FILE = "job.pid"


class Job:
    """A running command.

    Args:
        command: run by ``/bin/sh -c`` with the agent's standard output and error.
        env: its whole environment.
        folder: the run directory; the job's process id is kept there for an agent that is restarted.
        on_exit: called once with its exit code (negative: the signal that ended it), in a thread of the job,
            after every process of its group is gone.

    Raises ``OSError`` if it cannot be started.
    """

    def __init__(self, command: str, env: Mapping[str, str], folder: Path, on_exit: Callable[[int], None]) -> None:
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._over = False
        self._process = subprocess.Popen(  # noqa: S603 - running this command is what the agent is for
            ["/bin/sh", "-c", command], env=dict(env), stdin=subprocess.DEVNULL, **_own_group()
        )
        self.pid = self._process.pid
        self._pid_file = folder / PID_FILE
        _remember(self._pid_file, self.pid)
        threading.Thread(target=self._wait, name="job", daemon=True).start()

    def terminate(self) -> None:
        """Ask the whole group to stop (``SIGTERM``)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the whole group (``SIGKILL``)."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._over:
                _signal_group(self.pid, number)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._over = True
            _signal_group(self.pid, signal.SIGKILL)  # still unreaped, so the number cannot mean another group yet
        code = self._process.wait()
        self._pid_file.unlink(missing_ok=True)
        self._on_exit(code)


def kill_leftover(folder: Path) -> Optional[int]:
    """Kill the job of an agent that died on this node without stopping it; return its process id if there was one."""
    path = folder / PID_FILE
    try:
        pid_text, started, boot_id = path.read_text().split()
        pid = int(pid_text)
    except (OSError, ValueError):
        return None
    path.unlink(missing_ok=True)
    if boot_id != (run_dir.boot_id() or "-") or _started(pid) != started:
        return None
    _signal_group(pid, signal.SIGKILL)
    return pid


def _own_group() -> Dict[str, Any]:
    """Own group, but not own session: what stops the agent's session (a container, a test) stops the job too."""
    return {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


def _remember(path: Path, pid: int) -> None:
    with contextlib.suppress(OSError):  # without the file only a restarted agent knows less
        path.write_text(f"{pid} {_started(pid)} {run_dir.boot_id() or '-'}\n")


def _started(pid: int) -> str:
    """When a process was started, in clock ticks since boot: with its number, what names it for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "-"
    return stat.rpartition(")")[2].split()[19]


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it
