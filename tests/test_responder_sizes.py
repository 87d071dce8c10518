"""How large both groups should be: what is bought, what is given back, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from responder_support import T0, instances, ledger, node, notice, record, seen, spec, view
from spotkeeper_ledger import DRAIN, SCALE_IN, FailureRecord, FleetLedger
from spotkeeper_responder import (
    BACKUP,
    CAPACITY,
    CONFIGURATION,
    POLICIES,
    QUOTA,
    SPOT,
    Answer,
    Decision,
    LaunchFailed,
    Situation,
    State,
    Tick,
    decide,
)
from spotkeeper_responder.sizes import MESSAGE_CHARACTERS, SETTLE_SECONDS

FULL = view(instances(range(1, 5)))
THREE = view(instances([1, 2, 3]))
STEADY = ledger(seen=seen(range(1, 5)), spot_desired=4, backup_desired=0)


def failed(failure_class: str, at: float, group: str = SPOT) -> LaunchFailed:
    return LaunchFailed(group, failure_class, at, "why")


class TestRaising:
    def test_an_interruption_is_answered_at_once_with_one_for_one(self) -> None:
        decision = decide(spec(), FULL, STEADY, [notice(1), notice(2)], T0)
        assert decision.sizes == {BACKUP: 2}
        assert decision.ledger.backup_desired == 2

    def test_a_node_that_vanished_is_answered_at_once(self) -> None:
        assert decide(spec(), THREE, STEADY, [], T0).sizes == {BACKUP: 1}

    def test_what_is_launching_already_is_not_bought(self) -> None:
        seen_now = view((*instances([1, 2, 3]), *instances([9], State.PENDING)))
        assert not decide(spec(), seen_now, STEADY, [Tick()], T0).sizes

    def test_never_beyond_the_maximum(self) -> None:
        events = [notice(n) for n in range(1, 5)]
        assert decide(spec(maximum=3), FULL, STEADY, events, T0).sizes == {BACKUP: 3}

    def test_never_beyond_the_bound_of_the_group(self) -> None:
        bounded = replace(FULL, backup=replace(FULL.backup, maximum=2))
        assert decide(spec(), bounded, STEADY, [notice(n) for n in range(1, 4)], T0).sizes == {BACKUP: 2}

    def test_on_top_of_the_base(self) -> None:
        fleet = spec(target=6, base=2, maximum=4)
        seen_now = view(instances(range(1, 5)), instances([8, 9]))
        decision = decide(fleet, seen_now, replace(STEADY, backup_desired=2), [notice(1)], T0)
        assert decision.sizes == {BACKUP: 3}

    def test_the_base_is_kept_without_any_shortfall(self) -> None:
        fleet = spec(target=6, base=2)
        assert decide(fleet, view(instances(range(1, 5))), ledger(), [], T0).sizes == {BACKUP: 2}

    def test_the_policy_is_asked(self) -> None:
        assert not decide(spec("never"), FULL, STEADY, [notice(1)], T0).sizes
        first = decide(spec("patient"), FULL, STEADY, [notice(1)], T0)
        assert not first.sizes
        later = decide(spec("patient"), view(instances([2, 3, 4]), now=T0 + 600), first.ledger, [Tick()], T0 + 600)
        assert later.sizes == {BACKUP: 1}

    @pytest.mark.parametrize(("answer", "size"), [(-7, 2), (10**9, 4)])
    def test_base_and_maximum_hold_whatever_a_policy_answers(
        self, monkeypatch: pytest.MonkeyPatch, answer: int, size: int
    ) -> None:
        class Odd:
            def answer(self, situation: Situation) -> Answer:
                return Answer(on_demand=answer)

        monkeypatch.setitem(POLICIES, "odd", lambda _spec, _ledger: Odd())
        fleet = spec("odd", target=6, base=2)
        assert decide(fleet, view(instances(range(1, 5))), ledger(), [notice(1)], T0).sizes[BACKUP] == size

    def test_the_spot_group_is_asked_for_its_target(self) -> None:
        assert decide(spec(target=6), FULL, STEADY, [], T0).sizes == {SPOT: 6}


class TestLaunching:
    """A fleet that boots is not a fleet that has lost nodes."""

    def test_a_new_fleet_is_given_time(self) -> None:
        first = decide(spec(), view(), ledger(), [Tick()], T0)
        later = decide(spec(), view(), first.ledger, [Tick()], T0 + 59)
        assert not first.sizes
        assert not later.sizes

    def test_but_not_for_ever(self) -> None:
        first = decide(spec(), view(), ledger(), [Tick()], T0)
        assert decide(spec(), view(), first.ledger, [Tick()], T0 + 60).sizes == {BACKUP: 4}

    def test_a_refusal_for_lack_of_capacity_ends_it(self) -> None:
        decision = decide(spec(), view(), ledger(), [failed(CAPACITY, T0 - 1)], T0)
        assert decision.sizes == {BACKUP: 4}
        assert decision.facts.drought

    def test_a_refusal_from_before_the_shortfall_does_not(self) -> None:
        assert not decide(spec(), view(), ledger(), [failed(CAPACITY, T0 - 61)], T0).sizes

    def test_what_was_lost_is_bought_and_only_that(self) -> None:
        fleet = spec(target=6)
        lost_one = view(instances([1, 2, 3]), spot_desired=6)
        assert decide(fleet, lost_one, STEADY, [], T0).sizes == {BACKUP: 1}

    @pytest.mark.parametrize("failure_class", [QUOTA, CONFIGURATION])
    def test_quota_and_configuration_buy_nothing_however_long_it_lasts(self, failure_class: str) -> None:
        first = decide(spec(), view(), ledger(), [failed(failure_class, T0)], T0)
        later = decide(spec(), view(), first.ledger, [Tick()], T0 + 3600)
        assert not first.sizes
        assert not later.sizes
        counts = (first.facts.quota_failures, first.facts.configuration_failures)
        assert counts == ((1, 0) if failure_class == QUOTA else (0, 1))
        assert not first.facts.drought

    def test_but_what_is_lost_is_bought_all_the_same(self) -> None:
        blocked = decide(spec(), FULL, STEADY, [failed(QUOTA, T0), notice(1)], T0)
        assert blocked.sizes == {BACKUP: 1}

    def test_the_latest_refusal_counts(self) -> None:
        both = [failed(QUOTA, T0 - 5), failed(CAPACITY, T0 - 1)]
        assert decide(spec(), view(), ledger(), both, T0).sizes == {BACKUP: 4}
        both = [failed(QUOTA, T0 - 1), failed(CAPACITY, T0 - 5)]
        assert not decide(spec(), view(), ledger(), both, T0).sizes

    def test_what_the_backup_group_is_refused_says_nothing_about_spot(self) -> None:
        decision = decide(spec(), view(), ledger(), [failed(CAPACITY, T0, BACKUP)], T0)
        assert not decision.sizes
        assert decision.ledger.failures.keys() == {"backup-capacity"}

    def test_the_same_failure_counts_once(self) -> None:
        first = decide(spec(), view(), ledger(), [failed(QUOTA, T0), failed(QUOTA, T0)], T0)
        again = decide(spec(), view(), first.ledger, [failed(QUOTA, T0), failed(QUOTA, T0 - 9)], T0 + 1)
        assert again.ledger.failures == {QUOTA: FailureRecord(count=1, last_at=T0, message="why")}
        assert again.facts.quota_failures == 0

    def test_long_messages_are_cut(self) -> None:
        long = LaunchFailed(SPOT, CAPACITY, T0, "x" * 5000)
        kept = decide(spec(), view(), ledger(), [long], T0).ledger.failures[CAPACITY]
        assert len(kept.message) == MESSAGE_CHARACTERS


class TestLowering:
    """Two on-demand nodes are held; what does it take to give them back?"""

    held = ledger(seen={**seen(range(1, 5)), **seen([8, 9], BACKUP)}, spot_desired=4, backup_desired=2)

    def at(self, passed: float, known: FleetLedger, joined: int = 4, *, tick: bool = True) -> Decision:
        """Look with so many spot nodes joined; the rest of four boots."""
        now = T0 + passed
        reported = {node(n): now for n in (*range(1, joined + 1), 8, 9)}
        seen_now = view(instances(range(1, 5)), instances([8, 9]), reported=reported)
        booting = {name: replace(s, first_at=now) for name, s in known.seen.items() if name not in reported}
        return decide(spec(), seen_now, replace(known, seen={**known.seen, **booting}), [Tick()] if tick else [], now)

    def test_it_takes_the_hysteresis_and_then_a_tick(self) -> None:
        first = self.at(0, self.held)
        early = self.at(299, first.ledger)
        no_tick = self.at(301, early.ledger, tick=False)
        tick = self.at(302, no_tick.ledger)
        assert [d.ledger.backup_desired for d in (first, early, no_tick, tick)] == [2, 2, 2, 0]

    def test_it_takes_nodes_that_have_joined_the_job(self) -> None:
        first = self.at(0, self.held, joined=2)
        later = self.at(3000, first.ledger, joined=2)
        assert (later.facts.shortfall, later.ledger.backup_desired) == (0, 2)

    def test_a_flap_starts_the_clock_anew(self) -> None:
        first = self.at(0, self.held)
        flap = self.at(200, first.ledger, joined=2, tick=False)
        assert flap.ledger.surplus_since is None
        back = self.at(250, flap.ledger)
        assert self.at(549, back.ledger).ledger.backup_desired == 2
        assert self.at(550, back.ledger).ledger.backup_desired == 0

    def test_a_part_is_given_back_and_only_what_was_never_needed_in_between(self) -> None:
        first = self.at(0, self.held)
        dip = self.at(200, first.ledger, joined=3)
        tick = self.at(300, dip.ledger)
        assert tick.ledger.backup_desired == 1
        assert (tick.ledger.surplus_since, tick.ledger.surplus_wanted) == (T0 + 300, 0)
        assert self.at(599, tick.ledger).ledger.backup_desired == 1
        assert self.at(600, tick.ledger).ledger.backup_desired == 0

    def test_patience_is_for_buying_not_for_keeping(self) -> None:
        seen_now = view(instances([1, 2]), instances([8, 9]))
        decision = decide(spec("patient"), seen_now, replace(self.held, shortfall_since=None), [Tick()], T0)
        assert decision.ledger.backup_desired == 2
        assert decision.ledger.surplus_since is None

    def test_what_a_smaller_maximum_forbids_goes_with_the_next_tick(self) -> None:
        seen_now = view(instances([1, 2]), instances([8, 9]))
        assert decide(spec(maximum=1), seen_now, self.held, [], T0).ledger.backup_desired == 2
        assert decide(spec(maximum=1), seen_now, self.held, [Tick()], T0).ledger.backup_desired == 1

    def test_unfilled_requests_are_cancelled_before_anybody_is_drained(self) -> None:
        known = replace(self.held, surplus_since=T0 - 300, backup_desired=3)
        seen_now = view(instances([1, 2, 3]), instances([8]), backup_desired=3)
        decision = decide(spec(), seen_now, known, [Tick()], T0)  # one is still missing, one lives, two were asked for
        assert decision.sizes == {BACKUP: 1}
        assert not any(r.kind == DRAIN for r in decision.ledger.notices.values())


class TestDesired:
    """Desired sizes follow from what is to be held, whatever has become of them."""

    def test_a_size_changed_by_hand_is_put_right(self) -> None:
        assert decide(spec(), view(instances(range(1, 5)), backup_desired=3), STEADY, [], T0).sizes == {BACKUP: 0}
        assert decide(spec(), view(instances(range(1, 5)), spot_desired=1), STEADY, [], T0).sizes == {SPOT: 4}

    def test_a_size_is_never_below_what_lives(self) -> None:
        seen_now = view(instances(range(1, 7)), instances([8, 9]), spot_desired=9, backup_desired=5)
        assert decide(spec(), seen_now, STEADY, [], T0).sizes == {SPOT: 6, BACKUP: 2}

    def test_nothing_is_set_that_is_so_already(self) -> None:
        assert not decide(spec(), FULL, STEADY, [Tick()], T0).sizes

    def test_a_leaving_backup_node_is_replaced_at_once_and_its_slot_goes_with_it(self) -> None:
        known = replace(STEADY, seen={**seen([1, 2, 3]), **seen([9], BACKUP)}, backup_desired=1)
        first = decide(spec(), view(instances([1, 2, 3]), instances([9])), known, [notice(9, SCALE_IN)], T0)
        assert first.sizes == {BACKUP: 2}
        gone = view(instances([1, 2, 3]), instances([10]), backup_desired=2)
        assert decide(spec(), gone, first.ledger, [], T0 + 60).sizes == {BACKUP: 1}

    def test_a_replacement_of_a_leaving_backup_node_keeps_to_the_maximum(self) -> None:
        known = replace(STEADY, backup_desired=1)
        seen_now = view(instances([1, 2, 3]), instances([9]))
        assert not decide(spec(maximum=1), seen_now, known, [notice(9, SCALE_IN)], T0).sizes

    def test_a_node_that_was_just_terminated_takes_no_slot_even_if_it_is_still_described_as_running(self) -> None:
        ended = record(9, DRAIN, group=BACKUP, stage="ended", ended_at=T0)
        known = replace(STEADY, backup_desired=0, notices={node(9): ended})
        seen_now = view(instances(range(1, 5)), instances([9]), backup_desired=0)
        assert not decide(spec(), seen_now, known, [], T0 + 1).sizes
        later = decide(spec(), seen_now, known, [], T0 + SETTLE_SECONDS)
        assert later.sizes == {BACKUP: 1}  # it does live, and its termination has come to nothing

    def test_without_a_memory_what_is_asked_for_is_held(self) -> None:
        decision = decide(spec(), view(instances(range(1, 5)), instances([8, 9])), ledger(), [Tick()], T0)
        assert decision.ledger.backup_desired == 2
        assert not decision.sizes

    def test_the_memory_of_another_incarnation_counts_for_nothing(self) -> None:
        foreign = replace(STEADY, incarnation="AROAOLD", backup_desired=3, notices={node(1): record(1)}, revision=41)
        decision = decide(spec(), FULL, foreign, [Tick()], T0)
        assert (decision.ledger.incarnation, decision.ledger.revision) == ("AROATEST", 41)
        assert not decision.ledger.notices
        assert not decision.sizes
