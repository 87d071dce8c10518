"""The deadline policy on data that it has not seen: what its promise costs, and what it saves, beside other policies.

Held out is by pool and by calendar time at once: the 2,400 windows of Can't Be Late are of October 2022, in two zones,
on K80s and on one or eight V100s; the seven zones of February 2023 are others, on V100s, with their prices by the tick.
No tick and no pool is on both sides. Columns with an E are the policy as it ships, with so many restarts of excess, or
with its default; "off" is without the money rule: the difference is the price of the promise. "chosen apart" is the
policy with the default, and with numbers that a search over a few choices has found on the other side alone.

Last, one job with all nine zones of 2023 to choose from, and with those of each region: it is in one at a time, goes to
the cheapest that has room when it is taken back, pays a restart for that, and nothing for the way of its checkpoint.
Uniform Progress and the optimum have the same zones. The starts are those of the 100 windows that were published of
these nine zones; "chosen apart" is on 2022.

Needs the public traces: SPOTKEEPER_TRACES names their folder.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import support

from spotkeeper_lab.simulator import (
    Job,
    Market,
    Runs,
    UniformProgress,
    Windows,
    named,
    optimum,
    play,
    traces_folder,
)
from spotkeeper_lab.simulator.responder import Responder
from spotkeeper_lab.simulator.traces import read_archive
from spotkeeper_responder import Deadline
from spotkeeper_responder.tuning import USUAL, Tuning

HOUR = 3600.0
RATIOS = (0.7, 0.8, 0.9, 0.96)
WORK_HOURS, RESTART_HOURS = 48.0, 0.2
EXCESSES = {"E=1": 1.0, "E=2": 2.0, "E=3": 3.0, "E": None}
"""Restarts of the gang that the job may cost beyond on-demand; ``None``: the default."""
CHOICES = {"pace": (0.8, 0.9, 1.0), "leave": (2.0, 4.0), "patience": (1.0, 1.5)}
"""What the numbers are chosen from, apart."""
FEW = 8
"""Of the windows of 2022 every so many are looked at to choose."""
ZONES_2023 = ("us-east-1a", "us-east-1c", "us-east-1d", "us-east-1f", "us-east-2a", "us-east-2b", "us-west-2c")
"""The zones of 2023 that are not in the traces of 2022."""
EVERY_HOURS = 20.0
"""How far the starts of windows of 2023 are apart."""
PLACES = {"nine zones": "", "us-east-1": "us-east-1", "us-east-2": "us-east-2", "us-west-2": "us-west-2"}
"""What the zones begin with that one job may choose from."""


def main() -> None:
    asked = support.parser(__doc__).parse_args()
    folder = traces_folder()
    if folder is None:
        sys.exit("bench/deadline.py needs the public traces: SPOTKEEPER_TRACES names no folder")
    old, new = windows_of_2022(), windows_of_2023()
    on_2023 = chosen(new)
    on_2022 = chosen([old.of(range(0, len(old), FEW))])
    sets = {"2022, 2,400 windows": ([old], on_2023), "2023, seven zones apart": (new, on_2022)}
    for place, windows in windows_of_places(folder).items():
        sets[f"2023, one job in {place}"] = ([windows], on_2022)
    tables = {name: [row(windows, apart, ratio) for ratio in RATIOS] for name, (windows, apart) in sets.items()}
    for name, rows in tables.items():
        support.deliver(f"The deadline policy, {name}: cost in hours of on-demand", rows, None)
    told = {name: asdict(tuning) for name, tuning in (("2023", on_2023), ("2022", on_2022))}
    print(json.dumps({"chosen on": told}, indent=1))
    if asked.json:
        found = {"benchmark": "deadline", "machine": support.machine(), "chosen on": told, **tables}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


def windows_of_2022() -> Windows:
    windows = named("cant-be-late")
    assert isinstance(windows, Windows)
    return windows


def windows_of_2023() -> list[Windows]:
    """Return the windows of each zone, as long as the longest deadline."""
    market = named("v100-2023")
    assert isinstance(market, Market)
    ticks = int(np.ceil(WORK_HOURS / min(RATIOS) * HOUR / market.tick_seconds))
    starts = np.arange(0, market.ticks - ticks, int(EVERY_HOURS * HOUR / market.tick_seconds))
    return [market.only([f"{zone}_v100_1"]).windows(starts, ticks) for zone in ZONES_2023]


def windows_of_places(folder: Path) -> dict[str, Windows]:
    """Return windows in which one job has several zones to choose from.

    The published windows are too short for the longest deadline: they are found in the trace that they were cut from.
    """
    market = named("v100-2023")
    assert isinstance(market, Market)
    path = folder / "frontier-cs" / "cant_be_late_multi_real_traces.tar.gz"
    cut = read_archive(path, convention="preempted", together=True, on_demand_price=market.on_demand_price)
    market = market.only(cut.market.pools)
    bits = 2 ** np.arange(len(market.pools))
    whole, parts = bits @ market.counts, (bits @ cut.market.counts).reshape(len(cut), cut.ticks)
    views = np.lib.stride_tricks.sliding_window_view(whole, cut.ticks)
    starts = [int(np.flatnonzero((views == part).all(axis=1))[0]) for part in parts]
    ticks = int(np.ceil(WORK_HOURS / min(RATIOS) * HOUR / market.tick_seconds))
    return {
        place: market.only([pool for pool in market.pools if pool.startswith(begin)]).windows(starts, ticks)
        for place, begin in PLACES.items()
    }


def chosen(windows: Sequence[Windows]) -> Tuning:
    """Return the numbers that cost least in ``windows``, as a part of what Uniform Progress costs, over all ratios."""
    jobs = [job_of(ratio) for ratio in RATIOS]
    spell = Tuning(spell=spell_of([each.market for each in windows]))
    up = [_hours([play(job, each, UniformProgress()) for each in windows]).mean() for job in jobs]

    def cost(tuning: Tuning) -> float:
        played = [_played(job, windows, tuning=tuning)[0].mean() for job in jobs]
        return float(np.mean(np.array(played) / up))

    return min(
        (replace(spell, **dict(zip(CHOICES, some, strict=True))) for some in product(*CHOICES.values())), key=cost
    )


def spell_of(markets: Sequence[Market]) -> float:
    """Return how long spot lasts on average, seconds."""
    lengths: list[float] = []
    for market in markets:
        for line in market.counts > 0:
            edges = np.flatnonzero(np.diff(line.astype(np.int8))) + 1
            lengths += [(end - first) * market.tick_seconds for first, end in pairwise(edges) if line[first]]
    return float(np.mean(lengths))


def job_of(ratio: float) -> Job:
    return Job(
        work_seconds=WORK_HOURS * HOUR,
        deadline_seconds=WORK_HOURS / ratio * HOUR,
        restart_seconds=RESTART_HOURS * HOUR,
    )


def row(windows: Sequence[Windows], apart: Tuning, ratio: float) -> dict[str, Any]:
    job = job_of(ratio)
    up = _hours([play(job, each, UniformProgress()) for each in windows])
    best = np.concatenate([optimum(job, each) for each in windows]) / windows[0].market.on_demand_price
    found: dict[str, Any] = {"work/deadline": ratio, "windows": len(best), "UP": up.mean(), "optimum": best.mean()}
    gap, late, dear, began = up.mean() - best.mean(), 0, 0, time.process_time()

    def add(name: str, **settings: Any) -> None:
        nonlocal late, dear
        cost, missed, beyond = _played(job, windows, **settings)
        found[name], found[f"closed, {name}"] = cost.mean(), (up.mean() - cost.mean()) / gap
        late, dear = late + missed, dear + beyond

    for name, restarts in EXCESSES.items():
        add(name, restarts=restarts)
    add("chosen apart", tuning=apart)
    add("off", money=False)
    found |= {"late": late, "beyond E": dear, "UP beyond on-demand and a restart": _beyond(up, RESTART_HOURS)}
    return found | {"seconds a policy": (time.process_time() - began) / (len(EXCESSES) + 2)}


def _played(
    job: Job,
    windows: Sequence[Windows],
    *,
    tuning: Tuning = USUAL,
    restarts: float | None = None,
    money: bool = True,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], int, int]:
    """Return what each window cost, how many were late, and how many cost more than on-demand and the excess."""
    price = windows[0].market.on_demand_price
    policy = Deadline(
        restart=job.changeover_seconds,
        release=job.save_seconds,
        excess=None if restarts is None else restarts * RESTART_HOURS * price,
        money=money,
        tuning=tuning,
    )
    runs = [play(job, each, Responder(name="deadline", policy=policy)) for each in windows]
    cost, excess = _hours(runs), policy.excess_of(price / HOUR, job.work_seconds) / price
    return cost, sum(int(each.late.sum()) for each in runs), _beyond(cost, excess) if money else 0


def _hours(runs: Sequence[Runs]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what each window cost, in hours of on-demand."""
    return np.concatenate([each.cost / each.windows.market.on_demand_price for each in runs])


def _beyond(cost: np.ndarray[Any, np.dtype[np.float64]], excess: float) -> int:
    return int((cost > WORK_HOURS + RESTART_HOURS + excess + 1e-6).sum())


if __name__ == "__main__":
    main()
