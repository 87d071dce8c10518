from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator_support import ON_DEMAND, TICK, jobs, market, markets
from spotkeeper_lab.simulator import BASELINES, Job, JobError, Traffic, optimum, play
from spotkeeper_lab.simulator.player import Wanted


class Planned:
    """Does at each tick what it was told; a letter a tick: spot, on-demand, nothing."""

    name, period, spot_at_first = "planned", np.inf, 0

    def __init__(self, plan):
        self.plan = plan

    def begin(self, job, windows):
        self.tick = -1
        return self

    def decide(self, seen):
        self.tick += 1
        kind = self.plan[self.tick] if self.tick < len(self.plan) else "."
        return Wanted(on_demand=np.array([int(kind == "o")]), spot=np.array([int(kind == "s")]))


@settings(max_examples=40)
@given(
    data=st.data(),
    policy=st.sampled_from(BASELINES),
    pools=st.integers(1, 3),
    nodes=st.sampled_from([1, 1, 3]),
    lossless=st.booleans(),
    rates=st.one_of(st.just([1.0] * 3), st.lists(st.sampled_from([0.3, 0.6, 1.0, 1.7]), min_size=3, max_size=3)),
    zones=st.sampled_from(["abc", "aab"]),
)
def test_no_policy_is_cheaper(data, policy, pools, nodes, lossless, rates, zones):
    whole = data.draw(markets(pools=pools, most=nodes))
    names = tuple(f"zone-{zone}_{kind}" for zone, kind in zip(zones[:pools], "xyz", strict=False))
    whole = replace(whole, pools=names, rates=tuple(rates[:pools]))
    job = data.draw(jobs(nodes=nodes, lossless=lossless))
    job = job if job.single_zone else replace(job, traffic=Traffic(bytes_per_step=0, dollars_per_gb=0))
    windows = whole.windows([0], whole.ticks)
    runs = play(job, windows, policy)
    if not runs.late[0]:
        assert runs.cost[0] >= optimum(job, windows)[0] * (1 - 1e-9)


@settings(max_examples=10)
@given(counts=st.lists(st.integers(0, 1), min_size=6, max_size=6), price=st.floats(0.1, 2.9), work=st.floats(1.0, 5.5))
def test_it_is_the_least_of_all_plans(counts, price, work):
    """Of a small job all plans can be tried."""
    whole = market(counts, prices=price)
    job = Job(work_seconds=round(work * TICK), deadline_seconds=6 * TICK, restart_seconds=120.0)
    windows = whole.windows([0], 6)
    costs = []
    for plan in itertools.product("so.", repeat=6):
        possible = all(kind != "s" or room for kind, room in zip(plan, counts, strict=True))
        if possible and (6 - plan.count(".")) * TICK >= job.work_seconds:
            runs = play(job, windows, Planned(plan))
            if not runs.late[0]:
                costs.append(float(runs.cost[0]))
    assert float(optimum(job, windows)[0]) == pytest.approx(min(costs))


def test_it_waits_for_spot_and_knows_when_that_is_too_short():
    job = Job(work_seconds=4 * TICK, deadline_seconds=20 * TICK, restart_seconds=TICK)

    def least(*counts):
        whole = market(*counts)
        return float(optimum(job, whole.windows([0], 20))[0]) * 3600 / TICK

    assert least([0] * 10 + [1] * 10) == pytest.approx(5 * 1.0)
    assert least([0] * 20) == pytest.approx(5 * ON_DEMAND)
    assert least([1, 0] * 10) == pytest.approx(5 * ON_DEMAND), "no spell outlasts a start"
    assert least(([1] * 3 + [0] * 3) * 3 + [0] * 2) == pytest.approx(6.0), "twice two of work and a start"
    assert least([1, 1, 1, 0] * 5, [0, 0, 0, 1] * 5) == pytest.approx(6.0)


def test_it_knows_how_fast_nodes_are():
    job = Job(work_seconds=4 * TICK, deadline_seconds=20 * TICK, restart_seconds=TICK / 2)

    def least(*rates, prices, job=job, pools=None):
        whole = market(*([2] * 20 for _ in rates), rates=rates, prices=prices, pools=pools)
        return float(optimum(job, whole.windows([0], 20))[0]) * 3600 / TICK

    assert least(0.5, prices=1.0) == pytest.approx(8.5)
    assert least(2.0, prices=1.0) == pytest.approx(2.5)
    assert least(0.5, 1.0, prices=[1.0, 1.5]) == pytest.approx(4.5 * 1.5)
    assert least(0.2, prices=1.0) == pytest.approx(4.5 * ON_DEMAND), "twenty ticks are too few for it"
    gang = replace(job, nodes=4)
    kinds = {"prices": [1.0, 1.5], "job": gang, "pools": ["zone-a_x", "zone-a_y"]}
    assert least(0.5, 1.0, **kinds) == pytest.approx(4.5 * (2 * 1.5 + 2 * ON_DEMAND)), "no gang of both: it is slow"
    assert least(0.8, 1.0, **kinds) == pytest.approx(5.5 * (2 * 1.0 + 2 * 1.5)), "both types, at the rate of the slow"


def test_a_gang_may_be_mixed_and_its_optimum_says_so():
    job = Job(work_seconds=4 * TICK, deadline_seconds=20 * TICK, nodes=4, restart_seconds=0.0)
    whole = market([3] * 20)
    assert optimum(job, whole.windows([0], 20))[0] == pytest.approx(4 * TICK / 3600 * (3 + ON_DEMAND))


def test_a_late_deadline_is_told_by_infinity_and_what_is_not_known_is_refused():
    whole = market([1] * 10)
    job = Job(work_seconds=9 * TICK, deadline_seconds=10 * TICK, restart_seconds=TICK)
    assert np.isfinite(optimum(job, whole.windows([0], 10))[0])
    assert np.isinf(optimum(job, whole.windows([0], 9))[0])
    with pytest.raises(JobError, match="minimum: was 1, expected 2"):
        optimum(replace(job, nodes=2, minimum=1), whole.windows([0], 10))
