"""Checks from a diary of what was trained that the final weights have seen every sample exactly once per epoch.

Shares no code with the sampler, and knows nothing about it: only what each rank wrote down after each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One rank's part of one step: a line of the diary."""

    attempt: int
    """How many times the job had been started before."""
    rank: int
    epoch: int
    step: int
    """Steps completed before this one."""
    ids: Sequence[int]
    weight: float = 0.0
    """The factor that this rank's mean gradient got."""


@dataclass(frozen=True)
class Findings:
    """What the diary tells."""

    problems: Sequence[str]
    lost: Sequence[tuple[int, int]]
    """(attempt, step) of what was computed, but is not in the final weights: it was done again or never saved."""
    seen: dict[int, Counter[int]]
    """Per epoch, how often the final weights have seen each sample."""


def check(entries: Iterable[Entry], resumed_at: Sequence[int], size: int, *, may_drop: int = 0) -> Findings:
    """Follow the final weights back through all attempts.

    Args:
        entries: the diary, in any order.
        resumed_at: the completed steps each attempt started from.
        size: samples in the data set.
        may_drop: how many samples an epoch may leave out. The last epoch in the diary may leave out any number.
    """
    written = list(entries)
    kept_until = {}
    bound = max((entry.step for entry in written), default=-1) + 1
    for attempt in reversed(range(len(resumed_at))):
        kept_until[attempt] = bound
        bound = min(bound, resumed_at[attempt])
    kept = [entry for entry in written if resumed_at[entry.attempt] <= entry.step < kept_until[entry.attempt]]
    lost = sorted({(entry.attempt, entry.step) for entry in written} - {(entry.attempt, entry.step) for entry in kept})
    problems = _gaps(kept) + _twice(kept) + _weights(kept)
    seen: dict[int, Counter[int]] = {}
    for entry in kept:
        seen.setdefault(entry.epoch, Counter()).update(entry.ids)
    for epoch, counts in sorted(seen.items()):
        problems += _epoch(epoch, counts, size, size if epoch == max(seen) else may_drop)
    return Findings(problems, lost, seen)


def _gaps(kept: Sequence[Entry]) -> list[str]:
    steps = {entry.step for entry in kept}
    return [f"step {step} is in no attempt" for step in range(max(steps, default=-1) + 1) if step not in steps]


def _twice(kept: Sequence[Entry]) -> list[str]:
    counts = Counter((entry.step, entry.rank) for entry in kept)
    return [
        f"step {step} was counted {count} times on rank {rank}" for (step, rank), count in counts.items() if count > 1
    ]


def _weights(kept: Sequence[Entry]) -> list[str]:
    """Every sample of a step has the same weight in its gradient: rank weights are as their numbers of samples."""
    problems = []
    for step in {entry.step for entry in kept}:
        parts = [entry for entry in kept if entry.step == step]
        size = sum(len(entry.ids) for entry in parts)
        problems += [
            f"step {step} rank {entry.rank}: weight {entry.weight}, has {len(entry.ids)} of {size}"
            for entry in parts
            if abs(entry.weight - len(entry.ids) / size) > 1e-9
        ]
        if len({entry.epoch for entry in parts}) != 1:
            problems.append(f"step {step} is in several epochs")
    return problems


def _epoch(epoch: int, counts: Counter[int], size: int, may_drop: int) -> list[str]:
    problems = [
        f"epoch {epoch}: sample {sample} was seen {count} times" for sample, count in counts.items() if count > 1
    ]
    problems += [f"epoch {epoch}: there is no sample {sample}" for sample in counts if not 0 <= sample < size]
    missing = size - len(counts)
    if missing > may_drop:
        problems.append(f"epoch {epoch}: {missing} samples were not seen, at most {may_drop} may be left out")
    return problems
