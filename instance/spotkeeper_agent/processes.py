"""All processes that a command has started, also those that have left its group.

``torchrun`` puts its workers into sessions of their own, so a signal to the command's group misses them. What a command
is started with is found again by a variable in its environment, which whatever it starts inherits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Set

MARK = "SPOTKEEPER_JOB"
"""Environment variable with a random id for each start of a command."""
_ROUNDS, _PAUSE_SECONDS = 50, 0.01


def marked(mark: str) -> Set[int]:
    """Return the ids of all live processes that were started under ``mark`` (and may be read by this user)."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - of several hundred names only the digits are wanted
        if name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                if wanted in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.add(int(name))
    return found


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, which would end it otherwise."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def tell(mark: str, number: int, *, forks: bool) -> int:
    """Send a signal to those processes of a command that catch it; returns how many.

    A shell between the agent and the trainer does not catch it, and is not to die of it.

    Args:
        mark: of the command.
        number: the signal.
        forks: whether processes are told whose parent is, too. What a trainer has forked, to load data for instance,
            has its handlers without having asked for them.
    """
    found = {pid for pid in marked(mark) if catches(pid, number)}
    if not forks:
        found = {pid for pid in found if _parent(pid) not in found}
    return len([pid for pid in found if _send(pid, number)])


def end(mark: str) -> None:
    """Kill all that is left of a command, and what that starts meanwhile."""
    for _ in range(_ROUNDS):
        left = [pid for pid in marked(mark) if _send(pid, signal.SIGKILL)]
        if not left:
            return
        time.sleep(_PAUSE_SECONDS)  # they are gone from /proc once their parents, or init, have taken note


def signal_number(name: str) -> int:
    """Return the number of a signal that a program can catch: ``USR1`` or ``SIGUSR1``.

    Raises ``ValueError`` for any other name.
    """
    full = name if name.startswith("SIG") else f"SIG{name}"
    number = getattr(signal, full, None)
    if not isinstance(number, signal.Signals) or number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
        raise ValueError(f"was {name!r}, expected a signal that a program can catch, such as USR1")
    return int(number)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
