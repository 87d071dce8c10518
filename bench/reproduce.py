"""Published results again, from the same traces, side by side with the figures that were published.

SkyNomad (NSDI 2027): the single-region rows of Uniform Progress on AWS V100s, 15 windows with prices by the tick, and
the optimum over three zones, five windows. Those simulators pay the last tick whole; with that rule ours is theirs to
the cent. By the second, as clouds bill, it is up to a tick less, which is given beside it.

Can't Be Late (NSDI 2024): 2,400 windows of 48 hours of work, a changeover of 0.2 hours, at four ratios of work to
deadline. The published table, at 0.8, counts hours of work and leaves out the changeovers: its rows add up to 48. An
independent re-run of the same windows with quicker rules for leaving on-demand is the other column.

Needs the public traces: SPOTKEEPER_TRACES names their folder.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import support

from spotkeeper_lab.simulator import (
    Greedy,
    Job,
    Market,
    OnDemand,
    Policy,
    Runs,
    TimeSliced,
    UniformProgress,
    Windows,
    named,
    optimum,
    play,
    traces_folder,
)

HOUR = 3600.0
RATIOS = (0.7, 0.8, 0.9, 0.96)
PUBLISHED = {"greedy": (30.8, 17.7, 17.2), "uniform-progress": (25.1, 15.3, 22.9), "omniscient": (20.7, 15.5, 27.4)}
"""Can't Be Late, table 3, ratio 0.8: hours of work on on-demand, their standard deviation, hours of work on spot."""
AGAIN = {"uniform-progress": (34.5, 36.7, 39.7, 43.6), "omniscient": (29.3, 31.3, 33.6, 36.6)}
"""The independent re-run: cost in hours of on-demand, by ratio."""


def main() -> None:
    asked = support.parser(__doc__).parse_args()
    folder = traces_folder()
    if folder is None:
        sys.exit("bench/reproduce.py needs the public traces: SPOTKEEPER_TRACES names no folder")
    rows = skynomad(folder)
    support.deliver("SkyNomad, Uniform Progress in one zone, $", rows, None)
    best = skynomad_optimum(folder)
    support.deliver("SkyNomad, optimum over three zones, $", best, None)
    runs = cant_be_late()
    support.deliver("Can't Be Late, cost in hours of on-demand", runs, None)
    hours = cant_be_late_hours(folder)
    support.deliver("Can't Be Late at 0.8, hours", hours, None)
    if asked.json:
        told = {"skynomad": rows, "skynomad_optimum": best, "cant_be_late": runs, "cant_be_late_hours": hours}
        asked.json.write_text(
            json.dumps({"benchmark": "reproduce", "machine": support.machine(), **told}, indent=1) + "\n"
        )


# ---------------------------------------------------------------- SkyNomad


def published(folder: Path) -> list[dict[str, str]]:
    path = folder / "skynomad" / "research" / "data" / "v100.csv"
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def job_of(row: Mapping[str, str], **changes: Any) -> Job:
    return Job(
        work_seconds=float(row["task_duration"]) * HOUR,
        deadline_seconds=float(row["deadline_hours"]) * HOUR,
        restart_seconds=float(row["restart_overhead"]) * HOUR,
        **changes,
    )


def windows_of(market: Market, rows: Sequence[Mapping[str, str]]) -> Windows:
    """Windows begin at the first tick that is not before the published hour."""
    starts = [math.ceil(float(row["env_start_hours"]) * HOUR / market.tick_seconds) for row in rows]
    ticks = math.ceil(float(rows[0]["deadline_hours"]) * HOUR / market.tick_seconds)
    return market.windows(starts, ticks)


def skynomad(folder: Path) -> list[dict[str, Any]]:
    market = named("v100-2023")
    assert isinstance(market, Market)
    by_zone = defaultdict(list)
    for row in published(folder):
        if row["task_type"] == "single_region":
            by_zone[row["region"]].append(row)
    found = []
    for zone, rows in by_zone.items():
        windows = windows_of(market.only([zone]), rows)
        job = job_of(rows[0])
        whole = play(replace(job, whole_ticks=True), windows, UniformProgress())
        second = play(job, windows, UniformProgress())
        least = optimum(job, windows)
        for number, row in enumerate(rows):
            cost = float(row["cost"])
            found.append(
                {
                    "zone": zone.partition("_")[0],
                    "window": int(row["window_index"]),
                    "published": cost,
                    "ours": float(whole.cost[number]),
                    "off_%": 100 * (float(whole.cost[number]) / cost - 1),
                    "by_the_second": float(second.cost[number]),
                    "on_demand": float(play(job, windows.of([number]), OnDemand()).cost[0]),
                    "optimum": float(least[number]),
                    "late": int(whole.late[number]),
                }
            )
    return found


def skynomad_optimum(folder: Path) -> list[dict[str, Any]]:
    market = named("v100-2023")
    assert isinstance(market, Market)
    rows = [row for row in published(folder) if row["strategy"] == "multi_region_oracle_dp"]
    zones = ["us-east-1c_v100_1", "us-east-2b_v100_1", "us-west-2a_v100_1"]
    least = optimum(job_of(rows[0]), windows_of(market.only(zones), rows))
    return [
        {
            "window": int(row["window_index"]),
            "published": float(row["cost"]),
            "ours": float(cost),
            "off_%": 100 * (float(cost) / float(row["cost"]) - 1),
        }
        for row, cost in zip(rows, least, strict=True)
    ]


# ---------------------------------------------------------------- Can't Be Late


def cant_be_late_job(ratio: float) -> Job:
    return Job(work_seconds=48 * HOUR, deadline_seconds=48 * HOUR / ratio, restart_seconds=0.2 * HOUR)


def cant_be_late() -> list[dict[str, Any]]:
    windows = named("cant-be-late")
    assert isinstance(windows, Windows)
    price = windows.market.on_demand_price
    found = []
    for number, ratio in enumerate(RATIOS):
        job = cant_be_late_job(ratio)
        row: dict[str, Any] = {"work/deadline": ratio}
        for policy in (Greedy(), TimeSliced(), UniformProgress()):
            runs = play(job, windows, policy)
            row[policy.name] = float(runs.cost.mean()) / price
            row["late"] = row.get("late", 0) + int(runs.late.sum())
        row["re-run UP"] = AGAIN["uniform-progress"][number]
        row["optimum"] = float(optimum(job, windows).mean()) / price
        row["re-run optimum"] = AGAIN["omniscient"][number]
        found.append(row)
    return found


def cant_be_late_hours(folder: Path) -> list[dict[str, Any]]:
    """Return hours by kind at 0.8, of all windows and of those that begin in the first and in the second half.

    Greedy has no rule that could be read in another way; by how much its hours move with the starts is by how much any
    policy's may. What the optimum pays by kind follows from how its cost moves with the price of on-demand.
    """
    windows = named("cant-be-late")
    assert isinstance(windows, Windows)
    job = cant_be_late_job(0.8)
    early = np.isin(np.arange(len(windows)) % 300, _early(folder))
    found = []
    for policy in (Greedy(), UniformProgress()):
        runs = play(job, windows, policy)
        for name, some in (("all", runs), ("early starts", runs.where(early)), ("late starts", runs.where(~early))):
            found.append(_hours(policy, name, some))
    found.append(_optimum_hours(job, windows))
    return found


def _early(folder: Path) -> list[int]:
    text = (folder / "derived" / "cbl_nsdi24_start_ticks.json").read_text()
    ticks = json.loads(text)["start_ticks"]
    middle = float(np.median(ticks))
    return [number for number, tick in enumerate(ticks) if tick < middle]


def _hours(policy: Policy, which: str, runs: Runs) -> dict[str, Any]:
    of_work = runs.on_demand_work / HOUR
    told = PUBLISHED[policy.name] if which == "all" else ("", "", "")
    return {
        "policy": policy.name,
        "windows": which,
        "published OD": told[0],
        "work on OD": float(of_work.mean()),
        "published ±": told[1],
        "±": float(of_work.std()),
        "published spot": told[2],
        "work on spot": float(runs.spot_work.mean()) / HOUR,
        "paid OD": float(runs.on_demand_seconds.mean()) / HOUR,
        "paid spot": float(runs.spot_seconds.mean()) / HOUR,
    }


def _optimum_hours(job: Job, windows: Windows) -> dict[str, Any]:
    market, step = windows.market, 1e-5
    dearer = replace(windows, market=replace(market, on_demand_price=market.on_demand_price * (1 + step)))
    least = optimum(job, windows)
    on_demand = (optimum(job, dearer) - least) / (market.on_demand_price * step)
    spot = (least - on_demand * market.on_demand_price) / float(market.prices[0, 0])
    told = PUBLISHED["omniscient"]
    return {
        "policy": "optimum",
        "windows": "all",
        "published OD": told[0],
        "published ±": told[1],
        "published spot": told[2],
        "paid OD": float(on_demand.mean()),
        "±": float(on_demand.std()),
        "paid spot": float(spot.mean()),
    }


if __name__ == "__main__":
    main()
