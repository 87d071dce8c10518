"""Each check of faults, in a rehearsal that went well otherwise: told in a sentence if it is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from lab_support import START, recovered
from spotkeeper_lab.checks.faults import CHECKS
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.proof import broken_promises
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import BACKUP, SPOT, Alarm, Fault, Holding, Notice, Timeline

CRASH = Fault("crash", START + 9, START + 10.3, {"settled": ("i-spot-a:leaving",), "instead_of": "GetObject /l/s"})
THROTTLE = Fault(
    "throttle",
    START + 9,
    START + 17,
    {"share": 0.5, "calls": {"responder": 60, "agents": 200}, "refused": {"responder": 33, "agents": 96}},
)
DARK = Fault(
    "dark",
    START + 9,
    START + 20,
    {"hung": {"responder": 3, "agents": 30}, "refused": {"responder": 4, "agents": 40}},
)
CRASHED = replace(recovered(), faults=[CRASH], repeated=[START + 13.0])
THROTTLED = replace(recovered(), faults=[THROTTLE])
ALARM = Alarm(START + 5, "responder-quota", "Sum of LaunchFailuresQuota: GreaterThanThreshold 0", "Raise the quota.")


def dark(**changes) -> Timeline:
    """A ledger that is away for longer than the notice of a spare, and comes back during the holder's."""
    timeline = recovered()
    first, drained = timeline.notices
    spare = Notice(
        "i-spot-x", "interruption", SPOT, START + 9.5, deadline=START + 16, injected=True, heard_at=START + 9.8,
        signalled_at=START + 11.5, first_command_at=START + 11.5,
    )  # fmt: skip
    holder = replace(
        first,
        at=START + 17,
        deadline=START + 23,
        heard_at=START + 17.3,
        signalled_at=START + 19,
        first_command_at=START + 19,
        confirmed_at=START + 17.5,
        backup_requested_at=START + 20.5,
    )
    holdings = [replace(timeline.holdings[0], end=START + 18), replace(timeline.holdings[1], start=START + 21)]
    desired = {SPOT: [(START, 2), (START + 32, 0)], BACKUP: [(START, 0), (START + 20.5, 1), (START + 24, 0)]}
    return replace(
        timeline,
        **{"faults": [DARK], "notices": [spare, holder, drained], "holdings": holdings, "desired": desired, **changes},
    )


def broken(timeline: Timeline, alarms: Sequence[str] = ()) -> list[str]:
    expect = Expectations(backup_before_reclaim=False, alarms=tuple(alarms))
    return broken_promises(Evidence(timeline, expect, digest="abc", uninterrupted_digest="abc"))


@pytest.mark.parametrize("timeline", [CRASHED, THROTTLED, dark()], ids=["crash", "throttle", "dark"])
def test_faults_that_were_met_as_promised_break_nothing(timeline: Timeline) -> None:
    assert broken(timeline) == []


def test_where_no_command_reaches_a_node_past_the_ledger_its_own_metadata_has_to() -> None:
    timeline = dark()
    spare, *others = timeline.notices
    unsignalled = replace(spare, signalled_at=None, first_command_at=None)
    judged = Evidence(
        replace(timeline, notices=[unsignalled, *others]),
        Expectations(backup_before_reclaim=False),
        digest="abc",
        uninterrupted_digest="abc",
        commands=False,
    )
    assert broken_promises(judged) == []
    deaf = replace(timeline, notices=[replace(unsignalled, heard_at=None), *others])
    (told,) = broken_promises(replace(judged, timeline=deaf))
    assert told == "its own metadata did not tell i-spot-x of its interruption while the ledger was away"


def with_fault(timeline: Timeline, **changes) -> Timeline:
    return replace(timeline, faults=[replace(timeline.faults[0], **changes)])


def with_detail(timeline: Timeline, **changes) -> Timeline:
    return with_fault(timeline, detail={**timeline.faults[0].detail, **changes})


def with_notice(timeline: Timeline, number: int, **changes) -> Timeline:
    notices = list(timeline.notices)
    notices[number] = replace(notices[number], **changes)
    return replace(timeline, notices=notices)


BROKEN = {
    "never died": (with_fault(CRASHED, ended_at=None, detail={}), "the function never died between"),
    "died after the signal": (
        with_fault(CRASHED, ended_at=START + 11),
        "i-spot-a was told of its interruption 0.3 s before the function died",
    ),
    "command before death": (
        with_notice(CRASHED, 0, first_command_at=START + 10.125),
        "i-spot-a was told of its interruption 0.2 s before the function died",
    ),
    "not delivered again": (replace(CRASHED, repeated=[START + 5.0]), "was not given to another one"),
    "too few refused": (
        with_detail(THROTTLED, refused={"responder": 33, "agents": 60}),
        "60 of 200 calls of the agents were refused, expected 50%",
    ),
    "none refused": (
        with_detail(THROTTLED, refused={"agents": 96}),
        "0 of 60 calls of the responder were refused, expected 50%",
    ),
    "no calls": (with_detail(THROTTLED, calls={"agents": 200}), "the responder made 0 calls while calls were refused"),
    "throttled to the end": (with_fault(THROTTLED, ended_at=None), "ended before the throttling did"),
    "dark to the end": (with_fault(dark(), ended_at=None), "ended before the ledger was back"),
    "nothing hung": (with_detail(dark(), hung={"agents": 3}), "no call of the responder hung while the ledger"),
    "nothing refused": (with_detail(dark(), refused={"responder": 3}), "no call of the agents refused"),
    "nobody interrupted": (with_fault(dark(), ended_at=START + 15.9), "no notice came and was over while the ledger"),
    "told too late": (
        with_notice(dark(), 0, first_command_at=START + 16.1),
        "no command told i-spot-x of its interruption while the ledger was away",
    ),
    "size touched": (
        dark(desired={SPOT: [(START, 2), (START + 14, 3)], BACKUP: [(START, 0)]}),
        "3 spot nodes were asked for 5.0 s after the ledger went away",
    ),
    "declared dead": (
        dark(
            holdings=[
                Holding(1, "i-spot-b", SPOT, START + 3, START + 12, resume_step=0, last_step=130),
                Holding(2, "i-spot-c", SPOT, START + 12, START + 30, resume_step=130, last_step=460),
            ]
        ),
        "i-spot-c took the job of i-spot-b, which had only been unable to reach the ledger",
    ),
    "stood still": (
        dark(steps=[(START + n, min(n, 12)) for n in range(30)]),
        "the job did not go on without the ledger: step 12 after 4.0 s, 12 after twice that",
    ),
    "bought for a quota": (
        replace(recovered(), blocked=[(START + 2.0, "quota"), (START + 6.0, "quota")],
                desired={SPOT: [(START, 2)], BACKUP: [(START, 0), (START + 5, 1), (START + 24, 0)]}),
        "1 backup nodes were asked for 3.0 s after launches began to fail for quota, expected 0 as before",
    ),
    "alarm for nothing": (replace(recovered(), alarms=[ALARM]), "the alarm responder-quota rang and nobody"),
}  # fmt: skip


@pytest.mark.parametrize(("timeline", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_told(timeline: Timeline, sentence: str) -> None:
    assert any(sentence in each for each in broken(timeline)), broken(timeline)


def test_sizes_may_follow_an_interruption_while_launches_fail() -> None:
    assert broken(replace(recovered(), blocked=[(START + 2.0, "quota"), (START + 12.0, "quota")])) == []


def test_the_first_look_at_a_size_is_no_change_of_it() -> None:
    late = {SPOT: [(START + 3, 2)], BACKUP: [(START + 3, 0), (START + 12, 1), (START + 24, 0)]}
    blocked = [(START + 2.0, "quota"), (START + 6.0, "quota")]
    assert broken(replace(recovered(), blocked=blocked, desired=late)) == []


def test_alarms_are_those_that_are_expected() -> None:
    rang = replace(recovered(), alarms=[ALARM])
    assert broken(rang, ["quota"]) == []
    assert broken(rang, ["quota", "drought"]) == ["the alarm drought did not ring"]


def test_an_alarm_that_may_ring_need_not() -> None:
    expect = Expectations(backup_before_reclaim=False, may_ring=("quota",))
    judged = Evidence(recovered(), expect, digest="abc", uninterrupted_digest="abc")
    assert broken_promises(judged) == []
    assert broken_promises(replace(judged, timeline=replace(recovered(), alarms=[ALARM]))) == []


def test_every_check_can_fail() -> None:
    def fails(check: Callable[[Evidence], Iterator[str]], timeline: Timeline) -> bool:
        return bool(list(check(Evidence(timeline, Expectations()))))

    for check in CHECKS:
        assert any(fails(check, timeline) for timeline, _ in BROKEN.values()), check.__name__
