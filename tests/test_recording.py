from __future__ import annotations

from dataclasses import replace

import pytest

from spotkeeper_lab.aftermath import Struck
from spotkeeper_lab.local.moments import Moment
from spotkeeper_lab.recording import Injected, Record, Taken, build
from spotkeeper_lab.timeline import BACKUP, FROZEN, KILLED, SPOT, Departure, Shape


def moment(at: float, what: str, node: str | None = None, **detail) -> Moment:
    return Moment(at, what, node, detail)


RECORD = Record(
    shape=Shape(spot_target=2, base=0, maximum=2),
    started_at=0,
    ended_at=40,
    moments=[
        moment(0, "desired-changed", group=SPOT, desired=2),
        moment(0, "desired-changed", group=BACKUP, desired=0),
        moment(1, "instance-launched", "i-a", group=SPOT),
        moment(1, "instance-launched", "i-b", group=SPOT),
        moment(10.6, "desired-changed", group=BACKUP, desired=1),
        moment(10.8, "ssm-delivered", "i-a", kind="interruption", nodes="i-a"),
        moment(10.8, "ssm-delivered", "i-b", kind="interruption", nodes="i-a"),
        moment(11, "instance-launched", "i-z", group=BACKUP),
        moment(11, "launch-refused", group=SPOT, kind="capacity"),
        moment(19, "instance-launched", "i-c", group=SPOT),
        moment(18, "reclaimed", "i-a"),
        moment(18.1, "terminated", "i-a"),
        moment(23, "lifecycle-completed", "i-z"),
        moment(24, "desired-changed", group=BACKUP, desired=0),
        moment(24.5, "terminated", "i-z"),
    ],
    injected=[Injected("i-a", "interruption", 10, 18, held_job=True, step=70)],
    reported={"i-a": 3, "i-b": 3.5, "i-z": 13, "i-c": 21},
    heard={"i-a:leaving": 10.2, "i-z:leaving": 22.2},
    kinds={"i-a:leaving": "interruption", "i-z:leaving": "drain"},
    deadlines={"i-a:leaving": 18.4, "i-z:leaving": 34},
    signalled={"i-a:leaving": 10.7, "i-z:leaving": 22},
    confirmed={"i-a:leaving": (10.5, 75), "i-z:leaving": (22.3, None)},
    taken=[Taken(4, 1, "i-a"), Taken(10.9, 2, "i-b")],
    resume_steps={1: 0, 2: 75},
    last_steps={1: 75, 2: 460},
    finished_at=35,
)


def test_lives():
    a, b, z, _ = build(RECORD).lives
    assert (a.node, a.group, a.launched_at, a.serving_at, a.ended_at, a.reclaimed) == ("i-a", SPOT, 1, 3, 18, True)
    assert (b.ended_at, b.reclaimed) == (None, False)
    assert (z.group, z.ended_at, z.reclaimed) == (BACKUP, 24.5, False)


def test_who_held_the_job_and_how_far_it_came():
    one, two = build(RECORD).holdings
    assert (one.node, one.start, one.end, one.resume_step, one.last_step) == ("i-a", 4, 10.9, 0, 75)
    assert (two.node, two.start, two.end, two.resume_step, two.last_step) == ("i-b", 10.9, 35, 75, 460)


def test_a_job_that_nobody_has_taken_is_held_by_nobody():
    assert build(replace(RECORD, taken=[])).holdings == []


def test_who_ran_the_job_with_others_held_it_too():
    ranks = {"resumed": {2: frozenset({75})}, "stopped": {1: frozenset({75, 76})}}
    taken = [Taken(4, 1, "i-b", ("i-a",)), Taken(13, 2, "i-b", ("i-z",))]
    found = build(replace(RECORD, taken=taken, **ranks))
    one, two = found.holdings
    assert (one.nodes, two.nodes, found.ranks) == (("i-b", "i-a"), ("i-b", "i-z"), 2)
    assert (one.resumed, one.stopped) == (frozenset(), frozenset({75, 76}))
    assert (two.resumed, two.stopped) == (frozenset({75}), frozenset())
    assert (one.end, two.end) == (13, 35), "the job goes on as long as one of them lives"
    assert {notice.node: notice.held_job for notice in found.notices} == {"i-a": True, "i-z": True}


def test_a_holder_that_is_gone_before_the_next_one_holds_nothing_any_more():
    late = replace(RECORD, taken=[Taken(4, 1, "i-a"), Taken(21, 2, "i-b")])
    assert build(late).holdings[0].end == 18


def test_what_followed_the_notice_of_the_scenario():
    (notice,) = build(RECORD).interruptions
    assert (notice.node, notice.kind, notice.held_job, notice.step) == ("i-a", "interruption", True, 70)
    assert (notice.at, notice.deadline, notice.heard_at, notice.signalled_at) == (10, 18, 10.2, 10.7)
    assert (notice.confirmed_at, notice.confirmed_step, notice.commands, notice.gone_at) == (10.5, 75, 1, 18)
    assert (notice.backup_requested_at, notice.backup_serving_at, notice.returned_at) == (10.6, 13, 24.5)


def test_the_responders_own_drain_is_a_notice_but_no_interruption():
    drain = build(RECORD).notices[-1]
    assert (drain.node, drain.kind, drain.injected, drain.at, drain.deadline) == ("i-z", "drain", False, 22, 34)
    assert (drain.confirmed_at, drain.confirmed_step, drain.hook_completed_at) == (22.3, None, 23)


def test_what_did_not_happen_is_none():
    nothing = replace(RECORD, moments=RECORD.moments[:4], heard={}, kinds={}, signalled={}, confirmed={})
    (notice,) = build(nothing).notices
    assert [
        notice.heard_at,
        notice.signalled_at,
        notice.confirmed_at,
        notice.backup_requested_at,
        notice.backup_serving_at,
        notice.returned_at,
        notice.gone_at,
    ] == [None] * 7


def test_a_rebalance_recommendation_buys_nothing_even_if_something_is_bought_later():
    injected = [Injected("i-a", "rebalance", 8, None, held_job=True, step=60), *RECORD.injected]
    rebalance, interruption = build(replace(RECORD, injected=injected)).interruptions
    assert rebalance.backup_requested_at is None
    assert interruption.backup_requested_at == 10.6


def test_not_returned_while_a_bought_node_lives():
    still = replace(RECORD, moments=RECORD.moments[:-1])
    assert build(still).interruptions[0].returned_at is None


def test_not_returned_while_spot_is_not_at_strength():
    assert build(replace(RECORD, reported={**RECORD.reported, "i-c": 30})).interruptions[0].returned_at is None


@pytest.mark.parametrize(("at", "size"), [(0, 0), (10.6, 1), (23.9, 1), (24, 0)])
def test_size_at_a_time(at, size):
    assert build(RECORD).size(BACKUP, at) == size


def test_a_confirmed_checkpoint_is_a_step_that_was_seen_and_saved():
    seen = build(replace(RECORD, steps=[(9, 60), (12, 90)], saved=[(8, 50)]))
    assert seen.steps == [(9, 60), (10.5, 75), (12, 90)]
    assert seen.saved == [(8, 50), (10.5, 75)]


def test_refusals_are_told_with_their_group():
    assert build(RECORD).refused == [(11, SPOT)]


def test_a_node_that_was_struck_without_a_notice():
    struck = Struck("i-a", KILLED, 10, held_job=True, step=70)
    told = [each for each in RECORD.moments if each.what not in ("reclaimed", "ssm-delivered")]
    told.append(moment(10, "killed", "i-a"))
    (strike,) = build(replace(RECORD, injected=[], struck=[struck], moments=told)).strikes
    assert (strike.node, strike.how, strike.group, strike.held_job, strike.step) == ("i-a", KILLED, SPOT, True, 70)
    assert (strike.gone_at, strike.backup_requested_at, strike.backup_serving_at) == (10, 10.6, 13)
    assert strike.returned_at == 24.5


def test_a_node_that_was_woken_and_refused():
    struck = Struck("i-b", FROZEN, 10, held_job=False, step=None, until=20)
    (strike,) = build(replace(RECORD, struck=[struck], refused={"i-b": 19.5})).strikes
    assert (strike.until, strike.refused_at, strike.gone_at) == (20, 19.5, None)


def test_a_life_tells_its_version_and_how_it_left():
    moments = [
        moment(1, "instance-launched", "i-a", group=SPOT, version="7"),
        moment(5, "leaving", "i-a", why="named"),
        moment(6, "lifecycle-completed", "i-a", result="CONTINUE"),
        moment(7, "terminated", "i-a"),
        moment(8, "instance-launched", "i-b", group=SPOT, version="8"),
    ]
    first, second = build(replace(RECORD, moments=moments)).lives
    assert (first.version, first.left, first.hook) == ("7", Departure(5, "named"), "CONTINUE")
    assert (second.version, second.left, second.hook) == ("8", None, "")


def test_what_was_asked_for_later_decides_when_the_fleet_was_back():
    larger = replace(RECORD, reshaped=[(20.0, Shape(spot_target=3, base=0, maximum=3))])
    assert build(larger).shape_at(19) == RECORD.shape
    assert build(larger).shape_at(21).spot_target == 3
    (interruption,) = build(larger).interruptions
    assert interruption.returned_at is None, "two spot nodes are not three"
    assert build(RECORD).interruptions[0].returned_at is not None
