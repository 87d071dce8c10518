"""The training of :mod:`~spotkeeper_lab.trainers.digits` on several ranks, one on each node of a generation.

The global batch is the invariant: however many ranks there are, a step sees the same images, each on one rank, and the
gradients of all are added up. Floating-point sums depend on how they are cut, so another number of ranks ends with
weights that differ in their last bits; ``samples`` in the result is a digest over the images of all steps in their
order, which is equal for equal histories whatever the number of ranks was.

    python -m spotkeeper_lab.trainers.digits_ranks --epochs 20 --checkpoint file:///tmp/digits
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spotkeeper_lab.trainers import digits
from spotkeeper_lab.trainers.sums import Place, Sums
from spotkeeper_training import (
    EXIT_STOPPED_FOR_NOTICE,
    CheckpointGuard,
    CheckpointStore,
    Loaded,
    Restored,
    StaleGeneration,
)
from spotkeeper_training.sampler import GlobalBatchSampler

DATA = "data.json"
"""Part of a checkpoint: the position in the data, and which samples have been seen up to there."""


class Work:
    """What one rank computes: the state of all, advanced with all others.

    Args:
        options: of the command line.
        data: the images.
        place: which rank this is.
    """

    def __init__(self, options: argparse.Namespace, data: digits.Dataset, place: Place) -> None:
        self.state = digits.new_state(options.seed)
        self.samples = ""
        """Digest over the samples of all steps so far, in their order."""
        self._data = data
        self._sampler = GlobalBatchSampler(
            len(data.images), options.batch, rank=place.rank, world_size=place.ranks, seed=options.seed
        )

    def restore(self, restored: Restored) -> None:
        """Go on from a checkpoint, whatever the number of ranks that wrote it.

        Raises ``ValueError`` if its ranks were not at the same step.
        """
        steps = {_position(parts) for parts in (restored.parts, *restored.shards.values())}
        if steps != {restored.step}:
            raise ValueError(f"steps: were {sorted(steps)}, expected {restored.step} on all ranks")
        self.state = digits.unpack(restored.parts)
        found = json.loads(restored.parts[DATA])
        self.samples = found["samples"]
        self._sampler.load_state_dict(found["sampler"])

    def step(self, sums: Sums) -> None:
        """Make the next step together with all other ranks."""
        batch = self._sampler.batch()
        values, marks = sums.add(self._gradients(), np.array(batch.ids, np.int64))
        digits.descend(self.state, _cut(values, self.state.weights))
        self.samples = hashlib.sha256(self.samples.encode() + marks.tobytes()).hexdigest()
        self._sampler.advance()

    def parts(self) -> dict[str, bytes]:
        """Return what this rank saves: all of the state, which is the same on every rank."""
        found = {"samples": self.samples, "sampler": self._sampler.state_dict()}
        return {**digits.pack(self.state), DATA: json.dumps(found).encode()}

    def _gradients(self) -> NDArray[np.float64]:
        """Return this rank's part of the gradients of the global batch, all in one row."""
        total = np.zeros(sum(weights.size for weights in self.state.weights.values()))
        for micro in self._sampler.batch().micro:
            rows = list(micro.ids)
            found = digits.gradients(self.state.weights, self._data.images[rows], self._data.digits[rows])
            total += micro.weight * np.concatenate([found[name].ravel() for name in sorted(found)])
        return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Train to the end, or to the first notice that a node of the generation will go; returns the exit code."""
    does = "Train a small network on scikit-learn's digits, on all nodes of a generation together."
    options = digits.parser("digits_ranks", does).parse_args(arguments)
    place = Place.told()
    store = CheckpointStore(options.checkpoint, rank=place.rank, world_size=place.ranks)
    store.begin()
    data = digits.load_digits()
    work = Work(options, data, place)
    diary = digits.Diary(store.generation)
    with Sums(place) as sums:
        if latest := store.latest():
            work.restore(store.load(latest))
        guard = CheckpointGuard(store, save_interval_seconds=options.save_every)
        diary.add("start", resume_step=work.state.step, rank=place.rank, ranks=place.ranks)
        try:
            total = digits.train(
                options,
                data,
                work.state,
                guard,
                store,
                diary,
                make_step=lambda: work.step(sums),
                parts=work.parts,
            )
        except StaleGeneration as stale:
            diary.add("fenced", step=work.state.step, found=stale.found)
            raise
    if total is None:
        return EXIT_STOPPED_FOR_NOTICE
    if place.rank == 0:
        digits.tell(options, work.state, data, samples=work.samples)
    return 0


def _position(parts: Mapping[str, Loaded]) -> int:
    step: int = json.loads(parts["position.json"])["step"]
    return step


def _cut(values: NDArray[np.float64], like: digits.Arrays) -> digits.Arrays:
    """Return one row of values as arrays of the shapes of ``like``."""
    arrays, at = {}, 0
    for name in sorted(like):
        arrays[name] = values[at : at + like[name].size].reshape(like[name].shape)
        at += like[name].size
    return arrays


if __name__ == "__main__":
    sys.exit(main())
