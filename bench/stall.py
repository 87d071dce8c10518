"""How long a training step stands still for a save, and how much slower steps are while the upload runs behind.

The saver against ``torch.save`` + fsync and against torch's own asynchronous checkpoints (DCP) with a stager that keeps
its shared memory. One state of Adam's shape, all three to the same folder, turn by turn in one process, each in another
place of the order every round; ratios are of medians. A *first* save is that of a saver, or stager, that was just made.

    python bench/stall.py [--sizes 64 512 2048] [--rounds 5] [--folder DIR]

Needs torch. Where there is a GPU the state lies on it, and staging is compared with a copy of the same bytes into
pinned memory; where there is none it says so.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from spotkeeper_training import CheckpointStore
from spotkeeper_training.saver import Saver
from spotkeeper_training.staging import room_for
from spotkeeper_training.state import plan

MIB = 2**20
STEP_WIDTH = 768
"""A training step is a few products of square matrices of this width."""


def adam_state(size: int, device: str) -> dict[str, Any]:
    """Return a model and its optimizer's state of ``size`` bytes together, of a transformer's shapes."""
    width, shapes = 64, []
    while 3 * 4 * 13 * width * width * 12 < size:
        width += 64
    left = size // 12
    while left > 0:
        for shape in ((3 * width, width), (width, width), (4 * width, width), (width, 4 * width), (width,), (width,)):
            rows = min(shape[0], -(-left // max(1, *shape[1:], 1)))
            if rows <= 0:
                break
            shapes.append((rows, *shape[1:]))
            left -= rows * (shape[1] if len(shape) > 1 else 1)
    model = {f"layers.{number}.weight": torch.randn(shape, device=device) for number, shape in enumerate(shapes)}
    moments = {
        number: {"step": torch.tensor(1.0), "exp_avg": torch.rand_like(weight), "exp_avg_sq": torch.rand_like(weight)}
        for number, weight in enumerate(model.values())
    }
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "params": list(range(len(model)))}]
    return {"model": model, "optimizer": {"state": moments, "param_groups": groups}}


class Contender(Protocol):
    """One way to save."""

    def save(self, step: int) -> None: ...  # returns when training may go on
    def settle(self) -> None: ...  # returns when it is written
    def close(self) -> None: ...


class Ours:
    def __init__(self, state: dict[str, Any], folder: Path) -> None:
        self._store = CheckpointStore(f"file://{folder}", generation=1)
        self._store.begin()
        began = time.perf_counter()
        self.saver, self._state = Saver(self._store, like=state), state
        self.made = time.perf_counter() - began

    def save(self, step: int) -> None:
        self.saver.save(step, self._state)

    def settle(self) -> None:
        self.saver.flush()

    def close(self) -> None:
        self.saver.close()


class TorchSave:
    def __init__(self, state: dict[str, Any], folder: Path) -> None:
        self._state, self._folder = state, folder
        self._old: Path | None = None

    def save(self, step: int) -> None:
        path = self._folder / f"{step}.pt"
        with path.open("wb") as file:
            torch.save(self._state, file)
            file.flush()
            os.fsync(file.fileno())
        if self._old and self._old != path:
            self._old.unlink()
        self._old = path

    def settle(self) -> None: ...

    def close(self) -> None: ...


class Dcp:
    def __init__(self, state: dict[str, Any], folder: Path) -> None:
        cuda = torch.cuda.is_available()
        self._stager = DefaultStager(
            StagingOptions(
                use_pinned_memory=cuda, use_shared_memory=True, use_async_staging=False, use_non_blocking_copy=cuda
            )
        )
        self._state, self._folder, self._future, self._old = state, folder, None, None

    def save(self, step: int) -> None:
        path = self._folder / f"dcp{step}"
        self._future = dcp.async_save(self._state, checkpoint_id=path, async_stager=self._stager, no_dist=True)
        self._path = path

    def settle(self) -> None:
        if self._future is not None:
            self._future.result()
            if self._old and self._old != self._path:
                shutil.rmtree(self._old)
            self._old, self._future = self._path, None

    def close(self) -> None:
        self._stager.close()


CONTENDERS: dict[str, Callable[[dict[str, Any], Path], Contender]] = {
    "spotkeeper": Ours,
    "dcp": Dcp,
    "torch.save": TorchSave,
}


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def stalls(state: dict[str, Any], folder: Path, rounds: int, later: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds that training stood still: for the first save of fresh contenders, and for later ones."""
    names = list(CONTENDERS)
    took: dict[str, dict[str, list[float]]] = {name: {"first": [], "later": []} for name in names}
    for number in range(rounds):
        order = names[number % 3 :] + names[: number % 3]
        fresh: dict[str, Contender] = {}
        for name in order:
            place = folder / f"{number}-{name}"
            place.mkdir()
            fresh[name] = CONTENDERS[name](state, place)
        for step in range(1 + later):
            for name in order:
                began = time.perf_counter()
                fresh[name].save(step)
                took[name]["later" if step else "first"].append(time.perf_counter() - began)
                fresh[name].settle()
        for one in fresh.values():
            one.close()
        fresh.clear()
        gc.collect()
        for name in order:
            shutil.rmtree(folder / f"{number}-{name}")
    return took


def slowdown(state: dict[str, Any], folder: Path, seconds: float, device: str) -> dict[str, float]:
    """Return median milliseconds of a training step alone, and while each contender writes, turn by turn."""
    weights = [torch.randn(STEP_WIDTH, STEP_WIDTH, device=device) for _ in range(4)]

    def step() -> None:
        value = weights[0]
        for weight in weights:
            value = torch.tanh(value @ weight)
        if device != "cpu":
            torch.cuda.synchronize()

    for _ in range(20):
        step()
    runs: dict[str, list[float]] = {"alone": [], "spotkeeper": [], "dcp": []}
    made = {name: CONTENDERS[name](state, _made(folder / f"slow-{name}")) for name in ("spotkeeper", "dcp")}
    until, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < until or number < 3:
        runs["alone"] += [timed(step) for _ in range(20)]
        for name, one in made.items():
            one.save(number)
            behind = threading.Thread(target=one.settle)
            behind.start()
            while behind.is_alive():
                runs[name].append(timed(step))
            behind.join()
        number += 1
    for one in made.values():
        one.close()
    return {name: 1000 * statistics.median(times) for name, times in runs.items()} | {
        f"{name} mean": 1000 * statistics.mean(times) for name, times in runs.items()
    }


def pinned(state: dict[str, Any], saver: Saver, rounds: int) -> dict[str, float]:
    """Return GB/s of staging and of one copy of as many bytes from the GPU into pinned memory, turn by turn."""
    planned = plan(state)
    size = room_for(planned)
    source = torch.empty(size, dtype=torch.uint8, device="cuda")
    target = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    took: dict[str, list[float]] = {"staging": [], "pinned copy": []}

    def copy() -> None:
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()

    for _ in range(rounds + 1):
        took["staging"].append(timed(lambda: saver._staging.take(plan(state))))
        took["pinned copy"].append(timed(copy))
    return {name: size / statistics.median(times[1:]) / 1e9 for name, times in took.items()}


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--sizes", type=int, nargs="*", default=[64, 512, 2048], help="MiB; default %(default)s")
    options.add_argument("--rounds", type=int, help="default: 5, and 3 from 1 GiB on")
    options.add_argument("--later", type=int, default=3, help="saves after the first one, each round")
    options.add_argument("--slow-seconds", type=float, default=10, help="of the slow-down; default %(default)s")
    options.add_argument("--slow-size", type=int, default=512, help="MiB of its state; default %(default)s")
    options.add_argument("--folder", type=Path, help="where to save; default: a temporary folder")
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    warnings.filterwarnings("ignore")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, state on {device}")
    print("" if device == "cuda" else "no GPU here: staging is not compared with a copy into pinned memory")
    figures: dict[str, Any] = {"device": device}
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        folder = Path(scratch)
        warm(folder)
        print("   MiB         spotkeeper       dcp  torch.save   of dcp  of torch.save   (ms, medians)")
        for size in asked.sizes:
            state = adam_state(size * MIB, device)
            rounds = asked.rounds or (5 if size < 1024 else 3)
            took = stalls(state, folder, rounds, asked.later)
            figures[str(size)] = took
            for kind in ("first", "later"):
                ours, theirs, plain = (1000 * statistics.median(took[name][kind]) for name in CONTENDERS)
                columns = f"{ours:11.1f} {theirs:9.1f} {plain:11.1f} {ours / theirs:8.2f} {ours / plain:14.3f}"
                print(f"{size:6} {kind:6} {columns}", flush=True)
            if device == "cuda":
                saver = Ours(state, _made(folder / f"pinned-{size}")).saver
                figures[f"pinned {size}"] = speed = pinned(state, saver, 9)
                print(f"       GB/s: {speed}, {speed['staging'] / speed['pinned copy']:.2f} of a pinned copy")
                saver.close()
            del state
        if asked.slow_seconds:
            figures["slow"] = slow = slowdown(
                adam_state(asked.slow_size * MIB, device), folder, asked.slow_seconds, device
            )
            print("step, ms (median, mean):", {name: round(value, 2) for name, value in slow.items()})
            for name in ("spotkeeper", "dcp"):
                print(
                    f"  while {name} writes: {slow[name] / slow['alone']:.2f} of the median alone,"
                    f" {slow[name + ' mean'] / slow['alone mean']:.2f} of the mean"
                )
    if asked.json:
        asked.json.write_text(json.dumps(figures))


def warm(folder: Path) -> None:
    """Let every way load what it loads when it is first used: that is nobody's first save."""
    for name, make in CONTENDERS.items():
        one = make(adam_state(MIB, "cpu"), _made(folder / f"warm-{name}"))
        one.save(0)
        one.settle()
        one.close()


if __name__ == "__main__":
    main()
