"""The deadline policy, held against its promise: in time, and never dearer than on-demand and the excess."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from deadline_world import HOUR, World
from spotkeeper_responder import Deadline, Market, Situation, Work
from spotkeeper_responder.deadline import NO_PRICE, NO_PROGRESS, TOO_DEAR, TOO_LATE

WORK = Work(time_left=20 * HOUR, remaining=10 * HOUR, whole=10 * HOUR, allowed=20 * HOUR)
MARKET = Market(spot_price=1.0, on_demand_price=3.0)
SHORT = Situation(missing=4, lasted=1.0, wanted=4, work=WORK, market=MARKET)
POLICY = Deadline(restart=720.0, release=60.0)
"""A restart is $2.40 of the whole gang on on-demand."""


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), chance=st.randoms(use_true_random=False), busy=st.sampled_from([0.02, 0.1, 0.5]))
def test_never_late_and_never_dearer(data: st.DataObject, chance: Random, busy: float) -> None:
    """Whatever the market does, in every world in which the assumptions hold."""
    world = _world(data)
    chance = Random(chance.random())
    while not world.finished:
        assert world.now < 2 * world.deadline
        restart = chance.choice([1.0, 0.3]) * world.policy.restart
        for part in chance.choice([(1.0,), (0.4, 0.6)]):  # the cloud takes nodes at any moment
            if chance.random() < busy:
                world.market(chance.randint(0, world.gang), restart)
                world.launch(restart)
            world.pass_time(part * world.policy.period)
        if chance.random() < 0.2:
            world.save()
        if not world.finished:
            world.look(restart, tells=chance.random() < 0.5)
    assert world.now <= world.deadline + 1e-6
    assert world.spent <= world.budget + 1e-6
    assert not [answer.problem for answer in world.answers if answer.problem]


def _world(data: st.DataObject) -> World:
    policy = Deadline(
        restart=data.draw(st.sampled_from([120.0, 720.0])),
        period=data.draw(st.sampled_from([60.0, 300.0])),
        release=data.draw(st.sampled_from([None, 0.0, 90.0])),
        excess=data.draw(st.sampled_from([None, None, 0.0, 5.0])),
    )
    gang = data.draw(st.integers(1, 4))
    work = data.draw(st.floats(1.0, 8.0)) * HOUR
    world = World(
        policy=policy,
        work=work,
        deadline=work * data.draw(st.floats(1.0, 2.0)) + policy.restart,
        gang=gang,
        least=data.draw(st.integers(1, gang)),
        spot_price=data.draw(st.floats(0.1, 3.5)),
        room=data.draw(st.integers(0, gang)),
    )
    world.look(policy.restart)
    return world


def test_a_failed_assumption_is_told_where_on_demand_is_refused() -> None:
    world = World(policy=POLICY, work=5 * HOUR, deadline=6 * HOUR, refuses_on_demand=True)
    for _ in range(6 * 60):
        world.look(720.0)
        world.pass_time(60.0)
    problems = [answer.problem for answer in world.answers]
    assert world.answers[-1].on_demand == 1
    assert problems.index(TOO_LATE) * 60 <= 1.1 * HOUR, "told as soon as it is known, and not at the deadline"
    assert set(problems[problems.index(TOO_LATE) :]) == {TOO_LATE}


def test_a_failed_assumption_is_told_where_the_job_has_cost_too_much() -> None:
    dear = replace(SHORT, market=replace(MARKET, spent=500.0))
    assert POLICY.answer(dear).problem == TOO_DEAR
    assert not replace(POLICY, money=False).answer(dear).problem


@pytest.mark.parametrize("final", [False, True])
def test_with_nothing_known_of_the_job_every_missing_node_is_bought(final: bool) -> None:
    answer = POLICY.answer(replace(SHORT, work=None, final=final))
    assert (answer.on_demand, answer.final, answer.problem) == (4, final, NO_PROGRESS)


@pytest.mark.parametrize("market", [replace(MARKET, spot_price=None), replace(MARKET, price_age=3601.0)])
def test_without_a_price_only_the_time_is_kept(market: Market) -> None:
    assert POLICY.answer(replace(SHORT, market=market)).problem == NO_PRICE
    urgent = replace(SHORT, market=market, work=replace(WORK, time_left=10.4 * HOUR))
    assert POLICY.answer(urgent).final
    assert not POLICY.answer(replace(SHORT, market=replace(market, spent=500.0))).final


def test_what_is_final_stays_final() -> None:
    answer = POLICY.answer(replace(SHORT, final=True))
    assert (answer.on_demand, answer.spot, answer.final, answer.problem) == (4, 0, True, "")


class TestWaiting:
    """Before on-demand is bought for what is missing."""

    EARNED = replace(MARKET, spent=2.0)
    """Four hours of work were done for so little that on-demand and the way back from it can be paid."""
    AHEAD = replace(WORK, remaining=6 * HOUR, time_left=13 * HOUR)
    BEHIND = replace(WORK, remaining=6 * HOUR, time_left=6.8 * HOUR, allowed=11.5 * HOUR)

    def test_while_more_time_is_to_spare_than_has_to_be(self) -> None:
        answer = POLICY.answer(replace(SHORT, lasted=3600.0, work=self.AHEAD, market=self.EARNED))
        assert (answer.on_demand, answer.spot) == (0, None)
        assert answer.holds_seconds == pytest.approx((13 - 6 - 0.9 * 6) * HOUR - 720.0), "then on-demand has to start"

    def test_what_is_missing_is_bought_after_that(self) -> None:
        gone = replace(SHORT, missing=3, serving=1, lasted=3600.0, work=self.BEHIND, market=self.EARNED)
        assert POLICY.answer(gone).on_demand == 3

    def test_but_not_sooner_than_it_would_start(self) -> None:
        long = replace(self.EARNED, spells=(99 * HOUR,) * 9)
        short = replace(SHORT, lasted=60.0, work=self.BEHIND, market=long)
        assert POLICY.answer(short).on_demand == 0
        assert POLICY.answer(short).holds_seconds == pytest.approx(660.0)
        assert POLICY.answer(replace(short, lasted=720.0)).on_demand == 4

    def test_unless_there_is_no_time_to_wait_so_long_at_every_spell(self) -> None:
        often = replace(SHORT, lasted=60.0, work=self.BEHIND, market=replace(self.EARNED, spells=(600.0,) * 32))
        assert POLICY.answer(often).on_demand == 4

    def test_nor_where_the_way_back_could_not_be_paid(self) -> None:
        late = replace(SHORT, lasted=3600.0, work=replace(WORK, time_left=11 * HOUR))
        assert replace(POLICY, excess=2.4).answer(late).on_demand == 0
        assert replace(POLICY, excess=10.0).answer(late).on_demand == 4

    def test_the_less_excess_is_left_the_later(self) -> None:
        even = replace(SHORT, lasted=3600.0, work=replace(WORK, time_left=17 * HOUR))
        bought = [replace(POLICY, excess=excess).answer(even).on_demand for excess in (4.0, 6.0, 8.0)]
        assert bought == [0, 0, 4]
        urgent = replace(even, work=replace(WORK, time_left=12 * HOUR))
        assert replace(POLICY, excess=6.0).answer(urgent).on_demand == 4

    def test_what_was_bought_is_kept_until_spot_is_back(self) -> None:
        held = replace(SHORT, held=4, lasted=3600.0, work=self.AHEAD, market=self.EARNED)
        assert (POLICY.answer(held).on_demand, POLICY.answer(held).spot) == (4, None)
        back = replace(held, missing=0, serving=4, lasted=0.0)
        assert POLICY.answer(back).on_demand == 0

    @pytest.mark.parametrize(
        ("allowed", "speeds", "bought"),
        [
            (11.5, (0, 0.25, 0.5, 0.75, 1), 3),  # all but one of the missing would be too slow
            (13.0, (0, 0.25, 0.5, 0.75, 1), 3),
            (15.0, (0, 0.25, 0.5, 0.75, 1), 2),  # 0.9 times half of the work's time is to spare: 0.69 is fast enough
            (15.0, (0, 0.1, 0.7, 0.9, 1), 1),
            (15.0, (0, 0, 0, 0, 1), 3),
            (15.0, (), 3),
        ],
    )
    def test_an_elastic_job_buys_as_many_as_keep_its_pace(
        self, allowed: float, speeds: tuple[float, ...], bought: int
    ) -> None:
        work = replace(self.BEHIND, allowed=allowed * HOUR, speeds=speeds)
        assert POLICY.answer(replace(SHORT, missing=3, serving=1, lasted=3600.0, work=work)).on_demand == bought
        held = replace(SHORT, missing=3, held=bought, serving=1, lasted=3600.0, work=work)
        assert POLICY.answer(held).on_demand == bought, "and holds them"


class TestSwitching:
    """No switch for a gain that is smaller than its cost."""

    HELD = replace(SHORT, held=4, work=TestWaiting.AHEAD, market=TestWaiting.EARNED)

    def test_spells_that_have_been_short_here_are_not_worth_it(self) -> None:
        dear = replace(TestWaiting.EARNED, spot_price=2.0)
        assert POLICY.answer(replace(self.HELD, market=dear)).spot is None
        answer = POLICY.answer(replace(self.HELD, market=replace(dear, spells=(600.0,) * 32)))
        assert (answer.on_demand, answer.spot) == (4, 0)

    def test_unless_nodes_are_replaced_at_once(self) -> None:
        short = replace(TestWaiting.EARNED, spot_price=2.2, spells=(1800.0,) * 32, gaps=(7200.0,) * 32)
        assert POLICY.answer(replace(self.HELD, market=short)).spot == 0
        assert POLICY.answer(replace(self.HELD, market=replace(short, gaps=(0.0,) * 28 + (7200.0,) * 4))).spot is None

    def test_the_shorter_they_are_the_more_has_to_be_to_spare(self) -> None:
        short = replace(TestWaiting.EARNED, spells=(1440.0,) * 392)  # 2,400 seconds with what was taken for true
        even = replace(TestWaiting.AHEAD, time_left=(6 + 5.4) * HOUR + 600.0)
        assert POLICY.answer(replace(self.HELD, work=even)).spot is None
        answer = POLICY.answer(replace(self.HELD, work=even, market=short))
        spell = POLICY.tuning.spell_of(short)
        assert (answer.on_demand, answer.spot) == (4, 0)
        assert answer.holds_seconds == pytest.approx((4 * 720.0**2 / spell - 600.0) / 0.9), "it gains as it works"
        assert POLICY.answer(replace(self.HELD, market=short)).spot is None, "with an hour and a half"

    def test_nor_is_a_start_that_the_excess_does_not_pay_for(self) -> None:
        poor = replace(TestWaiting.EARNED, spent=50.0)
        assert replace(POLICY, excess=2.4).answer(replace(self.HELD, market=poor)).spot == 0
        assert replace(POLICY, excess=9.0).answer(replace(self.HELD, market=poor)).spot is None

    def test_nor_is_a_price_close_to_that_of_on_demand(self) -> None:
        market = replace(TestWaiting.EARNED, spot_price=2.8)
        assert POLICY.answer(replace(self.HELD, market=market)).spot == 0

    def test_nor_the_little_work_that_is_left(self) -> None:
        work = replace(TestWaiting.AHEAD, remaining=600.0, time_left=4000.0)
        assert POLICY.answer(replace(self.HELD, work=work)).spot == 0

    def test_spot_that_costs_more_than_on_demand_is_not_asked_for(self) -> None:
        dear = replace(SHORT, work=TestWaiting.AHEAD, market=replace(TestWaiting.EARNED, spot_price=3.1))
        assert POLICY.answer(dear).spot == 0


def test_as_long_as_both_kinds_are_held_both_are_reckoned_with() -> None:
    runs = replace(SHORT, missing=0, serving=4)
    spot = POLICY.slack(runs, WORK, MARKET).money
    both = POLICY.slack(replace(runs, held=4), WORK, MARKET).money
    assert spot - both == pytest.approx(12.0 / HOUR * (60.0 + 60.0)), "until the next look, and until they are gone"
    alone = POLICY.slack(replace(SHORT, held=4), WORK, MARKET).money
    assert spot - alone == pytest.approx(12.0 / HOUR * 60.0)


def test_a_checkpoint_is_asked_for_before_an_invariant_breaks() -> None:
    runs = replace(SHORT, missing=0, serving=4, market=replace(MARKET, spent=8.0))
    safe = replace(WORK, remaining=7 * HOUR, unsaved=1200.0)
    assert not POLICY.answer(replace(runs, work=safe)).checkpoint
    near = replace(safe, time_left=7 * HOUR + 2 * 720.0 + 60.0 + 1200.0 + 1000.0)
    assert POLICY.answer(replace(runs, work=near)).checkpoint
    assert not POLICY.answer(replace(runs, work=replace(near, unsaved=30.0))).checkpoint, "nothing to renew"


def test_where_the_excess_does_not_pay_for_a_try_it_ends_before_the_job_has_restarted() -> None:
    world = World(policy=POLICY, work=5 * HOUR, deadline=20 * HOUR, spot_price=2.7, room=1)
    world.look(720.0)
    while not world.final:
        world.pass_time(60.0)
        world.look(720.0)
    assert world.now <= 720.0


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_an_answer_holds_for_as_long_as_it_says(data: st.DataObject) -> None:
    """Nothing but time passes, and the job works or not: within its time the answer is the same."""
    held, serving = data.draw(st.sampled_from([(0, 0), (0, 4), (4, 0), (0, 1)]))
    spent = data.draw(st.floats(0.0, 30.0))
    work = replace(
        WORK, remaining=data.draw(st.floats(600.0, 36000.0)), time_left=data.draw(st.floats(3600.0, 72000.0))
    )
    start = replace(
        SHORT, missing=4 - serving, held=held, serving=serving, work=work, market=replace(MARKET, spent=spent)
    )
    answer = POLICY.answer(start)
    seconds = 0.999 * min(answer.holds_seconds, 1e5)
    done = seconds * data.draw(st.sampled_from([0.0, 1.0])) * (held + serving) / 4
    burns = (held * 3.0 + serving * 1.0) / HOUR
    later = replace(
        start,
        lasted=start.lasted + seconds,
        work=replace(work, time_left=work.time_left - seconds, remaining=max(0.0, work.remaining - done)),
        market=replace(MARKET, spent=spent + burns * seconds),
    )
    if answer.final or not work.remaining > done:
        return
    again = POLICY.answer(later)
    assert (again.on_demand, again.spot, again.final) == (answer.on_demand, answer.spot, answer.final)
