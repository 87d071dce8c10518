"""Each promise is broken once in a rehearsal that went well otherwise, and has to be told in a sentence with its
numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab_support import START, recovered
from spotkeeper_lab import proof
from spotkeeper_lab.evidence import Evidence, steps_lost
from spotkeeper_lab.proof import CHECKS, broken_promises
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import BACKUP, SPOT, Departure, Holding, Life, Notice, Timeline

GOOD = Evidence(recovered(), Expectations(released=True), digest="abc", uninterrupted_digest="abc")


def with_notice(**changes) -> Timeline:
    timeline = recovered()
    first, *others = timeline.notices
    return replace(timeline, notices=[replace(first, **changes), *others])


def with_holding(number: int, **changes) -> Timeline:
    timeline = recovered()
    holdings = list(timeline.holdings)
    holdings[number] = replace(holdings[number], **changes)
    return replace(timeline, holdings=holdings)


def with_desired(**changes) -> Timeline:
    timeline = recovered()
    return replace(timeline, desired={**timeline.desired, **changes})


def test_a_rehearsal_that_went_well_breaks_nothing():
    assert broken_promises(GOOD) == []
    assert steps_lost(GOOD.timeline) == 0


BROKEN = {
    "no interruption": (
        replace(recovered(), notices=[], desired={SPOT: [], BACKUP: []}),
        "nothing was proved: no node was interrupted",
    ),
    "holder spared": (with_notice(held_job=False), "nothing was proved: the job's node was not among the 1"),
    "end of an epoch": (with_notice(confirmed_step=115), "at step 115, the end of an epoch"),
    "nobody took over": (
        replace(recovered(), holdings=recovered().holdings[:1]),
        "no other node took the job of i-spot-a",
    ),
    "same node": (with_holding(1, node="i-spot-a"), "no other node took the job of i-spot-a"),
    "from nothing": (with_holding(1, resume_step=0), "i-spot-b began at step 0"),
    "no step made": (with_holding(1, last_step=130), "resumed at step 130 and made no step"),
    "steps lost": (
        with_holding(1, resume_step=118),
        "12 steps were lost .* it stopped at step 130, i-spot-b resumed at 118",
    ),
    "not heard": (with_notice(heard_at=None), "the notice of i-spot-a never reached its agent"),
    "not confirmed": (
        with_notice(confirmed_at=None, confirmed_step=None),
        "did not confirm a checkpoint for its interruption notice",
    ),
    "confirmed late": (with_notice(confirmed_at=START + 19), "confirmed its checkpoint 1.0 s after the deadline"),
    "not signalled": (with_notice(signalled_at=None), "the responder never signalled i-spot-a"),
    "signalled late": (with_notice(signalled_at=START + 20), "signalled i-spot-a 2.0 s after its deadline"),
    "acted on twice": (with_notice(commands=2), "interruption notice of i-spot-a was acted on 2 times, expected once"),
    "bought too much": (
        with_desired(backup=[(START, 0), (START + 10.5, 2), (START + 24, 0)]),
        "2 on-demand nodes were asked for 10.5 s after .* at most 1: base 0, maximum 2, 1 spot nodes missing",
    ),
    "bought while filling": (
        with_desired(backup=[(START, 0), (START + 1, 2), (START + 24, 0)]),
        "2 on-demand nodes were asked for 1.0 s .* expected at most 0",
    ),
    "never bought": (
        replace(with_desired(backup=[(START, 0)]), notices=[replace(recovered().notices[0], backup_requested_at=None)]),
        "0 on-demand nodes were asked for when i-spot-a was gone, 8.0 s after its notice, expected 1",
    ),
    "bought after the reclaim": (
        with_desired(backup=[(START, 0), (START + 18.5, 1), (START + 24, 0)]),
        "0 on-demand nodes were asked for when i-spot-a was gone",
    ),
    "not returned": (
        with_notice(returned_at=None),
        "the fleet did not return to spot: at the end 0 on-demand nodes were asked for",
    ),
    "not released": (
        with_desired(spot=[(START, 2)]),
        "the finished job still costs: 2 spot and 0 on-demand nodes asked for, 0 running",
    ),
    "not announced": (
        replace(recovered(), announced=[(START, "Spotkeeper: No spot capacity (shop-prod-digits)")]),
        "nobody was told that the job is over; announced was: Spotkeeper: No spot capacity",
    ),
    "hook too early": (
        replace(
            recovered(), notices=[recovered().notices[0], replace(recovered().notices[1], confirmed_at=START + 23.95)]
        ),
        "the lifecycle hook of i-backup was completed before its checkpoint was confirmed",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_told_with_its_numbers(case):
    timeline, sentence = BROKEN[case]
    broken = broken_promises(replace(GOOD, timeline=timeline))
    assert broken
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError("\n".join(broken))


@pytest.mark.parametrize("changes", [{"digest": "abd"}, {"digest": None}, {"uninterrupted_digest": None}])
def test_other_weights_or_none_are_told(changes):
    (sentence,) = broken_promises(replace(GOOD, **changes))
    assert "weights" in sentence


def test_what_was_waited_for_in_vain_is_told_first():
    assert broken_promises(replace(GOOD, missed=["it never came"])) == ["it never came"]


def test_steps_lost_by_a_node_that_heard_nothing_are_counted_but_no_broken_promise_of_their_own():
    timeline = with_holding(1, resume_step=100)
    timeline = replace(timeline, notices=[replace(timeline.notices[0], heard_at=None), timeline.notices[1]])
    assert steps_lost(timeline) == 30
    assert not [sentence for sentence in broken_promises(replace(GOOD, timeline=timeline)) if "were lost" in sentence]


def test_a_node_that_is_interrupted_as_it_takes_the_job_is_no_step_of_it():
    first, second = recovered().holdings
    passing = Holding(2, "i-spot-c", SPOT, START + 10.8, START + 11)
    timeline = replace(recovered(), holdings=[first, passing, replace(second, generation=3)])
    assert broken_promises(replace(GOOD, timeline=timeline)) == []
    lossy = replace(timeline, holdings=[first, passing, replace(second, generation=3, resume_step=100)])
    assert steps_lost(lossy) == 30
    assert any("30 steps were lost" in sentence for sentence in broken_promises(replace(GOOD, timeline=lossy)))


def test_the_hook_may_be_completed_without_a_confirmation_once_time_is_up():
    drain = replace(recovered().notices[1], confirmed_at=None, deadline=START + 23.5)
    timeline = replace(recovered(), notices=[recovered().notices[0], drain])
    assert broken_promises(replace(GOOD, timeline=timeline)) == []


def test_what_was_given_back_with_a_job_that_ended_before_the_reclaim_was_bought_in_time():
    early = replace(
        with_desired(backup=[(START, 0), (START + 10.5, 1), (START + 14, 0)]), finished_at=START + 12, reshaped=[]
    )
    told = broken_promises(replace(GOOD, timeline=early))
    assert not [each for each in told if "were asked for when" in each]


def test_the_policy_never_buys_nothing_and_needs_no_return():
    timeline = recovered()
    never = replace(timeline, shape=replace(timeline.shape, policy="never"))
    (sentence,) = broken_promises(replace(GOOD, timeline=never))
    assert "although the policy is never" in sentence


def test_a_job_that_does_not_train_is_judged_by_what_there_is():
    timeline = with_notice(step=None, confirmed_step=None, confirmed_at=None)
    timeline = replace(
        timeline, holdings=[replace(each, resume_step=None, last_step=None) for each in timeline.holdings]
    )
    assert broken_promises(Evidence(timeline, Expectations(), trains=False)) == []
    assert steps_lost(timeline) is None


def test_the_job_has_to_come_back_from_on_demand_where_that_is_expected():
    expect = Expectations(held_on_demand=True)
    assert "never did" in broken_promises(replace(GOOD, expect=expect))[0]
    first, second = recovered().holdings
    bridge = replace(second, node="i-backup", group=BACKUP)
    stayed = replace(GOOD, expect=expect, timeline=replace(recovered(), holdings=[first, bridge]))
    assert any("did not move back" in sentence for sentence in broken_promises(stayed))
    back = Holding(3, "i-spot-c", SPOT, START + 23.5, START + 30, resume_step=460, last_step=461)
    returned = replace(stayed, timeline=replace(recovered(), holdings=[first, bridge, back]))
    assert broken_promises(returned) == []


def test_every_check_can_fail():
    failing = {
        check for timeline, _ in BROKEN.values() for check in CHECKS if list(check(replace(GOOD, timeline=timeline)))
    }
    by_other_tests = {"_same_weights", "_held_on_demand"}
    here = {check.__name__ for check in CHECKS if check.__module__ == proof.__name__}  # others have tests of their own
    assert here - {check.__name__ for check in failing} == by_other_tests


def test_the_successor_of_a_drained_on_demand_node_is_asked_for_on_top():
    timeline = recovered()
    base = Life("i-base", BACKUP, START, serving_at=START + 3, ended_at=START + 29, left=Departure(START + 28, "named"))
    renewed = replace(
        timeline,
        shape=replace(timeline.shape, base=1),
        lives=[*timeline.lives, base],
        desired={**timeline.desired, BACKUP: [(START, 1), (START + 26, 2), (START + 29, 1)]},
    )
    drain = Notice("i-base", "drain", BACKUP, START + 25, confirmed_at=START + 27)
    asked = "2 on-demand nodes were asked for 26.0 s"
    without, drained = (
        broken_promises(replace(GOOD, timeline=replace(renewed, notices=[*timeline.notices, *more])))
        for more in ([], [drain])
    )
    assert any(sentence.startswith(asked) for sentence in without)
    assert not any(sentence.startswith(asked) for sentence in drained)
