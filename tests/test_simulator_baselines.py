from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator_support import TICK, jobs, market, markets
from spotkeeper_lab.simulator import Greedy, Job, OnDemand, SpotOnly, TimeSliced, UniformProgress, play

IN_TIME = [OnDemand(), Greedy(), TimeSliced(), TimeSliced(slices=7), UniformProgress()]
JOB = Job(work_seconds=20 * TICK, deadline_seconds=40 * TICK, restart_seconds=TICK)


def run(policy, counts, job=JOB):
    whole = market(counts)
    return play(job, whole.windows([0], whole.ticks), policy, follow=0)


def kinds(runs):
    return "".join("s" if moment.spot else "o" if moment.on_demand else "." for moment in runs.moments)


def test_greedy_waits_for_spot_until_only_on_demand_is_in_time():
    runs = run(Greedy(), [0] * 40)
    assert kinds(runs) == "." * 18 + "o" * 21, "22 ticks are left for 20 of work and two starts"
    assert not runs.late[0]
    assert kinds(run(Greedy(), [0] * 5 + [1] * 35)) == "." * 5 + "s" * 21


def test_uniform_progress_buys_on_demand_as_soon_as_it_is_behind():
    assert kinds(run(UniformProgress(), [0] * 40))[:3] == ".oo"


def test_uniform_progress_leaves_on_demand_only_two_starts_ahead():
    """At tick t it has done t - 2 on on-demand; half of t + 2 is less than that from t = 7 on."""
    assert kinds(run(UniformProgress(), [0] * 2 + [1] * 38)).startswith("." + "o" * 6 + "s")
    assert kinds(run(UniformProgress(), [0] * 10 + [1] * 30)).startswith("." + "o" * 9 + "s")


def test_time_sliced_is_greedy_in_each_slice():
    seen = kinds(run(TimeSliced(slices=4), [0] * 40))
    assert seen.startswith("..." + "o" * 6), "a slice of ten ticks has five of work: it starts when seven are left"
    assert not run(TimeSliced(), [0] * 40).late[0]


def test_spot_only_is_late_where_there_is_no_spot():
    assert run(SpotOnly(), [0] * 30 + [1] * 10).late[0]


def test_a_gang_is_of_one_kind():
    runs = run(UniformProgress(), [2, 1, 3, 3] + [4] * 36, replace(JOB, nodes=4))
    assert {(moment.spot_held, moment.on_demand_held) for moment in runs.moments} <= {(0, 0), (4, 0), (0, 4)}


@pytest.mark.parametrize("policy", IN_TIME, ids=lambda policy: policy.name)
@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_spot_that_is_slower_than_on_demand_is_left_in_time(policy, rate):
    whole = market([1] * 45).paced({"x": rate})
    for ticks in (20, 30.4, 36.9):
        job = replace(JOB, work_seconds=ticks * TICK)
        assert not play(job, whole.windows([0], whole.ticks), policy).late[0], f"{ticks} ticks of work"


@settings(max_examples=60)
@given(
    data=st.data(),
    policy=st.sampled_from(IN_TIME),
    rate=st.sampled_from([1.0, 0.6, 0.3, 1.5]),
)
def test_none_but_spot_only_is_ever_late(data, policy, rate):
    """As long as no work is lost and a start is what it is said to be."""
    job = data.draw(jobs())
    lasts = job.work_seconds + job.changeover_seconds
    job = replace(job, deadline_seconds=40 * TICK if lasts < 39 * TICK else lasts + TICK)
    whole = data.draw(markets(ticks=45))
    runs = play(job, whole.paced({"x": rate}).windows([0], whole.ticks), policy)
    assert not runs.late[0]
