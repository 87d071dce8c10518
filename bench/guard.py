"""What a guard costs a training step: report, should_save and should_stop, without a notice and while ranks agree.

Ranks are processes, each with a guard of its own in one run directory; all of them make their steps at the same time.
The checkpoint store is never asked. Steps while a rank is armed, as between a notice and the save, are given apart:
each looks at one more file, and fifty times a second the rank says where it is. ``cpu_us`` is the mean without the time
in which another process had the core.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import support

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import LocalNotice
from spotkeeper_training import CheckpointGuard, CheckpointStore


def steps(folder: Path, rank: int, ranks: int, count: int, ready: Any, results: Any) -> None:
    """Make ``count`` steps that do nothing but ask, and put down how long each took, in seconds."""
    store = CheckpointStore(folder.joinpath("checkpoints").as_uri(), generation=1, rank=rank, world_size=ranks)
    guard = CheckpointGuard(store, folder=folder, save_interval_seconds=1e6)
    guard.report(0, count)
    ready.wait()
    took = []
    clock, used = time.perf_counter, time.process_time()
    for step in range(1, count + 1):
        began = clock()
        guard.report(step, count + 1)
        asked = guard.should_save(step)
        stops = guard.should_stop
        took.append(clock() - began)
        if stops or (asked and ranks > 1):
            raise RuntimeError(f"step {step}: nobody has agreed on anything, expected steps that go on")
    results.put((took, (time.process_time() - used) / count))


def measure(ranks: int, count: int, *, armed: bool) -> dict[str, Any]:
    """Return the figures of ``ranks`` guards that step at the same time."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        run_dir.clear_ranks(folder)
        if armed:
            run_dir.write(folder, LocalNotice("bench:leaving", "interruption", leaving=True, at=time.time()))
        ready, results = context.Barrier(ranks), context.Queue()
        each = [
            context.Process(target=steps, args=(folder, rank, ranks, count, ready, results)) for rank in range(ranks)
        ]
        for process in each:
            process.start()
        found = [results.get() for _ in each]
        took = sorted(seconds for seconds_each, _ in found for seconds in seconds_each)
        for process in each:
            process.join()
    return {
        "ranks": ranks,
        "armed": armed,
        "steps": count,
        "cpu_us": sum(used for _, used in found) / ranks * 1e6,
        "mean_us": sum(took) / len(took) * 1e6,
        "p50_us": support.percentile(took, 50) * 1e6,
        "p99_us": support.percentile(took, 99) * 1e6,
    }


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--steps", type=int, default=10_000, help="of each rank (default %(default)s)")
    options.add_argument(
        "--rounds", type=int, default=5, help="of each case, the median is given (default %(default)s)"
    )
    asked = options.parse_args()
    rows = []
    for ranks, armed in [(1, False), (4, False), (4, True)]:
        rounds = [measure(ranks, asked.steps, armed=armed) for _ in range(asked.rounds)]
        rows.append(sorted(rounds, key=lambda row: row["mean_us"])[len(rounds) // 2])
    support.deliver("guard", rows, asked.json)


if __name__ == "__main__":
    main()
