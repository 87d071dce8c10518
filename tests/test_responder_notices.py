"""From words about nodes to one notice record a node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder_support import T0, instances, ledger, node, notice, record, seen, spec, view
from spotkeeper_ledger import DRAIN, INTERRUPTION, REBALANCE, SCALE_IN, FleetSpec, NoticeRecord
from spotkeeper_responder import BACKUP, SPOT, Decision, FleetView, JobEnded, NodeGone, State, Tick, decide, settle
from spotkeeper_responder.model import Event
from spotkeeper_responder.notices import RESEND_SECONDS, TOMBSTONE_SECONDS

FULL = view(instances(range(1, 5)))


def hear(
    *events: Event,
    known: dict[int, NoticeRecord] | None = None,
    seen_now: FleetView = FULL,
    now: float = T0,
    fleet: FleetSpec | None = None,
) -> Decision:
    remembered = ledger(notices={node(n): r for n, r in (known or {}).items()}, seen=seen(range(1, 5)))
    fresh_reports = replace(seen_now, reported_at=dict.fromkeys(seen_now.nodes(), now))
    return decide(fleet or spec(), fresh_reports, remembered, events, now)


def only(decision: Decision) -> NoticeRecord:
    (kept,) = decision.ledger.notices.values()
    return kept


@pytest.mark.parametrize(
    ("kind", "deadline"), [(INTERRUPTION, T0 + 119), (SCALE_IN, T0 + 599), (DRAIN, T0 + 599), (REBALANCE, None)]
)
def test_a_notice_is_recorded_and_signalled_with_the_deadline_of_its_kind(kind: str, deadline: float | None) -> None:
    decision = hear(notice(1, kind, T0 - 1))
    assert only(decision) == record(
        1, kind, T0 - 1, heard_at=T0, deadline=deadline, stage="sending", signalled_at=None, confirmed_step=None
    )
    (signal,) = decision.signals
    assert (signal.node, signal.kind, signal.deadline) == (node(1), kind, deadline)
    assert decision.standing == decision.signals


def test_a_deadline_that_the_word_names_is_taken() -> None:
    assert only(hear(notice(1, deadline=T0 + 50))).deadline == T0 + 50


def test_the_group_is_the_one_that_lists_the_node() -> None:
    seen_now = view(instances([1, 2, 3, 4]), instances([5]))
    assert only(hear(notice(5, SCALE_IN), seen_now=seen_now)).group == BACKUP
    assert only(hear(notice(4, SCALE_IN), seen_now=seen_now)).group == SPOT


def test_a_word_from_the_future_counts_as_said_now() -> None:
    assert only(hear(notice(1, at=T0 + 500))).event_at == T0


@pytest.mark.parametrize("first", [REBALANCE, DRAIN, SCALE_IN, INTERRUPTION])
@pytest.mark.parametrize("second", [REBALANCE, DRAIN, SCALE_IN, INTERRUPTION])
def test_the_graver_kind_wins_whichever_comes_first(first: str, second: str) -> None:
    gravity = [REBALANCE, DRAIN, SCALE_IN, INTERRUPTION]
    decision = hear(notice(1, first), notice(1, second))
    assert only(decision).kind == max(first, second, key=gravity.index)
    assert len(decision.signals) == 1


def test_deadlines_only_tighten() -> None:
    later = hear(notice(1, deadline=T0 + 200), known={1: record(1)})
    sooner = hear(notice(1, deadline=T0 + 30), known={1: record(1)})
    assert (only(later).deadline, only(sooner).deadline) == (T0 + 120, T0 + 30)


def test_the_hook_of_a_drained_node_joins_its_record_without_another_signal() -> None:
    drained = record(1, DRAIN)
    decision = hear(notice(1, SCALE_IN, T0 + 30, hook="spotkeeper-terminate"), known={1: drained}, now=T0 + 31)
    assert only(decision) == replace(drained, kind=SCALE_IN, hook="spotkeeper-terminate")
    assert not decision.signals


def test_leaving_after_a_recommendation_asks_for_another_save() -> None:
    known = record(1, REBALANCE, T0 - 60, deadline=None, confirmed_step=9)
    decision = hear(notice(1), known={1: known})
    assert only(decision).notice_id == f"{node(1)}:leaving"
    assert (only(decision).stage, only(decision).confirmed_step) == ("sending", None)
    assert len(decision.signals) == 1


def test_a_duplicate_changes_nothing_at_all() -> None:
    first = hear(notice(1), Tick())
    again = decide(spec(), FULL, first.ledger, [notice(1), notice(1)], T0 + 1)
    assert again.ledger == first.ledger
    assert not again.signals


def test_words_about_nodes_that_are_not_there_do_nothing() -> None:
    decision = hear(notice(77), notice(78, SCALE_IN))
    assert not decision.ledger.notices
    assert not decision.signals


def test_a_record_ends_when_its_node_is_gone_and_late_words_then_do_nothing() -> None:
    left = view(instances([2, 3, 4]))
    gone = hear(known={1: record(1)}, seen_now=left, now=T0 + 130)
    assert (only(gone).stage, only(gone).ended_at) == ("ended", T0 + 130)
    assert not gone.standing
    late = decide(spec(), left, gone.ledger, [notice(1), notice(1, SCALE_IN, T0 + 125)], T0 + 140)
    assert late.ledger.notices == gone.ledger.notices
    assert not late.signals


def test_word_that_a_node_is_gone_is_believed_over_a_description_that_lags() -> None:
    decision = hear(NodeGone(node(1)), notice(1), known={1: record(1)})
    assert only(decision).stage == "ended"


def test_tombstones_are_kept_for_an_hour_and_as_long_as_the_node_is_there() -> None:
    ended = record(1, REBALANCE, stage="ended", ended_at=T0)
    left = view(instances([2, 3, 4]))
    assert hear(known={1: ended}, seen_now=left, now=T0 + TOMBSTONE_SECONDS - 1).ledger.notices
    assert not hear(known={1: ended}, seen_now=left, now=T0 + TOMBSTONE_SECONDS).ledger.notices
    assert hear(known={1: ended}, now=T0 + 10 * TOMBSTONE_SECONDS).ledger.notices


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_when_the_job_is_over_nobody_is_signalled_any_more(state: str) -> None:
    decision = hear(JobEnded(state, T0), notice(1))
    assert only(decision).stage == "ended"
    assert not decision.signals


class TestRebalance:
    def test_checkpoint_signals_and_takes_no_strength(self) -> None:
        decision = hear(notice(1, REBALANCE))
        assert len(decision.signals) == 1
        assert (decision.facts.shortfall, decision.ledger.backup_desired) == (0, 0)

    def test_ignore_is_recorded_as_over_and_signals_nobody(self) -> None:
        decision = hear(notice(1, REBALANCE), fleet=spec(on_rebalance="ignore"))
        assert only(decision).stage == "ended"
        assert not decision.signals
        again = decide(spec(on_rebalance="ignore"), FULL, decision.ledger, [notice(1, REBALANCE)], T0 + 5)
        assert again.ledger == decision.ledger

    def test_replace_signals_and_takes_strength_once_the_node_goes(self) -> None:
        fleet = spec(on_rebalance="replace")
        first = hear(notice(1, REBALANCE), fleet=fleet)
        assert (len(first.signals), first.facts.shortfall) == (1, 0)
        going = view((*instances([1], State.HELD), *instances(range(2, 5))))
        then = decide(fleet, going, first.ledger, [notice(1, SCALE_IN, T0 + 60)], T0 + 61)
        assert (len(then.signals), then.facts.shortfall) == (1, 1)

    def test_it_is_forgotten_when_nothing_followed(self) -> None:
        known = {1: record(1, REBALANCE, deadline=None)}
        assert only(hear(known=known, now=T0 + 1199)).stage == "signalled"
        assert only(hear(known=known, now=T0 + 1200)).stage == "ended"

    def test_a_recommendation_that_arrives_too_late_signals_nobody(self) -> None:
        decision = hear(notice(1, REBALANCE, T0 - 1200))
        assert only(decision).stage == "ended"
        assert not decision.signals

    def test_a_new_one_after_that_is_heard_and_an_echo_is_not(self) -> None:
        known = {1: record(1, REBALANCE, T0 - 2000, deadline=None, stage="ended", ended_at=T0 - 800)}
        assert not hear(notice(1, REBALANCE, T0 - 2000), known=known).signals
        assert hear(notice(1, REBALANCE, T0 - 10), known=known).signals

    def test_an_interruption_after_that_is_heard(self) -> None:
        known = {1: record(1, REBALANCE, T0 - 2000, deadline=None, stage="ended", ended_at=T0 - 800)}
        assert only(hear(notice(1), known=known)).kind == INTERRUPTION


class TestDrill:
    def test_a_drill_signals_and_moves_no_size(self) -> None:
        decision = hear(notice(1, drill=True))
        assert decision.signals[0].drill
        assert (decision.facts.shortfall, decision.sizes) == (0, {})

    def test_a_drill_ends_with_its_deadline(self) -> None:
        known = {1: record(1, drill=True)}
        assert only(hear(known=known, now=T0 + 119)).stage == "signalled"
        assert only(hear(known=known, now=T0 + 120)).stage == "ended"

    def test_the_real_thing_is_heard_during_a_drill_and_after_it(self) -> None:
        during = hear(notice(1), known={1: record(1, drill=True)})
        after = hear(notice(1), known={1: record(1, drill=True, stage="ended", ended_at=T0)})
        for decision in (during, after):
            assert not only(decision).drill
            assert len(decision.signals) == 1

    def test_a_drill_says_nothing_about_a_node_that_really_goes(self) -> None:
        known = record(1, DRAIN)
        assert only(hear(notice(1, drill=True, deadline=T0 + 1), known={1: known})) == known


class TestSaves:
    """A recommendation that is an exercise asks the job to save and go on, each time that it is said anew."""

    GAP = spec().save_gap_seconds

    @given(st.data())
    def test_each_wish_a_save_gap_after_the_last_is_signalled_once_whatever_echoes(self, data: st.DataObject) -> None:
        known: dict[int, NoticeRecord] = {}
        now, signalled = T0, []
        for _ in range(data.draw(st.integers(1, 12))):
            now += data.draw(st.floats(0.1, 2000.0))
            is_echo = bool(signalled) and data.draw(st.booleans())
            said = now
            if is_echo:
                said = min(now, data.draw(st.sampled_from(signalled)) + data.draw(st.floats(0.0, self.GAP - 0.1)))
            is_new = not is_echo and (not signalled or now >= signalled[-1] + self.GAP)
            decision = hear(notice(1, REBALANCE, said, drill=True), known=known, now=now)
            assert [signal.at for signal in decision.signals] == ([now] if is_new else [])
            assert not decision.sizes
            signalled += [now] if is_new else []
            sent = {signal.node: signal.notice_id for signal in decision.signals}
            known = {1: only(replace(decision, ledger=settle(decision.ledger, sent, [], now)))}

    def test_a_wish_whose_signal_was_not_sent_is_sent_with_the_next(self) -> None:
        lost = {1: record(1, REBALANCE, T0, deadline=None, stage="sending", signalled_at=None, drill=True)}
        (signal,) = hear(notice(1, REBALANCE, T0 + 60, drill=True), known=lost, now=T0 + 60).signals
        assert signal.at == T0 + 60

    def test_a_real_recommendation_is_as_real_after_a_wish_and_is_not_said_twice_by_one(self) -> None:
        wished = {1: record(1, REBALANCE, T0, deadline=None, drill=True)}
        assert not only(hear(notice(1, REBALANCE, T0 + 5), known=wished, now=T0 + 6)).drill
        real = record(1, REBALANCE, T0, deadline=None)
        assert only(hear(notice(1, REBALANCE, T0 + 90, drill=True), known={1: real}, now=T0 + 90)) == real

    def test_a_wish_says_nothing_about_a_node_that_goes(self) -> None:
        known = record(1, DRAIN)
        assert only(hear(notice(1, REBALANCE, T0 + 90, drill=True), known={1: known}, now=T0 + 90)) == known


class TestSending:
    """A record that is being sent is left to its sender, until that one must have failed."""

    def test_it_is_not_sent_twice_at_once(self) -> None:
        assert not hear(known={1: record(1, stage="sending")}, now=T0 + RESEND_SECONDS - 0.1).signals

    def test_it_is_sent_again_when_its_sender_did_not_come_back(self) -> None:
        assert hear(known={1: record(1, stage="sending")}, now=T0 + RESEND_SECONDS).signals

    def test_a_graver_notice_does_not_wait_for_the_sender_of_the_lesser_one(self) -> None:
        known = {1: record(1, REBALANCE, deadline=None, stage="sending")}
        assert [s.kind for s in hear(notice(1), known=known).signals] == [INTERRUPTION]


def test_a_hook_that_holds_a_node_is_word_enough_that_it_goes() -> None:
    held = view((*instances([1], State.HELD), *instances(range(2, 5))))
    decision = hear(seen_now=held)
    assert only(decision).kind == SCALE_IN
    assert only(decision).deadline == T0 + 600
    assert len(decision.signals) == 1
    assert not decide(spec(), held, decision.ledger, [], T0 + 1).signals
