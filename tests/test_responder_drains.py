"""Who is let go, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from responder_support import T0, confirmation, instances, ledger, node, notice, record, seen, spec, view
from spotkeeper_ledger import DRAIN, INTERRUPTION, REBALANCE, SCALE_IN
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Completion,
    JobEnded,
    LaunchFailed,
    NodeGone,
    State,
    Termination,
    Tick,
    decide,
    settle,
)
from spotkeeper_responder.drains import CALLS_PER_TICK

HELD = ledger(
    seen={**seen(range(1, 5)), **seen([8, 9], BACKUP)}, spot_desired=4, backup_desired=2, surplus_since=T0 - 300
)
"""Spot has been back for long enough; two on-demand nodes are to be given back."""


def drained(decision: object) -> set[str]:
    return {n for n, r in decision.ledger.notices.items() if r.kind == DRAIN}  # type: ignore[attr-defined]


def test_named_nodes_are_drained_signalled_and_not_yet_terminated() -> None:
    decision = decide(spec(), view(instances(range(1, 5)), instances([8, 9])), HELD, [Tick()], T0)
    assert drained(decision) == {node(8), node(9)}
    assert {s.node: (s.kind, s.deadline) for s in decision.signals} == dict.fromkeys(
        (node(8), node(9)), (DRAIN, T0 + 600)
    )
    assert not decision.sizes
    assert not decision.terminations


def test_the_job_stays_where_it_is_if_others_can_go() -> None:
    known = replace(HELD, surplus_wanted=1)
    decision = decide(spec(), view(instances(range(1, 5)), instances([8, 9]), members=[node(8)]), known, [Tick()], T0)
    assert drained(decision) == {node(9)}


def test_the_job_moves_to_spot_when_all_on_demand_nodes_can_go() -> None:
    seen_now = view(instances(range(1, 5)), instances([8, 9]), members=[node(8)])
    assert node(8) in drained(decide(spec(), seen_now, HELD, [Tick()], T0))


def test_nodes_that_have_not_joined_go_before_those_that_have_and_the_young_before_the_old() -> None:
    known = replace(HELD, surplus_wanted=1, seen={**HELD.seen, **seen([9], BACKUP, first_at=T0 - 10)})
    reported = dict.fromkeys(map(node, range(1, 5)), T0)
    booting = view(instances(range(1, 5)), instances([8, 9]), reported={**reported, node(9): T0})
    assert drained(decide(spec(), booting, known, [Tick()], T0)) == {node(8)}
    both = view(instances(range(1, 5)), instances([8, 9]))
    assert drained(decide(spec(), both, known, [Tick()], T0)) == {node(9)}


@pytest.mark.parametrize("step", [7, None])
def test_a_drained_node_is_terminated_by_name_once_it_has_confirmed(step: int | None) -> None:
    known = replace(HELD, backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP)}, surplus_since=None)
    where = {"spot": instances([1, 2, 3]), "backup": instances([8, 9])}
    waiting = decide(spec(), view(**where), known, [Tick()], T0 + 5)
    assert not waiting.terminations
    confirmed = view(**where, reports={node(9): confirmation(9, step=step)}, now=T0 + 10)
    assert not decide(spec(), confirmed, known, [], T0 + 10).terminations  # on ticks only
    decision = decide(spec(), confirmed, known, [Tick()], T0 + 10)
    assert decision.terminations == (Termination(node(9), decrement=True),)
    assert decision.ledger.notices[node(9)].confirmed_step == step
    assert not decision.sizes


def test_a_confirmation_of_another_notice_is_none() -> None:
    known = replace(HELD, backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP)}, surplus_since=None)
    stale = view(instances([1, 2, 3]), instances([8, 9]), reports={node(9): confirmation(9, REBALANCE)})
    assert not decide(spec(), stale, known, [Tick()], T0).terminations


def test_a_drained_node_that_does_not_answer_is_terminated_at_its_deadline() -> None:
    known = replace(HELD, backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP)}, surplus_since=None)
    for passed, count in ((599, 0), (600, 1)):
        seen_now = view(instances([1, 2, 3]), instances([8, 9]), now=T0 + passed)
        assert len(decide(spec(), seen_now, known, [Tick()], T0 + passed).terminations) == count


def test_a_confirmation_that_was_noted_counts_after_its_report_is_gone() -> None:
    known = replace(HELD, backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP, confirmed_step=3)})
    assert decide(spec(), view(instances([1, 2, 3]), instances([8, 9])), known, [Tick()], T0).terminations


def test_when_the_shortfall_returns_new_nodes_are_bought_and_the_drain_goes_on() -> None:
    first = decide(spec(), view(instances(range(1, 5)), instances([8, 9])), HELD, [Tick()], T0)
    assert first.ledger.backup_desired == 0
    known = settle(first.ledger, {s.node: s.notice_id for s in first.signals}, (), T0)
    again = decide(spec(), view(instances(range(1, 5)), instances([8, 9])), known, [notice(1)], T0 + 5)
    assert again.sizes == {BACKUP: 3}
    assert drained(again) == {node(8), node(9)}
    confirmed = view(
        instances(range(1, 5)), instances([8, 9, 10]), reports={node(n): confirmation(n) for n in (8, 9)}, now=T0 + 60
    )
    then = decide(spec(), confirmed, again.ledger, [Tick()], T0 + 60)
    assert then.terminations == (Termination(node(8), decrement=True), Termination(node(9), decrement=True))
    assert not then.sizes


def test_where_the_maximum_left_no_room_the_group_replaces_the_drained_node() -> None:
    known = ledger(
        seen=seen(range(1, 5)), backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP, confirmed_step=1)}
    )
    decision = decide(spec(maximum=1), view(instances([1, 2, 3]), instances([9])), known, [Tick()], T0)
    assert decision.terminations == (Termination(node(9), decrement=False),)


def test_where_it_left_room_for_one_only_one_is_replaced() -> None:
    two = {node(n): record(n, DRAIN, group=BACKUP, confirmed_step=1) for n in (8, 9)}
    known = ledger(seen=seen(range(1, 5)), backup_desired=2, notices=two)
    decision = decide(spec(maximum=3), view(instances([1, 2]), instances([8, 9])), known, [Tick()], T0)
    assert decision.sizes == {BACKUP: 3}
    assert [t.decrement for t in decision.terminations] == [True, False]


class TestSpot:
    """The user has asked for four nodes instead of six."""

    six = ledger(seen=seen(range(1, 7)), spot_desired=6, backup_desired=0)
    seen_now = view(instances(range(1, 7)), spot_desired=6)

    def test_what_is_too_many_is_drained_by_name_on_a_tick(self) -> None:
        assert not decide(spec(), self.seen_now, self.six, [], T0).ledger.notices
        decision = decide(spec(), self.seen_now, self.six, [Tick()], T0)
        assert len(drained(decision)) == 2
        assert not decision.sizes
        assert not decision.terminations

    def test_the_group_shrinks_with_those_that_go(self) -> None:
        gone = {node(n): record(n, DRAIN, confirmed_step=5) for n in (1, 2)}
        decision = decide(spec(), self.seen_now, replace(self.six, notices=gone), [Tick()], T0)
        assert decision.terminations == (Termination(node(1), decrement=True), Termination(node(2), decrement=True))

    def test_asked_for_six_again_it_launches_two_and_buys_nothing(self) -> None:
        gone = {node(n): record(n, DRAIN) for n in (1, 2)}
        decision = decide(spec(target=6), self.seen_now, replace(self.six, notices=gone), [Tick()], T0)
        assert decision.sizes == {SPOT: 8}

    def test_a_node_that_its_group_is_about_to_replace_is_not_too_many(self) -> None:
        fleet = spec(target=5, on_rebalance="replace")
        known = replace(self.six, notices={node(1): record(1, REBALANCE, deadline=None)})
        seen_now = view(instances(range(1, 7)), spot_desired=5)
        assert not drained(decide(fleet, seen_now, known, [Tick()], T0))
        assert drained(decide(fleet, seen_now, self.six, [Tick()], T0))


class TestOutstayed:
    def test_a_node_that_stays_after_all_is_terminated_and_replaced_by_its_group(self) -> None:
        known = ledger(seen=seen(range(1, 5)), backup_desired=1, notices={node(1): record(1)})
        for passed, found in ((209, ()), (210, (Termination(node(1), decrement=False),))):
            seen_now = view(instances(range(1, 5)), instances([9]), now=T0 + passed)
            assert decide(spec(), seen_now, known, [Tick()], T0 + passed).terminations == found

    def test_a_node_whose_termination_was_accepted_is_not_terminated_again(self) -> None:
        known = settle(ledger(seen=seen([1]), notices={node(1): record(1)}), {}, [node(1)], T0 + 210)
        assert known.notices[node(1)].stage == "ended"
        seen_now = view(instances(range(1, 5)), now=T0 + 211)
        assert not decide(spec(), seen_now, known, [Tick()], T0 + 211).terminations


class TestSettling:
    known = ledger(notices={node(1): record(1, stage="sending", signalled_at=None)})

    def test_a_signal_that_was_sent_is_noted(self) -> None:
        settled = settle(self.known, {node(1): f"{node(1)}:leaving"}, (), T0 + 2).notices[node(1)]
        assert (settled.stage, settled.signalled_at) == ("signalled", T0 + 2)

    def test_that_of_an_earlier_notice_is_not(self) -> None:
        assert settle(self.known, {node(1): f"{node(1)}:rebalance"}, (), T0 + 2) == self.known

    @pytest.mark.parametrize("stage", ["signalled", "ended"])
    def test_what_is_further_already_stays_there(self, stage: str) -> None:
        further = ledger(notices={node(1): record(1, stage=stage, ended_at=T0)})
        assert settle(further, {node(1): f"{node(1)}:leaving"}, (), T0 + 2) == further

    def test_nodes_without_a_record_need_none(self) -> None:
        assert settle(self.known, {node(7): "x"}, [node(8)], T0) == self.known


class TestHooks:
    held = view((*instances([1], State.HELD), *instances([2, 3, 4])), reported={node(n): T0 + 600 for n in (2, 3, 4)})
    known = ledger(seen=seen(range(1, 5)), notices={node(1): record(1, SCALE_IN, hook="h")})

    def test_the_hook_of_a_node_that_is_silent_past_its_deadline_is_completed(self) -> None:
        assert not decide(spec(), self.held, self.known, [Tick()], T0 + 599).completions
        decision = decide(spec(), self.held, self.known, [Tick()], T0 + 600)
        assert decision.completions == (Completion(node(1), self.held.spot.name, "h"),)
        assert not decide(spec(), self.held, self.known, [], T0 + 600).completions

    def test_a_node_that_speaks_completes_its_own(self) -> None:
        speaking = replace(self.held, reported_at={**self.held.reported_at, node(1): T0 + 520})
        assert not decide(spec(), speaking, self.known, [Tick()], T0 + 600).completions


class TestRelease:
    """The job has ended, and nothing may cost anything any more."""

    def test_nothing_changes_during_the_linger(self) -> None:
        ended = decide(spec(), view(instances(range(1, 5))), HELD, [JobEnded("finished", T0)], T0)
        assert (ended.ledger.job_state, ended.ledger.job_ended_at) == ("finished", T0)
        seen_now = view(instances([2]), instances([8, 9]), now=T0 + 299)
        short = decide(spec(), seen_now, ended.ledger, [Tick(), LaunchFailed(SPOT, "capacity", T0)], T0 + 299)
        assert not (short.signals or short.sizes or short.completions or short.terminations)

    def test_then_everything_goes_by_name_and_both_sizes_to_zero(self) -> None:
        known = replace(HELD, job_state="failed", job_ended_at=T0 - 300)
        seen_now = view((*instances([1, 2]), *instances([3], State.PENDING)), instances([8]), backup_desired=3)
        decision = decide(spec(), seen_now, known, [Tick()], T0)
        assert decision.sizes == {SPOT: 0, BACKUP: 0}
        assert {t.node for t in decision.terminations} == {node(n) for n in (1, 2, 3, 8)}
        assert not any(t.decrement for t in decision.terminations)
        assert not decision.signals
        assert not decide(spec(), seen_now, known, [], T0).acts

    def test_what_has_ended_stays_ended(self) -> None:
        known = replace(HELD, job_state="finished", job_ended_at=T0 - 10)
        decision = decide(spec(), view(), known, [JobEnded("failed", T0)], T0)
        assert (decision.ledger.job_state, decision.ledger.job_ended_at) == ("finished", T0 - 10)

    def test_a_clock_that_is_ahead_does_not_make_it_linger_longer(self) -> None:
        assert decide(spec(), view(), HELD, [JobEnded("finished", T0 + 999)], T0).ledger.job_ended_at == T0


def test_at_most_so_many_calls_for_single_nodes_are_made_on_a_tick() -> None:
    many = range(100, 100 + CALLS_PER_TICK + 5)
    over = replace(HELD, job_ended_at=T0 - 300)
    assert len(decide(spec(), view(instances(many)), over, [Tick()], T0).terminations) == CALLS_PER_TICK
    stuck = instances(many, State.HELD)
    known = replace(over, notices={node(n): record(n, SCALE_IN, T0 - 900) for n in many})
    seen_now = view((*stuck, *instances([1, 2, 3])), reported={})
    decision = decide(spec(), seen_now, known, [Tick()], T0)
    assert (len(decision.completions), len(decision.terminations)) == (CALLS_PER_TICK, 0)


def test_a_node_that_is_gone_is_not_terminated() -> None:
    known = replace(HELD, backup_desired=1, notices={node(9): record(9, DRAIN, group=BACKUP, confirmed_step=1)})
    seen_now = view(instances([1, 2, 3]), instances([8, 9]))
    decision = decide(spec(), seen_now, known, [Tick(), NodeGone(node(9))], T0)
    assert not decision.terminations


def test_an_interruption_is_not_a_drain() -> None:
    known = ledger(seen=seen(range(1, 5)), notices={node(1): record(1, INTERRUPTION)})
    confirmed = view(instances(range(1, 5)), reports={node(1): confirmation(1, INTERRUPTION)})
    assert not decide(spec(), confirmed, known, [Tick()], T0 + 20).terminations
