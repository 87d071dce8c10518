"""Which samples each rank takes in each step: the same global batches however many ranks share them.

The **global batch is the invariant**. Step by step the job sees the same samples on one rank, on eight, or on eight
and then five; only who computes what changes, and how many micro batches that takes.

    sampler = GlobalBatchSampler(len(dataset), batch_size=256, micro_batch=16, seed=1)
    loader = DataLoader(dataset, batch_sampler=sampler)      # or without torch: sampler.batch().micro

The position moves with :meth:`GlobalBatchSampler.advance` only, never because somebody reads ahead: prefetching workers
cannot carry the saved position past the step that was saved.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from spotkeeper_training.batches import Batch, cut, micro_batches
from spotkeeper_training.order import Order

GLOBAL, PER_RANK = "global", "per_rank"
_MUST_AGREE = ("size", "seed", "shuffle", "drop_last", "batch", "batch_size")


@dataclass(frozen=True)
class Position:
    """How far training is."""

    epoch: int = 0
    offset: int = 0
    """Samples of this epoch that completed steps have seen."""
    step: int = 0
    """Completed steps of all epochs."""


@dataclass(frozen=True)
class Resize:
    """The job goes on with another number of ranks, and, with ``batch="per_rank"``, with another global batch."""

    old_world_size: int
    new_world_size: int
    old_global_batch: int
    new_global_batch: int


class GlobalBatchSampler:
    """Maps (epoch, step) to sample ids. Serves as the ``batch_sampler`` of a torch ``DataLoader``; imports no torch.

    Args:
        size: samples in the data set.
        batch_size: samples of one optimizer step: of all ranks together, or of one with ``batch="per_rank"``.
        rank: default ``$RANK``, else 0.
        world_size: default ``$WORLD_SIZE``, else 1.
        micro_batch: the most samples that go through the model of one rank at once; how many rounds of accumulation
            that takes follows from the number of ranks. Default: the rank's whole share.
        batch: ``"global"``: the global batch stays when the number of ranks changes (default). ``"per_rank"``: it
            grows and shrinks with them, and learning rate and schedule are for ``on_resize`` to adapt.
        on_resize: called by :meth:`load_state_dict` when the number of ranks has changed. Required with
            ``batch="per_rank"``, where a silent change would train another model.
        seed: of the order; every epoch has one of its own.
        shuffle: ``False`` takes the samples as they come.
        drop_last: leave the last samples of an epoch out where they do not fill a batch. Default: the last batch is
            smaller, and every sample is seen exactly once per epoch.

    Raises ``ValueError`` for what cannot be used.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        rank: Optional[int] = None,
        world_size: Optional[int] = None,
        micro_batch: Optional[int] = None,
        batch: str = GLOBAL,
        on_resize: Optional[Callable[[Resize], None]] = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        self.rank = int(os.environ.get("RANK", "0")) if rank is None else rank
        self.world_size = int(os.environ.get("WORLD_SIZE", "1")) if world_size is None else world_size
        self.size, self.batch_size, self.micro_batch = size, batch_size, micro_batch
        self.batch_mode, self.on_resize = batch, on_resize
        self.seed, self.shuffle, self.drop_last = seed, shuffle, drop_last
        self._check()
        self.position = Position()
        self._order = Order(size, seed, 0)
        self._order_epoch = 0

    @property
    def global_batch(self) -> int:
        """Samples of one step on all ranks together, the last step of an epoch apart."""
        return self.batch_size * self.world_size if self.batch_mode == PER_RANK else self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a whole epoch at the present number of ranks."""
        whole, rest = divmod(self.size, self.global_batch)
        return whole + (rest > 0 and not self.drop_last)

    def batch(self, position: Optional[Position] = None) -> Batch:
        """Return what this rank does in the step that begins at ``position`` (default: the next one)."""
        at = position or self.position
        size = self._size_at(at)
        micro = cut(
            size,
            self.rank,
            self.world_size,
            most=self.micro_batch,
            sample=lambda place: self._sample(at.epoch, at.offset + place),
        )
        return Batch(at.epoch, at.step, size, micro)

    def after(self, position: Position) -> Position:
        """Return the position one step further on."""
        offset = position.offset + self._size_at(position)
        left = self.size - offset
        if left == 0 or (self.drop_last and left < self.global_batch):
            return Position(position.epoch + 1, 0, position.step + 1)
        return Position(position.epoch, offset, position.step + 1)

    def advance(self) -> None:
        """Say that the optimizer has made its step: what is saved from now on goes on behind it."""
        self.position = self.after(self.position)

    def batches(self) -> Iterator[Batch]:
        """Yield what this rank does from the present position to the end of its epoch. Moves nothing."""
        at, epoch = self.position, self.position.epoch
        while at.epoch == epoch:
            yield self.batch(at)
            at = self.after(at)

    def __iter__(self) -> Iterator[List[int]]:
        """Yield the ids of each micro batch from the present position to the end of its epoch. Moves nothing."""
        for batch in self.batches():
            for micro in batch.micro:
                yield list(micro.ids)

    def __len__(self) -> int:
        """Micro batches of this rank in a whole epoch."""
        whole, rest = divmod(self.size, self.global_batch)
        count = whole * micro_batches(self.global_batch, self.world_size, self.micro_batch)
        return count + (micro_batches(rest, self.world_size, self.micro_batch) if rest and not self.drop_last else 0)

    def state_dict(self) -> Dict[str, Any]:
        """Return the data position, plain enough for JSON: the same on every rank."""
        at = self.position
        state: Dict[str, Any] = {"epoch": at.epoch, "offset": at.offset, "step": at.step, "world_size": self.world_size}
        return {**state, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a saved position, whatever the number of ranks was then.

        Raises ``ValueError`` if data set, seed or batch are not those it was saved with: the samples would be others.
        """
        own = self._identity()
        for name in _MUST_AGREE:
            if state[name] != own[name]:
                raise ValueError(f"{name}: was {own[name]!r}, expected {state[name]!r} as in the checkpoint")
        self.position = Position(state["epoch"], state["offset"], state["step"])
        if self._size_at(self.position) < self.global_batch and self.drop_last:  # the global batch has grown
            self.position = Position(state["epoch"] + 1, 0, state["step"])
        if state["world_size"] != self.world_size and self.on_resize is not None:
            ratio = state["world_size"] if self.batch_mode == PER_RANK else 1
            self.on_resize(Resize(state["world_size"], self.world_size, self.batch_size * ratio, self.global_batch))

    def _identity(self) -> Dict[str, Any]:
        return {
            "size": self.size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "batch": self.batch_mode,
            "batch_size": self.batch_size,
        }

    def _size_at(self, position: Position) -> int:
        return min(self.global_batch, self.size - position.offset)

    def _sample(self, epoch: int, place: int) -> int:
        if not self.shuffle:
            return place
        if self._order_epoch != epoch:
            self._order, self._order_epoch = Order(self.size, self.seed, epoch), epoch
        return self._order[place]

    def _check(self) -> None:
        for name, number in (("size", self.size), ("batch_size", self.batch_size), ("world_size", self.world_size)):
            if number < 1:
                raise ValueError(f"{name}: was {number}, expected at least 1")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank: was {self.rank}, expected 0 to {self.world_size - 1}")
        if self.micro_batch is not None and self.micro_batch < 1:
            raise ValueError(f"micro_batch: was {self.micro_batch}, expected at least 1")
        if self.batch_mode not in (GLOBAL, PER_RANK):
            raise ValueError(f"batch: was {self.batch_mode!r}, expected {GLOBAL!r} or {PER_RANK!r}")
        if self.batch_mode == PER_RANK and self.on_resize is None:
            raise ValueError(
                f"on_resize: was None, expected a function with batch={PER_RANK!r}: another number of"
                " ranks is another global batch, and learning rate and schedule have to follow"
            )
        if self.drop_last and self.size < self.global_batch:
            raise ValueError(
                f"batch_size: was {self.batch_size} ({self.global_batch} on all ranks), expected at most"
                f" the {self.size} samples there are, or drop_last=False"
            )
