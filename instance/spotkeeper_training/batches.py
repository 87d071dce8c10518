"""How one global batch is shared out: over ranks, and over the micro batches of a rank. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Tuple


@dataclass(frozen=True)
class Micro:
    """What goes through the model at once."""

    ids: Tuple[int, ...]
    """Sample ids; never empty, so that every rank takes part in every forward and backward pass."""
    weight: float
    """These samples' part of the global batch: the factor of their mean loss. 0 where the ids only fill a place."""


@dataclass(frozen=True)
class Batch:
    """What one rank does in one step."""

    epoch: int
    step: int
    """Steps completed before this one."""
    size: int
    """Samples in the global batch; the last one of an epoch may be smaller."""
    micro: Tuple[Micro, ...]
    """As many on every rank, one after the other; their gradients are added up."""

    @property
    def ids(self) -> Tuple[int, ...]:
        """The samples that count on this rank, those that only fill a place left out."""
        return tuple(sample for micro in self.micro if micro.weight for sample in micro.ids)


def share(count: int, index: int, parts: int) -> range:
    """Return part ``index`` of ``range(count)`` cut into ``parts`` runs whose lengths differ by one at most."""
    least, longer = divmod(count, parts)
    start = index * least + min(index, longer)
    return range(start, start + least + (index < longer))


def micro_batches(size: int, world_size: int, most: Optional[int]) -> int:
    """Return how many micro batches each rank makes of a global batch of ``size``.

    Args:
        size: samples in the global batch.
        world_size: number of ranks.
        most: samples that go through the model at once; ``None``: as many as there are.
    """
    largest = -(-size // world_size)
    return 1 if most is None else -(-largest // most)


def cut(
    size: int, rank: int, world_size: int, *, most: Optional[int], sample: Callable[[int], int]
) -> Tuple[Micro, ...]:
    """Return the micro batches of one rank.

    Args:
        size: samples in the global batch.
        rank: whose share; shares differ by one sample at most.
        world_size: number of ranks.
        most: samples that go through the model at once; ``None``: as many as there are.
        sample: the id of the sample at a place of the batch.
    """
    own = share(size, rank, world_size)
    count = micro_batches(size, world_size, most)
    runs = [own[run.start : run.stop] for run in (share(len(own), number, count) for number in range(count))]
    filler = (sample(own.start if own else 0),)
    return tuple(Micro(tuple(map(sample, run)) or filler, len(run) / size) for run in runs)
