"""What the responder asks the deadline policy, what it remembers of it, and what it does with the answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder_support import FLEET, T0, SimFleet, instances, ledger, node, notice, seen, spec, view
from spotkeeper_ledger import (
    DRAIN,
    REBALANCE,
    Account,
    AnnouncementRecord,
    DeadlineSpec,
    FleetLedger,
    FleetSpec,
    Goodput,
    PlanRecord,
    PriceRecord,
    Progress,
)
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Decision,
    FleetView,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    PriceTold,
    Tick,
    decide,
    plans,
    settle,
)
from spotkeeper_responder.deadline import NO_PROGRESS, TOO_LATE
from spotkeeper_responder.reconcile import fresh

HOUR = 3600.0
TERMS = DeadlineSpec(
    on_demand_price=3.0, hours=20.0, work_hours=10.0, spot_price=1.0, restart_seconds=720.0, release_seconds=120.0
)
WANTED = spec("deadline", deadline=TERMS)
FULL = view(instances(range(1, 5)))
STEADY = ledger(seen=seen(range(1, 5)), spot_desired=4, backup_desired=0, account=Account(since=T0 - HOUR))
LATER = T0 + 60.0


def progress(**changes: object) -> Progress:
    told = Progress(FLEET, "AROATEST", 1, node(1), T0, step=300, total=1000, published_step=300, published_at=T0)
    return replace(told, **changes)  # type: ignore[arg-type]  # tests name fields as they are


def tick(known: FleetLedger, at: float = T0, *, seen_now: FleetView = FULL, **told: object) -> Decision:
    """The decision of a tick at which the job tells its progress."""
    looked = replace(seen_now, reported_at=dict.fromkeys(seen_now.nodes(), at), progress=progress(at=at, **told))
    return decide(WANTED, looked, known, [Tick()], at)


def plan_of(decision: Decision) -> PlanRecord:
    account = decision.ledger.account
    assert account is not None
    assert account.plan is not None
    return account.plan


class TestWork:
    """From the job's progress to what is left to do."""

    ACCOUNT = Account(since=T0)

    def test_it_is_the_users_hours_by_the_steps_of_the_last_checkpoint(self) -> None:
        work = plans.work_of(WANTED, TERMS, self.ACCOUNT, progress(step=400), T0 + 30)
        assert work is not None
        assert (work.whole, work.remaining, work.unsaved) == (10 * HOUR, 7 * HOUR, 1 * HOUR)
        assert (work.time_left, work.allowed, work.report_age) == (20 * HOUR - 30, 20 * HOUR, 30)

    def test_without_the_users_hours_it_is_what_the_first_progress_says(self) -> None:
        terms = replace(TERMS, work_hours=None)
        assert plans.work_of(WANTED, terms, self.ACCOUNT, progress(), T0) is None
        known = replace(self.ACCOUNT, work_seconds=5000.0)
        work = plans.work_of(WANTED, terms, known, progress(), T0)
        assert work is not None
        assert (work.whole, work.remaining) == (5000.0, 3500.0)

    @pytest.mark.parametrize(("started", "known"), [(None, True), (T0 - 720, True), (T0 - 721, False)])
    def test_a_job_that_may_still_be_starting_has_all_of_it_to_do(self, started: float | None, known: bool) -> None:
        account = replace(self.ACCOUNT, started_at=started)
        for silent in (None, progress(total=None), progress(step=None)):
            work = plans.work_of(WANTED, TERMS, account, silent, T0)
            assert (work is not None) is known
            assert work is None or (work.remaining, work.unsaved) == (10 * HOUR, 0)

    def test_forged_steps_are_held_within_the_whole(self) -> None:
        work = plans.work_of(WANTED, TERMS, self.ACCOUNT, progress(step=10**9, published_step=10**8), T0)
        assert work is not None
        assert (work.remaining, work.unsaved) == (0, 0)

    def test_the_deadline_is_a_date_or_so_many_hours_from_the_first_tick(self) -> None:
        assert plans.deadline_at(TERMS, self.ACCOUNT) == T0 + 20 * HOUR
        assert plans.deadline_at(replace(TERMS, hours=None, at=T0 + 7), self.ACCOUNT) == T0 + 7


class TestElastic:
    """Jobs that train on as many nodes as there are."""

    ELASTIC = replace(WANTED, gang="region", min_nodes=2)
    FULL_RATE = 1000 / (10 * HOUR)

    def told(self, known: FleetLedger, at: float, **said: object) -> Decision:
        looked = replace(view(instances([1, 2, 3]), now=at), progress=progress(at=at, **said))
        return decide(self.ELASTIC, looked, known, [Tick()], at)

    def speeds(self, known: FleetLedger, **said: object) -> tuple[float, ...]:
        assert known.account is not None
        work = plans.work_of(self.ELASTIC, TERMS, known.account, progress(**said), T0)
        assert work is not None
        return work.speeds

    def test_until_more_is_known_speed_is_in_proportion_to_the_nodes(self) -> None:
        assert self.speeds(STEADY) == self.speeds(STEADY, total=None) == (0, 0, 0.5, 0.75, 1)

    def test_what_was_seen_of_other_generations_is_reckoned_with(self) -> None:
        three = self.told(STEADY, T0, nodes=3, steps_per_second=0.9 * self.FULL_RATE).ledger
        two = self.told(three, LATER, nodes=2, generation=2, steps_per_second=0.8 * self.FULL_RATE).ledger
        assert self.speeds(three) == pytest.approx((0, 0, 0.6, 0.9, 1))
        assert self.speeds(two) == pytest.approx((0, 0, 0.8, 0.9, 1))

    @given(
        nodes=st.integers(0, 9),
        rate=st.floats(0.1, 2.0),
        step=st.integers(0, 1000),
        there=st.integers(0, 4),
        hours=st.sampled_from([0.0, 9.0, 11.6, 18.0]),
        work_hours=st.sampled_from([None, 10.0]),
    )
    def test_for_a_gang_and_a_job_that_one_node_runs_nothing_of_it_changes_a_decision(
        self, nodes: int, rate: float, step: int, there: int, hours: float, work_hours: float | None
    ) -> None:
        at, terms = T0 + hours * HOUR, replace(TERMS, work_hours=work_hours)
        said = progress(at=at, step=step, published_step=step // 2, steps_per_second=rate * self.FULL_RATE)
        looked = view(instances(range(1, there + 1)), now=at)

        def decided(wanted: FleetSpec, **told: object) -> Decision:
            whole = replace(wanted, deadline=terms)
            return decide(whole, replace(looked, progress=replace(said, **told)), STEADY, [Tick()], at)  # type: ignore[arg-type]  # tests name fields as they are

        before = decided(WANTED)
        assert before.ledger.account is not None
        assert before.ledger.account.speeds == {}
        work = plans.work_of(WANTED, terms, before.ledger.account, said, at)
        assert work is None or work.speeds == ()
        assert decided(WANTED, nodes=nodes) == before
        assert decided(replace(WANTED, min_nodes=4), nodes=nodes) == before

    @pytest.mark.parametrize(
        ("nodes", "part", "problem"), [(3, 0.75, ""), (3, 0.6, plans.SLOWER), (2, 0.5, ""), (None, 0.6, "")]
    )
    def test_it_is_slow_if_it_is_slower_than_its_part_of_the_nodes(
        self, nodes: int | None, part: float, problem: str
    ) -> None:
        """Whoever gains less by each further node is faster than that on few. Without a number nobody can say."""
        decision = self.told(STEADY, T0, nodes=nodes, steps_per_second=part * self.FULL_RATE)
        assert plan_of(decision).problem == problem

    def test_a_first_word_from_few_nodes_is_put_right_by_the_first_from_all(self) -> None:
        terms = replace(TERMS, work_hours=None)
        known, found = STEADY, []
        for nodes, rate in ((2, 0.5), (4, 0.8), (3, 0.7), (4, 0.9)):
            said = progress(nodes=nodes, steps_per_second=rate)
            looked = replace(FULL, progress=said)
            known = decide(replace(self.ELASTIC, deadline=terms), looked, known, [Tick()], T0).ledger
            assert known.account is not None
            found.append(known.account.work_seconds)
        assert found == [1000, 1250, 1250, 1250]


class TestAccount:
    """What nodes have cost, and how long they have lasted."""

    def test_a_tick_adds_what_the_nodes_have_cost(self) -> None:
        first = tick(STEADY)
        mixed = view(instances(range(1, 5)), instances([9]))
        second = tick(first.ledger, T0 + 360, seen_now=mixed)
        assert second.ledger.account is not None
        assert second.ledger.account.spent == pytest.approx(0.1 * (4 * 1.0 + 3.0))

    def test_a_price_that_nobody_knows_counts_as_that_of_on_demand(self) -> None:
        unknown = replace(WANTED, deadline=replace(TERMS, spot_price=None))
        known = decide(unknown, FULL, STEADY, [Tick()], T0).ledger
        after = decide(unknown, FULL, known, [Tick(), PriceTold(PriceRecord(0.5, T0 + 360))], T0 + 360).ledger
        assert after.account is not None
        assert after.account.spent == pytest.approx(0.1 * 4 * 3.0)
        assert after.account.price == PriceRecord(0.5, T0 + 360)
        last = decide(unknown, FULL, after, [Tick()], T0 + 720).ledger
        assert last.account is not None
        assert last.account.spent == pytest.approx(0.1 * 4 * 3.5)

    def test_a_node_that_the_cloud_has_taken_leaves_its_spell(self) -> None:
        known = tick(STEADY).ledger
        after = tick(known, LATER, seen_now=view(instances([2, 3, 4]))).ledger
        again = tick(after, LATER + 60, seen_now=view(instances([2, 3, 4]))).ledger
        assert after.account is not None
        assert again.account is not None
        assert after.account.spells == again.account.spells == (HOUR,), "once"

    def test_one_that_is_replaced_between_two_ticks_does_too(self) -> None:
        known = tick(STEADY).ledger
        gone = decide(WANTED, view(instances([2, 3, 4])), known, [NodeGone(node(1))], T0 + 20).ledger
        replaced = decide(WANTED, view(instances([2, 3, 4, 5])), gone, [NodeLaunched(node(5), SPOT)], T0 + 50).ledger
        after = tick(replaced, LATER, seen_now=view(instances([2, 3, 4, 5]))).ledger
        assert after.account is not None
        assert (after.account.spells, after.account.gaps) == ((HOUR,), (30.0,))
        assert after.account.spent - (known.account or after.account).spent == pytest.approx(5 * 1.0 / 60), "all five"
        assert node(1) not in after.seen

    def test_one_that_was_let_go_does_not(self) -> None:
        known = replace(tick(STEADY).ledger, notices={})
        drained = decide(WANTED, FULL, known, [notice(1, DRAIN)], T0 + 1).ledger
        after = tick(drained, LATER, seen_now=view(instances([2, 3, 4]))).ledger
        assert after.account is not None
        assert after.account.spells == ()

    def test_a_shortfall_that_is_over_leaves_its_gap(self) -> None:
        short = tick(STEADY, seen_now=view(instances([2, 3, 4]))).ledger
        after = tick(short, T0 + 600, seen_now=view(instances([2, 3, 4, 5]))).ledger
        assert after.account is not None
        assert after.account.gaps == (600.0,)

    def test_a_restart_that_took_longer_than_allowed_for_is_reckoned_with(self) -> None:
        def told(known: FleetLedger, at: float, generation: int, seconds: float) -> FleetLedger:
            return tick(known, at, generation=generation, goodput=Goodput(since=T0, restart_seconds=seconds)).ledger

        known = told(told(told(STEADY, T0, 1, 500.0), T0 + 60, 2, 500.0), T0 + 960, 2, 1400.0)
        assert known.account is not None
        assert plans.policy_for(TERMS, known.account).restart == 900.0

    def test_other_policies_keep_no_account(self) -> None:
        assert decide(spec(), FULL, STEADY, [Tick()], T0).ledger.account is None


class TestAnswers:
    """What becomes of an answer."""

    def test_a_fleet_that_is_ahead_waits_for_spot(self) -> None:
        decision = tick(STEADY, seen_now=view(instances([1, 2, 3])))
        assert not decision.sizes
        assert (plan_of(decision).buys, plan_of(decision).problem) == (False, "")

    def test_it_is_asked_when_spot_falls_below_strength(self) -> None:
        waits = tick(STEADY).ledger
        told = replace(FULL, progress=progress(at=LATER))
        assert not decide(WANTED, told, waits, [notice(1)], LATER).sizes
        behind = replace(told, progress=progress(at=LATER, step=0, published_step=0))
        late = decide(
            replace(WANTED, deadline=replace(TERMS, hours=12.0, excess=20.0)), behind, waits, [notice(1)], LATER
        )
        assert late.sizes == {BACKUP: 1}
        assert plan_of(late).at == LATER

    def test_until_the_next_tick_its_last_answer_stands(self) -> None:
        waits = replace(tick(STEADY).ledger, shortfall_since=T0)
        assert not decide(WANTED, FULL, waits, [notice(1)], LATER).sizes
        assert waits.account is not None
        assert waits.account.plan is not None
        buys = replace(waits, account=replace(waits.account, plan=replace(waits.account.plan, buys=True)))
        assert decide(WANTED, FULL, buys, [notice(1)], LATER).sizes == {BACKUP: 1}

    def test_a_part_of_what_is_missing_is_bought_and_stays_bought(self) -> None:
        """As an elastic job may want it: two of four, whoever else goes until the next tick."""
        asks_for = PlanRecord(at=T0, buys=False, on_demand=2)
        account = Account(since=T0 - HOUR, plan=asks_for)
        some = replace(tick(STEADY).ledger, account=account, shortfall_since=T0)
        lost = [notice(number) for number in (1, 2, 3)]
        assert decide(WANTED, FULL, some, lost[:1], LATER).sizes == {BACKUP: 1}
        two = decide(WANTED, FULL, some, lost, LATER)
        assert two.sizes == {BACKUP: 2}
        more = decide(WANTED, FULL, two.ledger, [notice(4)], LATER + 1)
        assert more.ledger.backup_desired == 2

    def test_without_spot_so_many_nodes_as_are_wanted_are_held(self) -> None:
        account = Account(since=T0, plan=PlanRecord(at=T0, buys=False, spot=False, on_demand=3))
        part = plans.limited(WANTED, ledger(account=account))
        assert (part.base, part.spot_target) == (3, 0)
        none = replace(account, plan=PlanRecord(at=T0, buys=False, spot=False, on_demand=0))
        assert plans.limited(WANTED, ledger(account=none)).target == 0, "it waits, and asks for nothing"
        before = replace(account, plan=PlanRecord(at=T0, buys=False, spot=False))
        assert plans.limited(WANTED, ledger(account=before)) == replace(WANTED, base=4), "written before counts"

    def test_with_no_progress_it_buys_what_is_missing_and_says_so(self) -> None:
        silent = replace(STEADY, account=Account(since=T0 - 9 * HOUR, started_at=T0 - 8 * HOUR))
        decision = decide(WANTED, view(instances([1, 2, 3])), silent, [Tick(), refused(T0)], T0)
        assert decision.sizes == {BACKUP: 1}
        assert plan_of(decision).problem == NO_PROGRESS
        assert decision.facts.deadline_at_risk
        assert [each.topic for each in decision.announcements] == ["deadline"]
        assert NO_PROGRESS in decision.announcements[0].text

    def test_a_job_that_is_almost_late_moves_to_on_demand_for_good(self) -> None:
        late = tick(STEADY, T0 + 11.6 * HOUR)
        assert plan_of(late).final
        assert late.sizes[BACKUP] == 4
        drained = {name for name, record in late.ledger.notices.items() if record.kind == DRAIN}
        assert drained == FULL.nodes(), "by name, and after a save"
        later = tick(late.ledger, T0 + 11.7 * HOUR, step=900, published_step=900)
        assert plan_of(later).final
        assert later.ledger.spot_desired == 0

    def test_nobody_is_told_that_spot_is_back_where_it_is_only_not_asked_for_any_more(self) -> None:
        begun = {"drought": AnnouncementRecord("begun", T0, sent_at=T0)}
        known = replace(STEADY, announcements=begun, shortfall_since=T0, seen={})
        late = tick(known, T0 + 11.6 * HOUR, seen_now=view())
        assert plan_of(late).final
        assert "over" not in [each.word for each in late.announcements]

    def test_what_cannot_be_met_is_told_and_the_fleet_goes_on(self) -> None:
        decision = tick(STEADY, T0 + 18 * HOUR)
        assert plan_of(decision).problem == TOO_LATE
        assert decision.ledger.backup_desired == 4
        assert decision.facts.deadline_at_risk

    def test_a_job_that_is_slower_than_reckoned_is_told_of(self) -> None:
        assert plan_of(tick(STEADY, steps_per_second=1000 / (10 * HOUR))).problem == ""
        assert plan_of(tick(STEADY, steps_per_second=0.8 * 1000 / (10 * HOUR))).problem == plans.SLOWER

    def test_the_maximum_holds_whatever_is_answered(self) -> None:
        bounded = replace(WANTED, maximum=2)
        known = replace(STEADY, account=Account(since=T0 - 30 * HOUR))
        late = decide(bounded, replace(FULL, progress=progress()), known, [Tick()], T0)
        assert late.ledger.backup_desired == 2
        assert late.ledger.spot_desired == 2

    @pytest.mark.parametrize("choice", ["checkpoint", "ignore", "replace"])
    def test_a_checkpoint_is_asked_of_the_node_that_runs_the_job(self, choice: str) -> None:
        wanted = replace(WANTED, on_rebalance=choice)
        close = progress(at=T0 + 10 * HOUR, step=400)
        looked = replace(view(instances(range(1, 5)), now=T0 + 10 * HOUR), progress=close)
        known = replace(STEADY, account=Account(since=T0 - 1.35 * HOUR))
        decision = decide(wanted, looked, known, [Tick()], T0 + 10 * HOUR)
        assert not plan_of(decision).final
        (signal,) = decision.signals
        assert (signal.node, signal.kind, signal.drill) == (node(1), REBALANCE, True)
        assert not decision.sizes, "nobody goes for it"
        done = settle(decision.ledger, {signal.node: signal.notice_id}, [], T0 + 10 * HOUR)
        assert not decide(wanted, looked, done, [Tick()], T0 + 10 * HOUR + 59).signals, "once within the save gap"
        again = decide(wanted, looked, done, [Tick()], T0 + 10 * HOUR + 60)
        assert [word.at for word in again.signals] == [T0 + 10 * HOUR + 60], "nothing has been published since"

    def test_a_fleet_that_is_stopped_plans_nothing(self) -> None:
        known = replace(STEADY, job_ended_at=T0 - 10, job_state="finished")
        assert tick(known).ledger.account == replace(STEADY.account, started_at=T0)  # type: ignore[type-var]


def refused(at: float) -> LaunchFailed:
    return LaunchFailed(SPOT, "capacity", at, "no")


def test_a_job_that_would_be_late_on_spot_alone_is_done_in_time_and_no_dearer() -> None:
    """A whole life: spot comes late, goes soon, and comes back never."""
    wanted, sim = WANTED, SimFleet.of(WANTED)
    known, now, done = fresh(wanted), T0, 0.0
    sim.spot_capacity = 0
    while done < 10 * HOUR:
        elapsed = now - T0
        assert elapsed < 20 * HOUR
        sim.spot_capacity = 4 if 2 * HOUR < elapsed < 5 * HOUR else 0
        while len(sim.spot.live()) > sim.spot_capacity:
            sim.lose(sim.spot.live()[-1])
        refusals = sim.launch(now)
        sim.report(now)
        runs = len(sim.spot.live()) + len(sim.backup.live()) >= 4
        sim.boot()
        done += 60.0 if runs else 0.0
        step = int(done / HOUR * 100)
        told = progress(at=now, step=step, published_step=step)
        looked = replace(sim.seen(wanted), progress=told if done else None)
        decision = decide(wanted, looked, known, [Tick(), *refusals], now)
        known = settle(decision.ledger, {s.node: s.notice_id for s in decision.signals}, [], now)
        for group, size in decision.sizes.items():
            sim.group(group).desired = size
        assert len(sim.backup.live()) <= wanted.maximum
        for each in decision.terminations:
            sim.terminate(each)
        sim.release()
        assert not plans.problem(known)
        now += 60.0
    account = known.account
    assert account is not None
    assert account.spent <= 4 * 3.0 * (10 + 0.2 + 0.2)
    assert account.spent < 4 * (3 * 1.0 + 8 * 3.0), "three hours of spot were used"
