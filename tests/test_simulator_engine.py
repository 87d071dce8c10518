from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator_support import ON_DEMAND, TICK, jobs, market, markets
from spotkeeper_lab.simulator import (
    BASELINES,
    Job,
    JobError,
    OnDemand,
    SpotOnly,
    Traffic,
    UniformProgress,
    Wanted,
    play,
)

POLICIES = st.sampled_from(BASELINES)


class Fixed:
    """Wants the same all the time."""

    name, period, spot_at_first = "fixed", np.inf, 0

    def __init__(self, spot, on_demand):
        self.spot, self.on_demand = spot, on_demand

    def begin(self, job, windows):
        return self

    def decide(self, seen):
        rows = np.ones(len(seen.done), dtype=np.int64)
        return Wanted(on_demand=rows * self.on_demand, spot=rows * self.spot)


def run(job, counts, policy=None, **options):
    """The only run of a job in a market of one pool, or of several."""
    lists = counts if isinstance(counts[0], list) else [counts]
    whole = market(*lists, **{key: options.pop(key) for key in ("prices", "rates") if key in options})
    return play(job, whole.windows([0], whole.ticks), policy or SpotOnly(), **options)


def test_on_demand_alone_costs_the_work_and_one_start_to_the_second():
    job = Job(work_seconds=1000.0, deadline_seconds=3000.0, nodes=2, restart_seconds=100.0, boot_seconds=50.0)
    runs = run(job, [0] * 10, OnDemand())
    assert runs.finished_at[0] == pytest.approx(1150)
    assert runs.cost[0] == pytest.approx(1150 * 2 * ON_DEMAND / 3600)
    whole = run(replace(job, whole_ticks=True), [0] * 10, OnDemand())
    assert whole.cost[0] == pytest.approx(4 * TICK * 2 * ON_DEMAND / 3600), "four ticks are begun"


def test_an_interruption_costs_a_start_and_what_no_notice_saves():
    up = [1] * 2 + [0] + [1] * 7
    job = Job(work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=100.0)
    kept = run(job, up)
    assert kept.finished_at[0] == pytest.approx(900 + 100 + (900 - 500))
    assert (kept.switches[0], kept.interruptions[0], kept.lost_work[0]) == (1, 1, 0)
    lost = run(replace(job, notice_coverage=0.0), up)
    assert lost.lost_work[0] == pytest.approx(500), "nothing was ever saved"
    assert lost.finished_at[0] == pytest.approx(900 + 100 + 900)
    saved = run(replace(job, notice_coverage=0.0, checkpoint_seconds=150.0, save_seconds=60.0), up)
    assert saved.lost_work[0] == pytest.approx(200), "the save that began at 450 was not published at 500"
    assert saved.finished_at[0] == pytest.approx(900 + 100 + 600 + 60), "the last one has to be"


def test_a_node_that_is_taken_back_is_paid_for_its_notice():
    job = Job(work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=0.0)
    up = [1] * 2 + [0] + [1] * 7
    assert run(replace(job, notice_seconds=120.0), up).cost - run(job, up).cost == pytest.approx(120 / 3600)


def test_a_node_that_is_given_back_is_paid_until_it_is_gone():
    job = Job(work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=0.0)
    up = [0] * 2 + [1] * 8
    later = run(replace(job, release_seconds=60.0), up, UniformProgress())
    at_once = run(job, up, UniformProgress())
    assert at_once.switches[0] == 1
    assert later.cost - at_once.cost == pytest.approx(60 * ON_DEMAND / 3600)
    assert later.on_demand_seconds - at_once.on_demand_seconds == pytest.approx(60)


def test_nodes_boot_before_they_work_and_are_paid_from_their_launch():
    runs = run(Job(work_seconds=600.0, deadline_seconds=3000.0, restart_seconds=60.0, boot_seconds=400.0), [1] * 10)
    assert runs.finished_at[0] == pytest.approx(1060)
    assert runs.spot_seconds[0] == pytest.approx(1060)


def test_a_job_that_works_goes_on_while_others_boot():
    """On-demand is given up only by the policy: here it never is, so that both are paid to the end."""
    job = Job(work_seconds=1500.0, deadline_seconds=3000.0, restart_seconds=60.0, boot_seconds=100.0)
    runs = run(job, [0] * 2 + [1] * 8, Fixed(1, 1))
    # 160 s to start on-demand; spot is launched at 600 and ready at 700, then one start
    assert runs.finished_at[0] == pytest.approx(160 + 1500 + 60)
    assert runs.on_demand_work[0] == pytest.approx(700 - 160)
    assert runs.switches[0] == 1


def test_periodic_saves_slow_it_and_a_gentle_change_saves_first():
    job = Job(
        work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=0.0, checkpoint_seconds=90.0, pause_seconds=10.0
    )
    assert run(job, [1] * 10).finished_at[0] == pytest.approx(1000)


def test_a_group_launches_where_there_is_room_the_cheapest_first():
    job = Job(
        work_seconds=300.0, deadline_seconds=3000.0, nodes=4, restart_seconds=0.0, single_zone=False,
        traffic=Traffic(bytes_per_step=36e9, dollars_per_gb=0.1),
    )  # fmt: skip
    runs = run(job, [[2] * 10, [3] * 10], prices=[2.0, 1.0])
    assert runs.cost[0] == pytest.approx((3 * 1 + 1 * 2) * 300 / 3600 + 300 * 3.6)
    assert runs.traffic_cost[0] == pytest.approx(300 * 3.6)
    together = run(replace(job, traffic=None, single_zone=True), [[2] * 10, [4] * 10], prices=[0.5, 1.0])
    assert together.cost[0] == pytest.approx(4 * 300 / 3600), "only one zone has room for all"


@pytest.mark.parametrize("policy", [SpotOnly(), UniformProgress()])
def test_a_node_that_is_taken_back_is_replaced_in_another_zone_at_once_and_stays_there(policy):
    job = Job(work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=60.0)
    runs = run(job, [[1, 1, 0] + [1] * 7, [1] * 10, [1] * 10], policy, prices=[0.5, 2.0, 1.0])
    assert runs.finished_at[0] == pytest.approx(60 + 540 + 60 + 360)
    assert runs.cost[0] == pytest.approx((600 * 0.5 + 420 * 1.0) / 3600), "the cheapest that has room"
    assert (runs.switches[0], runs.interruptions[0]) == (1, 1)


def test_a_mixed_gang_runs_at_the_slowest_types_rate():
    job = Job(work_seconds=300.0, deadline_seconds=3000.0, nodes=4, restart_seconds=0.0, single_zone=False,
              traffic=Traffic(bytes_per_step=0, dollars_per_gb=0))  # fmt: skip
    assert run(job, [[2] * 10, [2] * 10], rates=(1.0, 0.5)).finished_at[0] == pytest.approx(600)
    assert run(job, [[4] * 10, [0] * 10], rates=(1.0, 0.5)).finished_at[0] == pytest.approx(300)


def test_a_gang_in_one_zone_may_be_of_its_types():
    job = Job(work_seconds=300.0, deadline_seconds=3000.0, nodes=4, restart_seconds=0.0)
    whole = market([3] * 10, [2] * 10, [2] * 10, pools=["zone-b_x", "zone-a_x", "zone-a_y"], prices=[0.1, 1.0, 2.0])
    runs = play(job, whole.paced({"y": 0.5}).windows([0], 10), SpotOnly())
    assert runs.finished_at[0] == pytest.approx(600), "zone b is cheaper and has not room for four"
    assert runs.cost[0] == pytest.approx(600 * (2 * 1.0 + 2 * 2.0) / 3600)


def test_an_elastic_job_works_on_what_there_is():
    job = Job(work_seconds=600.0, deadline_seconds=3000.0, nodes=4, minimum=1, restart_seconds=0.0)
    runs = run(job, [2] * 2 + [4] * 8)
    assert runs.finished_at[0] == pytest.approx(600 + 300)
    assert runs.spot_seconds[0] == pytest.approx(2 * 600 + 4 * 300)


def test_the_base_is_held_on_on_demand_all_the_time():
    job = Job(work_seconds=600.0, deadline_seconds=3000.0, nodes=4, base=1, restart_seconds=0.0)
    runs = run(job, [3] * 10)
    assert (runs.on_demand_seconds[0], runs.spot_seconds[0]) == (pytest.approx(600), pytest.approx(1800))
    assert runs.finished_at[0] == pytest.approx(600)


def test_a_late_job_goes_on_and_an_unfinished_one_is_told():
    job = Job(work_seconds=600.0, deadline_seconds=900.0, restart_seconds=0.0)
    late = run(job, [0] * 4 + [1] * 6)
    assert (late.finished_at[0], late.late[0], late.unfinished[0]) == (1800, True, False)
    never = run(job, [0] * 10)
    assert (never.late[0], never.unfinished[0], never.cost[0]) == (True, True, 0)


def test_the_course_of_one_run_is_kept():
    job = Job(work_seconds=900.0, deadline_seconds=3000.0, restart_seconds=100.0)
    runs = run(job, [1] * 2 + [0] + [1] * 7, follow=0)
    assert [(moment.at, moment.spot) for moment in runs.moments[:4]] == [(0, 1), (300, 1), (600, 0), (900, 1)]
    assert runs.moments[-1].spent == pytest.approx(runs.cost[0])
    assert runs.moments[-1].done == 900


def test_what_crosses_zones_has_to_be_stated():
    job = Job(work_seconds=300.0, deadline_seconds=3000.0, nodes=2, single_zone=False)
    with pytest.raises(JobError, match=r"traffic: was not given, expected bytes a step and \$/GB"):
        run(job, [[2] * 10, [2] * 10])


def test_a_window_has_to_hold_the_deadline():
    with pytest.raises(JobError, match=r"windows: was 0.8333h long, expected at least the deadline, 2h"):
        run(Job(work_seconds=300.0, deadline_seconds=7200.0), [1] * 10)


@settings(max_examples=60)
@given(data=st.data(), policy=POLICIES, nodes=st.sampled_from([1, 3]))
def test_every_second_is_paid_once_and_all_work_is_somebodys(data, policy, nodes):
    whole = data.draw(markets(most=nodes))
    job = data.draw(jobs(nodes=nodes, lossless=False))
    runs = play(job, whole.windows([0], whole.ticks), policy, seed=data.draw(st.integers(0, 9)), follow=0)
    price = float(whole.prices[0, 0])
    paid = (runs.spot_seconds * price + runs.on_demand_seconds * ON_DEMAND) / 3600
    assert runs.cost[0] == pytest.approx(paid[0])
    work = runs.spot_work + runs.on_demand_work - runs.lost_work
    assert work[0] == pytest.approx(runs.moments[-1].done)
    if not runs.unfinished[0]:
        assert work[0] == pytest.approx(job.work_seconds)
    notices = runs.interruptions[0] * job.notice_seconds
    held = sum((moment.spot_held + moment.on_demand_held) * moment.seconds for moment in runs.moments)
    assert runs.spot_seconds[0] + runs.on_demand_seconds[0] == pytest.approx(held + notices)
    assert all(moment.spot_held <= nodes for moment in runs.moments)


@settings(max_examples=25)
@given(data=st.data(), policy=POLICIES)
def test_windows_do_not_disturb_each_other_and_a_seed_is_a_seed(data, policy):
    whole = data.draw(markets(ticks=80))
    job = data.draw(jobs(ticks=40))
    starts = [0, 7, 40]
    both = play(job, whole.windows(starts, 40), policy)
    for number, start in enumerate(starts):
        alone = play(job, whole.windows([start], 40), policy)
        assert alone.cost[0] == both.cost[number]
    lossy = data.draw(jobs(ticks=40, lossless=False))
    first, second = (play(lossy, whole.windows(starts, 40), policy, seed=3) for _ in range(2))
    assert first.cost.tolist() == second.cost.tolist()
