"""A ``DataLoader`` that can be resumed in mid-epoch, with workers that read ahead and augment at random.

    sampler = GlobalBatchSampler(len(dataset), batch_size=256, micro_batch=16, seed=1)
    loader = StepLoader(dataset, sampler, num_workers=4)

What a sample's ``__getitem__`` draws from Python's, numpy's and torch's generators depends on seed, epoch and sample
alone: not on the worker, the number of ranks, or what happened before.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import deque
from contextlib import contextmanager
from typing import Any, Deque, Dict, Iterator, List, Mapping, Tuple

from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.batches import Batch
from spotkeeper_training.sampler import GlobalBatchSampler

Key = Tuple[int, int]


class StepLoader:
    """Loads the batches that a sampler names, from the sampler's position on.

    Iterating yields the micro batches that are left of the epoch; :meth:`steps` yields whole steps with the weights of
    their gradients. Neither moves the position: :meth:`advance` does, which the adapters call after each step.

    Args:
        dataset: of map style: ``dataset[i]`` for ``i`` from 0 to ``sampler.size - 1``.
        sampler: says which samples make a batch.
        seed_samples: give every sample generators of its own. ``False`` leaves them alone, and passes on batched
            reads (``__getitems__``); a resumed run then augments otherwise than one that was not interrupted.
        options: of ``torch.utils.data.DataLoader``: ``num_workers``, ``collate_fn``, ``pin_memory`` …
    """

    def __init__(self, dataset: Any, sampler: GlobalBatchSampler, *, seed_samples: bool = True, **options: Any) -> None:
        self.dataset, self.sampler = dataset, sampler
        self._feed = _Feed(sampler, keyed=seed_samples)
        # A generator of its own: the loader draws a seed for its workers each time it is started, which would put a
        # resumed run's dropout one draw behind.
        options.setdefault("generator", torch.Generator().manual_seed(sampler.seed % 2**63))
        source = _Seeded(dataset, sampler.seed) if seed_samples else dataset
        self._loader = torch.utils.data.DataLoader(source, batch_sampler=self._feed, **options)

    def __iter__(self) -> Iterator[Any]:
        """Yield the micro batches from the present position to the end of its epoch."""
        return iter(self._loader)

    def __len__(self) -> int:
        """Micro batches of this rank in a whole epoch."""
        return len(self.sampler)

    def steps(self) -> Iterator[Iterator[Tuple[Any, float]]]:
        """Yield the steps from the present position to the end of its epoch, each as its (micro batch, weight) pairs.

        A weight is the micro batch's part of the *global* batch: multiply its mean loss by it before ``backward()``,
        and by the number of ranks where gradients are averaged over them, as DistributedDataParallel does.
        """
        source = iter(self._loader)
        loaded = next(source, None)
        while loaded is not None:
            step = self._step(loaded, source)
            yield step
            for _ in step:  # whatever the caller has left
                pass
            loaded = next(source, None)

    def advance(self) -> None:
        """Say that the optimizer has made its step."""
        self.sampler.advance()

    def state_dict(self) -> Dict[str, Any]:
        """Return the data position: after the last step that :meth:`advance` was told of, however far workers are."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a saved position; begins with the next iteration."""
        self.sampler.load_state_dict(state)

    def _step(self, first: Any, source: Iterator[Any]) -> Iterator[Tuple[Any, float]]:
        for number, micro in enumerate(self._feed.taken.popleft().micro):
            yield (first if number == 0 else next(source)), micro.weight


class _Feed:
    """Names samples to the loader, and remembers which steps they belong to until these come out of it."""

    def __init__(self, sampler: GlobalBatchSampler, *, keyed: bool) -> None:
        self._sampler, self._keyed = sampler, keyed
        self.taken: Deque[Batch] = deque()

    def __iter__(self) -> Iterator[List[Any]]:
        self.taken.clear()
        for batch in self._sampler.batches():
            self.taken.append(batch)
            for micro in batch.micro:
                yield [(batch.epoch, sample) for sample in micro.ids] if self._keyed else list(micro.ids)

    def __len__(self) -> int:
        return len(self._sampler)


class _Seeded:
    """A data set whose samples each draw from generators of their own."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self._dataset, self._seed = dataset, seed

    def __getitem__(self, key: Key) -> Any:
        with _seeded(self._seed, key):
            return self._dataset[key[1]]

    def __len__(self) -> int:
        return len(self._dataset)


@contextmanager
def _seeded(seed: int, key: Key) -> Iterator[None]:
    digest = hashlib.blake2b(f"{seed}/{key[0]}/{key[1]}".encode(), digest_size=8, person=b"spotkeeper-smple").digest()
    number = int.from_bytes(digest, "big")
    in_worker = torch.utils.data.get_worker_info() is not None  # nobody else draws there
    put_back = None if in_worker else random_states.remember()
    random.seed(number)
    torch.default_generator.manual_seed(number >> 1)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number & 0xFFFFFFFF)
    try:
        yield
    finally:
        if put_back is not None:
            put_back()
