"""What others have published of the same traces: figures that nobody here has made."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import replace

import pytest

from simulator_support import needs_traces
from spotkeeper_lab.simulator import Job, UniformProgress, named, optimum, play, traces_folder

pytestmark = needs_traces
ZONES = ["us-east-1c_v100_1", "us-east-2b_v100_1", "us-west-2a_v100_1"]


@pytest.fixture(scope="module")
def rows():
    folder = traces_folder()
    assert folder is not None
    with (folder / "skynomad" / "research" / "data" / "v100.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def market():
    return named("v100-2023").only(ZONES)


def job_of(row):
    work, deadline, restart = (
        float(row[name]) * 3600 for name in ("task_duration", "deadline_hours", "restart_overhead")
    )
    return Job(work_seconds=work, deadline_seconds=deadline, restart_seconds=restart)


def windows_of(market, rows):
    starts = [math.ceil(float(row["env_start_hours"]) * 3600 / market.tick_seconds) for row in rows]
    return market.windows(starts, math.ceil(float(rows[0]["deadline_hours"]) * 3600 / market.tick_seconds))


def test_uniform_progress_costs_what_skynomad_has_published_in_each_of_15_windows(rows, market):
    by_zone = defaultdict(list)
    for row in rows:
        if row["task_type"] == "single_region":
            by_zone[row["region"]].append(row)
    assert sorted(by_zone) == ZONES
    for zone, own in by_zone.items():
        job = replace(job_of(own[0]), whole_ticks=True)
        runs = play(job, windows_of(market.only([zone]), own), UniformProgress())
        assert len(own) == 5
        for cost, row in zip(runs.cost, own, strict=True):
            assert cost == pytest.approx(float(row["cost"]), rel=1e-4)


def test_the_optimum_is_the_published_one_but_for_how_delays_are_rounded(rows, market):
    published = [row for row in rows if row["strategy"] == "multi_region_oracle_dp"]
    least = optimum(job_of(published[0]), windows_of(market, published))
    for cost, row in zip(least, published, strict=True):
        assert cost == pytest.approx(float(row["cost"]), rel=0.01)


def test_the_windows_of_cant_be_late_cost_what_an_independent_run_has_found():
    """That run's optimum and greedy; every eighth window is enough to see the ratio of both."""
    windows = named("cant-be-late").of(range(0, 2400, 8))
    job = Job(work_seconds=48 * 3600, deadline_seconds=60 * 3600, restart_seconds=720)
    assert optimum(job, windows).mean() / windows.market.on_demand_price == pytest.approx(31.3, rel=0.03)
