"""Finding and ending processes by what they were started with, however they have moved since.

A node's processes start sessions and process groups of their own, as training launchers do, so neither finds all of
them. Every one inherits the node's environment, though, and Linux shows a process's environment in ``/proc``.

This file is also a program: ``python processes.py NAME=VALUE`` waits for the end of its standard input, that is, for
the end of the process that started it, and then ends every process with that entry in its environment. So nothing
outlives the local cloud, even one that was killed.

Only the standard library is used, because the program runs without any other.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    session: int
    state: str
    """Linux's letter for it."""

    @property
    def zombie(self) -> bool:
        return self.state in "ZX"


def find(entry: str) -> list[int]:
    """Return the ids of all live processes with ``entry`` (``NAME=value``) in their environment.

    What they have started is found as well, though it may have dropped the entry, as long as they are still there.
    """
    table = {process.pid: process for process in _table() if not process.zombie}
    found = {pid for pid in table if pid != os.getpid() and _has_entry(pid, entry)}
    sessions = {table[pid].session for pid in found if table[pid].session in found}
    while True:
        more = {p.pid for p in table.values() if p.pid not in found and (p.parent in found or p.session in sessions)}
        if not more:
            return sorted(found)
        found |= more


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(listed: Callable[[], Collection[int]]) -> None:
    """Stop processes (``SIGSTOP``) and those that they were just starting; all stand still when this returns.

    Args:
        listed: returns the processes that there are.

    Raises:
        RuntimeError: Some still run after ten seconds, which only a kernel that hangs lets them.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    stopped: set[int] = set()
    while (running := set(listed()) - stopped) or _are_running(stopped):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {sorted(running or stopped)} cannot be stopped")
        send(running, signal.SIGSTOP)
        stopped |= running
        time.sleep(0.001)  # a signal is delivered when its process runs the next time


def _are_running(pids: Collection[int]) -> bool:
    return any(process.state not in "TtZX" for process in _table() if process.pid in pids)


def end(entry: str, *, known: Collection[int] = (), waited_for: Collection[int] = ()) -> None:
    """Kill every process that :func:`find` finds, until there is none, and reap those that are own children.

    Args:
        entry: as for :func:`find`.
        known: processes of theirs found earlier. They, and what is left of the sessions that they led, are reaped too.
        waited_for: own children that somebody else waits for, who is left to reap them.

    Raises:
        RuntimeError: Some are still there after ten seconds, which only a kernel that hangs does.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    seen = set(known)
    while pids := find(entry):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {pids} cannot be killed")
        send(pids, signal.SIGKILL)
        seen.update(pids)
        time.sleep(0.005)  # the kernel needs a moment to take them down
    for process in _table():
        theirs = process.pid in seen or process.session in seen
        if theirs and process.zombie and process.parent == os.getpid() and process.pid not in waited_for:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def adopt_orphans(adopt: bool) -> None:
    """Make this process the parent of its descendants' orphans, or no longer, so that it can reap them.

    In a container there may be nobody else who does.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def start_guard(entry: str) -> subprocess.Popen[bytes]:
    """Start this file as a program, which ends the processes with ``entry`` once this process is gone.

    Closing its standard input makes it do that at once.
    """
    command = [sys.executable, "-I", "-S", __file__, entry]
    return subprocess.Popen(  # noqa: S603 - this very file
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )


def _table() -> list[_Process]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # The name, in parentheses, may hold anything; after it come state, parent, group and session.
                state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                found.append(_Process(int(folder.name), int(parent), int(session), state))
    return found


def _has_entry(pid: int, entry: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return entry.encode() in environment.split(b"\0")


def main(arguments: Sequence[str]) -> int:
    """Wait for the end of standard input, then end the processes with the given entry. Returns the exit code."""
    if len(arguments) != 1 or "=" not in arguments[0]:
        sys.stderr.write(f"usage: processes.py NAME=VALUE, was given {list(arguments)}\n")
        return 2
    while sys.stdin.buffer.read(4096):
        continue
    end(arguments[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
