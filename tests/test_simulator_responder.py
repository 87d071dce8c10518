from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator_support import TICK, jobs, market, markets
from spotkeeper_lab.simulator import Job, play
from spotkeeper_lab.simulator.responder import Responder
from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.fallback import Answer, Mirror, Never, Patient

JOB = Job(work_seconds=10 * TICK, deadline_seconds=40 * TICK, restart_seconds=60.0)


class Watched(Deadline):
    """Notes what it was asked."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.__dict__["asked"] = []

    def answer(self, situation):
        self.asked.append(situation)
        return super().answer(situation)


class Scripted(Deadline):
    """Answers what it was told to, the last answer for ever."""

    def __init__(self, *answers):
        super().__init__(restart=60.0, excess=100.0)
        self.__dict__["answers"] = list(answers)

    def answer(self, _situation):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Restless(Responder):
    """Looks at every tick, whatever it was told."""

    def begin(self, job, windows):
        player = super().begin(job, windows)
        player.due = lambda seen: seen.asked
        player._until = lambda _holding, now, _held, _nodes: now
        return player


def run(policy, counts, job=JOB, kind=Responder, **options):
    whole = market(counts)
    return play(job, whole.windows([0], whole.ticks), kind(name="x", policy=policy, **options), follow=0)


def held(runs):
    """On-demand nodes over time, at whose changes."""
    seen = []
    for moment in runs.moments:
        if not seen or seen[-1][1] != moment.on_demand_held:
            seen.append((moment.at, moment.on_demand_held))
    return seen


def test_mirror_buys_what_is_missing_at_once_and_gives_it_back_when_spot_has_been_back():
    up = [1] * 2 + [0] * 2 + [1] * 36
    assert held(run(Mirror(), up)) == [(0, 0), (600, 1), (1200, 0)]
    slow = run(Mirror(), up, hysteresis_seconds=200.0)
    assert held(slow) == [(0, 0), (600, 1), (1400, 0)]


def test_what_boots_is_not_missing():
    runs = run(Mirror(), [1] * 40, replace(JOB, boot_seconds=400.0))
    assert held(runs) == [(0, 0)]
    assert runs.spot_seconds[0] == pytest.approx(400 + 60 + 10 * TICK)


def test_on_demand_is_kept_until_spot_has_joined():
    runs = run(Mirror(), [0] * 2 + [1] * 38, replace(JOB, boot_seconds=400.0))
    assert held(runs) == [(0, 1), (1060, 0)], "spot is launched at 600, joins at 1000 and is seen 60 s later"


def test_never_waits_and_patient_waits_as_long_as_it_is_told():
    up = [1] * 2 + [0] * 4 + [1] * 34
    assert held(run(Never(), up)) == [(0, 0)]
    assert held(run(Patient(450.0), up)) == [(0, 0), (1050, 1), (1800, 0)]
    assert held(run(Patient(1300.0), up)) == [(0, 0)]


def test_it_is_told_what_the_ledger_would_tell():
    watched, job = Watched(restart=60.0, excess=100.0), replace(JOB, notice_coverage=0.0, checkpoint_seconds=240.0)
    run(watched, [1] * 4 + [0] * 2 + [1] * 34, job, Restless)
    at = {round(JOB.deadline_seconds - each.work.time_left): each for each in watched.asked}
    first, lost, back = at[0], at[1200], at[1860]
    assert (first.missing, first.serving, first.wanted, first.work.whole) == (0, 1, 1, JOB.work_seconds)
    assert (lost.missing, lost.lasted, lost.market.ages) == (1, 0.0, ())
    assert lost.market.spells == (1140.0,), "from the tick that saw it first to the one that saw it last"
    assert lost.work.remaining == pytest.approx(JOB.work_seconds - 4 * 240)
    assert lost.work.unsaved == 0, "it is lost"
    assert at[1140].work.unsaved == pytest.approx(1140 - 60 - 4 * 240)
    assert (back.market.gaps, back.market.ages) == ((600.0,), (60.0,))
    assert lost.market.spent == pytest.approx(1200 / 3600)
    assert (lost.market.spot_price, lost.market.on_demand_price) == (1.0, 3.0)


def test_between_two_ticks_the_last_answer_of_the_deadline_policy_stands():
    policy = Scripted(Answer(on_demand=0), Answer(on_demand=1))
    assert held(run(policy, [1] * 4 + [0] * 36)) == [(0, 0), (1200, 1)], "it is asked at once when a node is lost"
    buys = Scripted(Answer(on_demand=2), Answer(on_demand=2), Answer(on_demand=0))
    runs = run(buys, [1] * 4 + [0] * 36, replace(JOB, nodes=2, restart_seconds=0.0))
    assert held(runs)[:3] == [(0, 1), (1200, 2), (1260, 0)], "it has bought what was missing, so it goes on to"


def test_it_learns_how_fast_an_elastic_job_is_on_fewer_nodes_and_nothing_of_it_for_a_gang():
    job = replace(JOB, nodes=4, checkpoint_seconds=90.0, pause_seconds=10.0, deadline_seconds=100 * TICK)
    up = [1] * 10 + [2] * 10 + [3] * 10 + [4] * 70
    first, last = {}, {}
    for name, each, options in [
        ("gang", job, {}),
        ("proportion", replace(job, minimum=2), {}),
        ("told", replace(job, minimum=1, speeds=(0.1, 0.15, 0.2, 1.0)), {}),
        ("untold", replace(job, minimum=1), {"elastic": False}),
    ]:
        watched = Watched(restart=60.0, excess=100.0)
        run(watched, up, each, Restless, **options)
        first[name], last[name] = watched.asked[0].work.speeds, watched.asked[-1].work.speeds
    assert (last["gang"], last["untold"]) == ((), ())
    assert first["proportion"] == pytest.approx((0, 0, 0.5, 0.75, 1))
    assert first["told"] == pytest.approx((0, 0.25, 0.5, 0.75, 1)), "nothing was seen of it"
    assert last["told"] == pytest.approx((0, 0.1, 0.15, 0.2, 1)), "its usual speed is that with all, pauses included"


def test_an_answer_may_give_up_spot_save_and_be_final():
    runs = run(Scripted(Answer(on_demand=1, spot=0, final=True)), [1] * 40)
    assert (runs.spot_seconds[0], runs.on_demand_seconds[0]) == (0, pytest.approx(60 + 10 * TICK))
    job = replace(JOB, notice_coverage=0.0, checkpoint_seconds=1e6)
    assert run(Never(), [1, 1, 1, 0] + [1] * 36, job).lost_work[0] == pytest.approx(840)
    saves = Scripted(Answer(on_demand=0, holds_seconds=600.0), Answer(on_demand=0, checkpoint=True, holds_seconds=1e9))
    assert run(saves, [1, 1, 1, 0] + [1] * 36, job).lost_work[0] == pytest.approx(300), "it saved at 600"


class Half(Deadline):
    """Wants two on-demand nodes at most, as a plan for an elastic job may."""

    def answer(self, situation):
        return Answer(on_demand=min(2, situation.missing), holds_seconds=1e9)


def test_a_part_of_what_is_missing_is_bought_and_kept_until_spot_has_joined():
    job = replace(JOB, nodes=4, minimum=1, boot_seconds=400.0, work_seconds=20 * TICK)
    assert held(run(Half(restart=60.0, excess=100.0), [1] * 4 + [4] * 36, job)) == [(0, 2), (1660, 0)], (
        "1200, the boot and a look"
    )


@settings(max_examples=30)
@given(
    data=st.data(),
    policy=st.sampled_from([Never(), Mirror(), Patient(240.0), Patient(1740.0)]),
    hysteresis=st.sampled_from([0.0, 240.0]),
)
def test_to_skip_calls_while_an_answer_holds_changes_nothing(data, policy, hysteresis):
    whole = data.draw(markets(most=2))
    job = data.draw(jobs(nodes=2, lossless=False))
    job = replace(job, single_zone=True)
    windows = whole.windows([0], whole.ticks)
    few = play(job, windows, Responder(name="few", policy=policy, hysteresis_seconds=hysteresis))
    many = play(job, windows, Restless(name="many", policy=policy, hysteresis_seconds=hysteresis))
    looks = 2 * 60.0 * (2 + float(few.switches[0]))  # the other one sees a time that is up at its next look
    assert few.on_demand_seconds[0] == pytest.approx(many.on_demand_seconds[0], abs=looks)


@settings(max_examples=30)
@given(data=st.data(), nodes=st.sampled_from([1, 3]), rate=st.sampled_from([1.0, 0.6, 0.3, 1.5]))
def test_the_deadline_policy_is_in_time_and_not_dearer_than_it_may_be(data, nodes, rate):
    """As long as its assumptions hold: nothing is lost, and a start takes no longer than it is told."""
    whole = data.draw(markets(ticks=45, most=nodes))
    job = data.draw(jobs(nodes=nodes))
    restart = job.changeover_seconds
    least = job.work_seconds + restart
    job = replace(job, single_zone=True, deadline_seconds=max(40 * TICK, least + 1))
    windows = whole.paced({"x": rate}).windows([0], whole.ticks)
    policy = Deadline(restart=restart)
    runs = play(job, windows, Responder(name="deadline", policy=policy))
    gang = nodes * 3.0 / 3600
    assert not runs.late[0]
    excess = policy.excess_of(gang, job.work_seconds / job.usual_speed)
    assert runs.cost[0] <= gang * (job.work_seconds + restart) + excess + 1e-6
