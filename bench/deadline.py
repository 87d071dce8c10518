"""The deadline policy on data that it has not seen: what its promise costs, and what it saves, beside other policies.

Held out is by pool and by calendar time at once. Direction *2023 to 2022*: what the policy takes for true of a market
it knows nothing of, and the numbers at the head of its module, were chosen on seven zones of February 2023, and it is
judged on the 2,400 windows of Can't Be Late, which are of October 2022, in two other zones, on K80s and on one or eight
V100s. In direction *2022 to 2023* the prior is from the 2022 traces, and it is judged on those seven zones, with their
prices by the tick; the other numbers stay as they are. No tick and no pool is on both sides.

The excess is one restart by default; more of it lets the policy try spot more often. "off" is the same policy without
the money rule: the difference is the price of the promise.

Last, one job with all nine zones of 2023 to choose from, and with those of each region: it is in one at a time, goes to
the cheapest that has room when it is taken back, pays a restart for that, and nothing for the way of its checkpoint.
Uniform Progress and the optimum have the same zones. The starts are those of the 100 windows that were published of
these nine zones. Seven of the zones are those that the numbers were chosen on, one at a time; the prior is of 2022.

Needs the public traces: SPOTKEEPER_TRACES names their folder.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
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
from spotkeeper_responder.tuning import Tuning

HOUR = 3600.0
RATIOS = (0.7, 0.8, 0.9, 0.96)
WORK_HOURS, RESTART_HOURS = 48.0, 0.2
EXCESSES: tuple[float | None, ...] = (1, 2, 3, 6, None)
"""Restarts of the gang that the job may cost beyond on-demand; ``None``: the money rule is off."""
ZONES_2023 = ("us-east-1a", "us-east-1c", "us-east-1d", "us-east-1f", "us-east-2a", "us-east-2b", "us-west-2c")
"""The zones of 2023 that are not in the traces of 2022."""
EVERY_HOURS = 20.0
"""How far the starts of windows of 2023 are apart."""
PLACES = {"nine zones": "", "us-east-1": "us-east-1", "us-east-2": "us-east-2", "us-west-2": "us-west-2"}
"""What the zones begin with that one job may choose from."""


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--seen", action="store_true", help="judge on what the numbers were chosen on")
    asked = options.parse_args()
    folder = traces_folder()
    if folder is None:
        sys.exit("bench/deadline.py needs the public traces: SPOTKEEPER_TRACES names no folder")
    old, new = windows_of_2022(), windows_of_2023()
    priors = {"2023": prior_of(new), "2022": prior_of(old)}
    if asked.seen:
        tables = {"2023, as chosen": table(new, priors["2023"])}
    else:
        tables = {"2023 to 2022": table([old], priors["2023"]), "2022 to 2023": table(new, priors["2022"])}
        for place, windows in windows_of_places(folder).items():
            tables[f"2022 to 2023, one job in {place}"] = table([windows], priors["2022"])
    for name, rows in tables.items():
        support.deliver(f"The deadline policy, {name}: cost in hours of on-demand", rows, None)
    if asked.json:
        told = {name: {"spell_h": prior.spell / HOUR} for name, prior in priors.items()}
        asked.json.write_text(
            json.dumps({"benchmark": "deadline", "machine": support.machine(), "priors": told, **tables}, indent=1)
            + "\n"
        )


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


def prior_of(windows: Windows | Sequence[Windows]) -> Tuning:
    """Return how long spot lasts and is missing on average in the markets of ``windows``."""
    markets = [windows.market] if isinstance(windows, Windows) else [each.market for each in windows]
    lengths: dict[bool, list[float]] = {True: [], False: []}
    for market in markets:
        for row in market.counts > 0:
            edges = np.flatnonzero(np.diff(row.astype(np.int8))) + 1
            for first, end in pairwise(edges):
                lengths[bool(row[first])].append((end - first) * market.tick_seconds)
    return Tuning(spell=float(np.mean(lengths[True])))


def table(windows: Sequence[Windows], prior: Tuning) -> list[dict[str, Any]]:
    return [row(windows, prior, ratio) for ratio in RATIOS]


def row(windows: Sequence[Windows], prior: Tuning, ratio: float) -> dict[str, Any]:
    job = Job(
        work_seconds=WORK_HOURS * HOUR,
        deadline_seconds=WORK_HOURS / ratio * HOUR,
        restart_seconds=RESTART_HOURS * HOUR,
    )
    price = windows[0].market.on_demand_price
    up = _hours([play(job, each, UniformProgress()) for each in windows])
    best = np.concatenate([optimum(job, each) for each in windows]) / price
    found: dict[str, Any] = {"work/deadline": ratio, "windows": len(best), "UP": up.mean(), "optimum": best.mean()}
    found["on-demand"] = WORK_HOURS + RESTART_HOURS
    late = dear = 0
    began = time.process_time()
    for excess in EXCESSES:
        policy = Deadline(
            restart=job.changeover_seconds,
            release=job.save_seconds,
            excess=None if excess is None else excess * RESTART_HOURS * price,
            money=excess is not None,
            tuning=prior,
        )
        runs = [play(job, each, Responder(name="deadline", policy=policy)) for each in windows]
        cost = _hours(runs)
        name = "off" if excess is None else f"E={excess:g}"
        found[name] = cost.mean()
        found[f"closed, {name}"] = (up.mean() - cost.mean()) / (up.mean() - best.mean())
        late += sum(int(each.late.sum()) for each in runs)
        if excess is not None:
            dear += int((cost > WORK_HOURS + RESTART_HOURS * (1 + excess) + 1e-6).sum())
    found |= {"late": late, "beyond the excess": dear, "UP beyond one restart": _beyond(up)}
    return found | {"seconds a policy": (time.process_time() - began) / len(EXCESSES)}


def _hours(runs: Sequence[Runs]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what each window cost, in hours of on-demand."""
    return np.concatenate([each.cost / each.windows.market.on_demand_price for each in runs])


def _beyond(cost: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    return int((cost > WORK_HOURS + 2 * RESTART_HOURS + 1e-6).sum())


if __name__ == "__main__":
    main()
