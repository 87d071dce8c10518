"""Real training in one process: a small network on scikit-learn's handwritten digits, saved and resumed in mid-epoch.

Deterministic: a run that was interrupted and resumed any number of times ends with the very weights of one that was
not, bit for bit.

    python -m spotkeeper_lab.trainers.digits --epochs 20 --pace 0.01 --checkpoint file:///tmp/digits
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spotkeeper_ledger import run_dir
from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore, Loaded, StaleGeneration

Array = NDArray[np.float64]
Arrays = dict[str, Array]

HIDDEN, CLASSES = 64, 10
TRAINING_SHARE = 0.8
LEARNING_RATE, MOMENTUM = 0.05, 0.9


@dataclass(frozen=True)
class Dataset:
    """Images as rows of 64 values from 0 to 1, and their digits."""

    images: Array
    digits: NDArray[np.int64]
    test_images: Array
    test_digits: NDArray[np.int64]


@dataclass
class State:
    """All that a run is made of: saved together, restored together."""

    weights: Arrays
    momentum: Arrays
    step: int = 0
    """Completed steps; epoch and place in the epoch follow from it."""


def load_digits() -> Dataset:
    """Return the digits that come with scikit-learn, split once and for all.

    Its file is read directly: importing the library takes seconds, and a resumed job should train.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("scikit-learn: is not installed, expected with `pip install spotkeeper[lab]`")
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    table = table[np.random.default_rng(0).permutation(len(table))]
    images, digits = table[:, :-1] / 16, table[:, -1].astype(np.int64)
    at = int(TRAINING_SHARE * len(table))
    return Dataset(images[:at], digits[:at], images[at:], digits[at:])


def new_state(seed: int) -> State:
    """Return untrained weights."""
    random = np.random.default_rng(seed)
    weights = {
        "w1": random.normal(0, np.sqrt(2 / 64), (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": random.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, CLASSES)),
        "b2": np.zeros(CLASSES),
    }
    return State(weights, {name: np.zeros_like(value) for name, value in weights.items()})


def steps_per_epoch(data: Dataset, batch: int) -> int:
    """Return how many steps see every image once; the last one may be smaller."""
    return -(-len(data.images) // batch)


def order_of(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Return the order of the images in one epoch: the same whenever and wherever it is asked for."""
    return np.random.default_rng((seed, 1, epoch)).permutation(size)


def train_step(state: State, data: Dataset, seed: int, batch: int) -> None:
    """Do the next step: one batch, momentum SGD on the cross entropy."""
    epoch, place = divmod(state.step, steps_per_epoch(data, batch))
    rows = order_of(seed, epoch, len(data.images))[place * batch : (place + 1) * batch]
    descend(state, gradients(state.weights, data.images[rows], data.digits[rows]))


def descend(state: State, gradients_of_batch: Arrays) -> None:
    """Complete a step with the gradients of its batch."""
    for name, gradient in gradients_of_batch.items():
        state.momentum[name] = MOMENTUM * state.momentum[name] - LEARNING_RATE * gradient
        state.weights[name] = state.weights[name] + state.momentum[name]
    state.step += 1


def accuracy(weights: Arrays, data: Dataset) -> float:
    """Return the share of test images that are recognized."""
    _, scores = _forward(weights, data.test_images)
    return float(np.mean(np.argmax(scores, axis=1) == data.test_digits))


def digest(weights: Arrays) -> str:
    """Return one hash over all weights, equal only for equal bits."""
    hashed = hashlib.sha256()
    for name in sorted(weights):
        hashed.update(name.encode() + weights[name].tobytes())
    return hashed.hexdigest()


def pack(state: State) -> dict[str, bytes]:
    """Return the parts of a checkpoint."""
    return {
        "weights.npz": _pack(state.weights),
        "momentum.npz": _pack(state.momentum),
        "position.json": json.dumps({"step": state.step}).encode(),
    }


def unpack(parts: Mapping[str, Loaded]) -> State:
    """Return the state that :func:`pack` has packed."""
    step = json.loads(parts["position.json"])["step"]
    return State(_unpack(parts["weights.npz"]), _unpack(parts["momentum.npz"]), step)


def _forward(weights: Arrays, images: Array) -> tuple[Array, Array]:
    hidden = np.maximum(images @ weights["w1"] + weights["b1"], 0)
    return hidden, hidden @ weights["w2"] + weights["b2"]


def gradients(weights: Arrays, images: Array, digits: NDArray[np.int64]) -> Arrays:
    """Return the gradients of the mean cross entropy of some images."""
    hidden, scores = _forward(weights, images)
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(digits)), digits] -= 1
    to_scores = chances / len(digits)
    to_hidden = (to_scores @ weights["w2"].T) * (hidden > 0)
    return {
        "w1": images.T @ to_hidden,
        "b1": to_hidden.sum(axis=0),
        "w2": hidden.T @ to_scores,
        "b2": to_scores.sum(axis=0),
    }


def _pack(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(body: Loaded) -> Arrays:
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Diary:
    """``trainer.jsonl`` in the run directory: one line per start and per end of this process.

    A process that is killed leaves no end; one that a later generation has fenced off leaves ``fenced``.
    """

    def __init__(self, generation: int) -> None:
        folder = os.environ.get(run_dir.RUN_DIR)
        self._path = Path(folder) / "trainer.jsonl" if folder else None
        self._generation = generation

    def add(self, event: str, **facts: object) -> None:
        """Append a line."""
        line = json.dumps({"event": event, "at": time.time(), "generation": self._generation, **facts})
        if self._path is None:
            print(line, file=sys.stderr)  # noqa: T201 - on a laptop, the terminal is the diary
            return
        with self._path.open("a") as file:
            file.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train to the end, or to the first notice that this node will go; returns the exit code."""
    does = "Train a small network on scikit-learn's digits, saved and resumed through Spotkeeper."
    options = parser("digits", does).parse_args(arguments)
    store = CheckpointStore(options.checkpoint)
    store.begin()
    latest = store.latest()
    state = unpack(store.load(latest).parts) if latest else new_state(options.seed)
    guard = CheckpointGuard(store, save_interval_seconds=options.save_every)
    diary = Diary(store.generation)
    diary.add("start", resume_step=state.step)

    data = load_digits()
    try:
        total = train(
            options,
            data,
            state,
            guard,
            store,
            diary,
            make_step=lambda: train_step(state, data, options.seed, options.batch),
            parts=lambda: pack(state),
        )
    except StaleGeneration as stale:
        diary.add("fenced", step=state.step, found=stale.found)
        raise
    if total is None:
        return EXIT_STOPPED_FOR_NOTICE
    tell(options, state, data)
    return 0


def train(
    options: argparse.Namespace,
    data: Dataset,
    state: State,
    guard: CheckpointGuard,
    store: CheckpointStore,
    diary: Diary,
    *,
    make_step: Callable[[], None],
    parts: Callable[[], Mapping[str, bytes]],
) -> int | None:
    """Make steps to the end, or to a notice; returns how many there are, ``None`` if some are left to another node."""
    total: int = options.epochs * steps_per_epoch(data, options.batch)
    guard.report(state.step, total)
    while state.step < total:
        make_step()
        guard.report(state.step, total)
        if guard.should_save(state.step):
            guard.save(state.step, parts())
        if guard.should_stop and state.step < total:
            diary.add("stop", step=state.step, reason="notice")
            return None
        if not (options.full_speed_when and options.full_speed_when.exists()):
            time.sleep(options.pace)
    while (store.last is None or store.last.step != state.step) and not guard.save(state.step, parts()):
        time.sleep(1)  # the work is done, only the store is away
    diary.add("finish", step=state.step, digest=digest(state.weights))
    return total


def tell(options: argparse.Namespace, state: State, data: Dataset, **more: object) -> None:
    """Write and print what the training has come to."""
    found = {"steps": state.step, "digest": digest(state.weights), "accuracy": accuracy(state.weights, data), **more}
    if options.result:
        options.result.write_text(json.dumps(found) + "\n")
    print(json.dumps(found))  # noqa: T201 - what the program is asked for


def parser(module: str, does: str) -> argparse.ArgumentParser:
    """Return what reads the command line of ``module``."""
    parser = argparse.ArgumentParser(
        prog=f"python -m spotkeeper_lab.trainers.{module}",
        description=does,
        epilog="exit codes: 0 trained to the end; 75 saved for a notice, stopped; 76 a later generation runs the job",
    )
    parser.add_argument("--epochs", type=int, required=True, help="passes over the 1437 training images")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds to sleep after each step (default: none)")
    parser.add_argument("--full-speed-when", type=Path, metavar="FILE", help="drop the pace once this file exists")
    parser.add_argument(
        "--save-every", type=float, default=600.0, help="seconds between checkpoints nobody asked for (default: 600)"
    )
    parser.add_argument("--batch", type=int, default=64, help="images per step (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of the order (default: 0)")
    parser.add_argument("--result", type=Path, help="file for the result, a line of JSON")
    parser.add_argument(
        "--checkpoint",
        metavar="URI",
        help=f"s3://… or file:///… (default: ${run_dir.CHECKPOINT_URI}, as the agent sets it)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
