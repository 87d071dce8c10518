"""What the end of a training command means: a pure decision."""

from __future__ import annotations

import enum

from spotkeeper_ledger.run_dir import EXIT_FENCED


class Exit(enum.Enum):
    """Why the command ended. The value is the ``exit_reason`` of the node's report."""

    FINISHED = "finished"
    """Its work is done (exit 0): it is never started again, on any node."""
    NOTICE = "notice"
    """It stopped because this node goes: another node takes over."""
    LOST = "lost"
    """It was killed because another node has the job."""
    FENCED = "fenced"
    """It found a later generation at the checkpoints (exit 76): not restarted here under the same number."""
    CRASH = "crash"
    """It failed and is started again."""
    HANG = "hang"
    """It made no step any more, was killed, and is started again."""
    FAILED = "failed"
    """It failed once more than the budget allows: the job is over."""


def judge(
    code: int, *, lost: bool, leaving: bool, told_to_stop: bool, crashes: int, max_restarts: int, hung: bool = False
) -> Exit:
    """Return why a command ended.

    Args:
        code: its exit code; negative for the signal that ended it.
        lost: whether another node has the job by now.
        leaving: whether this node goes.
        told_to_stop: whether the agent had sent it a signal: an exit code of 0 may then be a graceful stop, and taking
            unfinished work for finished is the one mistake that nothing later repairs.
        crashes: how often the command has crashed on this node before.
        max_restarts: how many crashes are answered with a restart.
        hung: whether it was killed because it hung, which counts as a crash.
    """
    if lost:
        return Exit.LOST
    if code == 0 and not told_to_stop:
        return Exit.FINISHED
    if leaving:
        return Exit.NOTICE
    if crashes >= max_restarts:
        return Exit.FAILED
    if code == EXIT_FENCED:
        return Exit.FENCED
    return Exit.HANG if hung else Exit.CRASH


def restart_pause(crashes: int) -> float:
    """Return the seconds between the ``crashes``-th crash and the next start: 1, 2, 4 … at most 60."""
    return min(60.0, 2.0 ** (max(crashes, 1) - 1))
