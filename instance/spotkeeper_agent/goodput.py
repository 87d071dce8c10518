"""How much of its time a job has spent on steps that count, and what took the rest: pure accounting.

The agent that runs the job keeps an :class:`Account` of its generation; :func:`total` adds what the generations before
it have left in ``job/progress.json``. All seconds of the account add up to the time since the job was first started.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from spotkeeper_ledger import Goodput, Progress


@dataclass(frozen=True)
class Account:
    """Where the time of one generation has gone, in seconds."""

    since: float
    """When it began, Unix seconds."""
    working: float = 0.0
    """Steps that nobody had made in this generation before."""
    saving: float = 0.0
    recomputed: float = 0.0
    """Steps that this generation had made already before a crash."""
    restart: float = 0.0
    """From a start of the command to the first step that it reports, and from a crash to the next start."""
    first: Optional[int] = None
    """The first step that this generation has reported."""
    high: Optional[int] = None
    """The furthest."""
    step: Optional[int] = None
    """The last one of the present start; ``None`` before its first report."""
    saved: float = 0.0
    """How long this start says that its steps have been held up by saving."""


def advance(account: Account, seconds: float, *, step: Optional[int], saving_seconds: float = 0.0) -> Account:
    """Return the account ``seconds`` later.

    Args:
        account: before.
        seconds: since then.
        step: the last step that the running command has reported; ``None`` if it has not, or if none runs.
        saving_seconds: how long it says that saving has held up its steps since it was started.
    """
    if step is None:
        return replace(account, restart=account.restart + seconds, step=None, saved=0.0)
    first = step if account.first is None else account.first
    high = step if account.high is None else account.high
    if account.step is None:
        return replace(account, restart=account.restart + seconds, step=step, first=first, high=max(high, step))
    saving = max(0.0, saving_seconds - account.saved)
    rest, share = seconds - saving, _redone(account.step, step, high)
    return replace(
        account,
        working=account.working + rest * (1 - share),
        recomputed=account.recomputed + rest * share,
        saving=account.saving + saving,
        saved=max(account.saved, saving_seconds),
        step=step,
        high=max(high, step),
    )


def hung(account: Account, seconds: float) -> Account:
    """Return the account of a job whose last ``seconds`` turn out to have been lost."""
    lost = min(seconds, max(0.0, account.working))
    return replace(account, working=account.working - lost, restart=account.restart + lost)


def total(account: Account, earlier: Optional[Progress]) -> Goodput:
    """Return where the time of the whole job has gone.

    Args:
        account: of the present generation.
        earlier: the last word of the generation before it; what passed since then was waiting for a node.
    """
    before = earlier.goodput if earlier is not None else None
    since, waiting, high = account.since, 0.0, account.high
    if earlier is not None:
        since = min(before.since if before else earlier.at, account.since)
        waiting = max(0.0, account.since - earlier.at)
    before = before or Goodput(since=since)
    reached = max((s for s in (before.high_step, earlier.step if earlier else None) if s is not None), default=None)
    again = 0.0
    if reached is not None and account.first is not None and account.high is not None:
        again = max(0.0, account.working) * _redone(account.first, account.high, reached)
        high = max(reached, account.high)
    return Goodput(
        since=since,
        useful_seconds=before.useful_seconds + max(0.0, account.working - again),
        saving_seconds=before.saving_seconds + account.saving,
        recomputed_seconds=before.recomputed_seconds + max(0.0, account.recomputed) + again,
        restart_seconds=before.restart_seconds + account.restart,
        waiting_seconds=before.waiting_seconds + waiting,
        high_step=reached if high is None else high,
    )


def _redone(begin: int, end: int, reached: int) -> float:
    """Which part of the steps from ``begin`` to ``end`` had been made before, when ``reached`` was."""
    if end <= begin:
        return 1.0 if end < reached else 0.0
    return max(0.0, min(reached, end) - begin) / (end - begin)
