"""Two handlers at once, stopped, failed and killed at every call: how often it was tried, and what came of it.

Every example is a history of its own: what happens to one or two fleets, which messages reach which of two handlers and
when, and after which of its calls a handler waits, fails or dies. At its end everything comes to rest, and sizes,
signals and ledger have to be what one handler that nobody disturbs has reached. The machine is that of the tests
(``tests/interleaving_machine.py``); each thousand examples have a seed, so that any of them can be had again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import Phase, seed
from hypothesis.stateful import run_state_machine_as_test
from support import machine, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from interleaving_machine import Machine, chosen
from interleaving_steps import Fate

PER_SEED = 1_000


@dataclass
class Tried:
    """What came of the examples of one seed."""

    seed: int
    counts: Counter[str]
    seconds: float
    failure: str = ""
    """What went wrong, with the example; empty where nothing did."""


def attempt(number: int, examples: int) -> Tried:
    """Try so many examples of one seed; the first one that fails ends it."""
    Machine.tally.clear()
    began, failure = time.perf_counter(), ""
    try:
        wanted = chosen(examples, phases=[Phase.generate], database=None, print_blob=False)
        run_state_machine_as_test(seed(number)(Machine), settings=wanted)
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        failure = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return Tried(number, Counter(Machine.tally), time.perf_counter() - began, failure)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--examples", type=int, default=50_000, help="how many to try (default %(default)s)")
    options.add_argument("--seed", type=int, default=1, help="the first seed; one a thousand examples (default 1)")
    options.add_argument("--processes", type=int, default=1, help="how many to try at once (default %(default)s)")
    options.add_argument("--json", type=Path, help="where to write the figures")
    asked = options.parse_args()
    began = time.perf_counter()
    sizes = [min(PER_SEED, asked.examples - done) for done in range(0, asked.examples, PER_SEED)]
    seeds = range(asked.seed, asked.seed + len(sizes))
    with ProcessPoolExecutor(asked.processes, max_tasks_per_child=1) as pool:
        tried = []
        for each in pool.map(attempt, seeds, sizes):
            tried.append(each)
            words = f"{each.counts['examples']} examples, {each.seconds:.0f} s{', FAILED' if each.failure else ''}"
            print(f"seed {each.seed}: {words}", file=sys.stderr)
    figures = summary(tried, time.perf_counter() - began)
    print(table([{"what": name, "how many": count} for name, count in figures["counts"].items()]))
    failures = figures["failures"]
    print(
        f"seeds {seeds[0]} to {seeds[-1]}, {asked.processes} at once, {figures['seconds']:.0f} s: {failures} failures"
    )
    for each in tried:
        if each.failure:
            print(f"\nseed {each.seed}: {each.failure}")
    if asked.json:
        asked.json.write_text(json.dumps({**figures, "seeds": [seeds[0], seeds[-1]], "machine": machine()}, indent=2))
    sys.exit(1 if failures else 0)


def summary(tried: list[Tried], seconds: float) -> dict[str, Any]:
    """Add up what was tried, in words."""
    total: Counter[str] = Counter()
    for each in tried:
        total += each.counts
    counts = {
        "examples": total["examples"],
        "batches served by two handlers": total["batches"],
        "calls they made": total["calls"],
        "times one had to wait": total["DONE"],
        **{f"calls: {fate.value}": total[fate.name] for fate in Fate if fate is not Fate.DONE},
    }
    return {"counts": counts, "failures": sum(bool(each.failure) for each in tried), "seconds": seconds}


if __name__ == "__main__":
    main()
