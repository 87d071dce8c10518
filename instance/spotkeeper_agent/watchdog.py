"""Whether a job that says how far it is has stopped getting anywhere: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

from spotkeeper_ledger.run_dir import LocalProgress

FACTOR = 5.0
"""A job hangs no sooner than after so many of its usual steps."""
SAMPLES = 64
"""How many looks at its pace are remembered."""
LONGEST_LOOK_SECONDS = 5.0
"""Time between two looks counts for no more than this: the agent itself, or the whole machine, had been stopped."""


@dataclass(frozen=True)
class Pace:
    """How a job gets on, as far as it has been seen."""

    step: Optional[int] = None
    """The last step that it reported; ``None`` before the first."""
    said_at: float = 0.0
    """Of that report: its own time."""
    quiet_seconds: float = 0.0
    """Since its last sign of life."""
    step_seconds: Tuple[float, ...] = ()
    """What its last steps took."""
    moving_seconds: float = 0.0
    """Since its last new step."""


def look(pace: Pace, progress: Optional[LocalProgress], seconds: float) -> Pace:
    """Return the pace after one more look at the job's report, ``seconds`` after the one before.

    A report of the same step with a newer time is a sign of life: an evaluation may be long and say so. While the job
    says that it is busy (it saves, it agrees with other ranks on when to), its silence means nothing.
    """
    if progress is None:
        return pace
    counted = min(seconds, LONGEST_LOOK_SECONDS)
    alive = progress.at != pace.said_at or bool(progress.busy)
    moving = pace.moving_seconds + counted
    took = pace.step_seconds
    moved = pace.step is not None and progress.step > pace.step
    if moved and pace.step is not None:
        took = (*took, moving / (progress.step - pace.step))[-SAMPLES:]
    return replace(
        pace,
        step=progress.step,
        said_at=progress.at,
        quiet_seconds=0.0 if alive or progress.step != pace.step else pace.quiet_seconds + counted,
        step_seconds=took,
        moving_seconds=0.0 if progress.step != pace.step else moving,
    )


def excused(pace: Pace) -> Pace:
    """Return the pace after a time in which silence meant nothing."""
    return replace(pace, quiet_seconds=0.0, moving_seconds=0.0)


def patience(pace: Pace, least_seconds: float) -> Optional[float]:
    """Return after how many quiet seconds the job hangs; ``None`` while it has made no step that could be timed."""
    if least_seconds <= 0 or not pace.step_seconds:
        return None
    usual = sorted(pace.step_seconds)[len(pace.step_seconds) // 2]
    return max(FACTOR * usual, least_seconds)


def hangs(pace: Pace, least_seconds: float) -> bool:
    """Whether a job hangs.

    Args:
        pace: how it gets on.
        least_seconds: no job hangs sooner than this; 0 means that none ever does.
    """
    limit = patience(pace, least_seconds)
    return limit is not None and pace.quiet_seconds >= limit
