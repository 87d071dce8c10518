"""Each check of nodes that die, stand still or lie, in a rehearsal that went well otherwise: told in a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab_support import START, recovered
from spotkeeper_lab.checks.hostile_nodes import CHECKS
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.proof import broken_promises
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import (
    BACKUP,
    FROZEN,
    HOSTILE,
    KILLED,
    SPOT,
    Departure,
    Holding,
    Life,
    Notice,
    Strike,
    Timeline,
)

at = START.__add__
LOST_ITS_PLACE = Life("i-spot-x", SPOT, at(0), serving_at=at(3), ended_at=at(9), left=Departure(at(8.9), "named"))
DRAIN = recovered().notices[1]
TRIED = {
    "forged": {"written": 30, "refused": 0},
    "oversized": {"written": 10, "refused": 0},
    "foreign": {"written": 0, "refused": 20},
    "stale": {"written": 15, "refused": 3},
}


def killed(**changes) -> Timeline:
    """The holder dies at 10 s, 30 steps after its last checkpoint; bought for at 14 s, replaced at 19 s."""
    timeline = recovered()
    strike = Strike(
        "i-spot-a", KILLED, SPOT, at(10), held_job=True, step=118, gone_at=at(10), backup_requested_at=at(14),
        backup_serving_at=at(16), returned_at=at(24),
    )  # fmt: skip
    lives = [replace(timeline.lives[0], ended_at=at(10)), *timeline.lives[1:]]
    lives[2] = replace(lives[2], launched_at=at(14.1), serving_at=at(16))
    holdings = [
        replace(timeline.holdings[0], end=at(10), last_step=120),
        replace(timeline.holdings[1], start=at(15), resume_step=90),
    ]
    return replace(
        timeline,
        **{
            "lives": lives,
            "holdings": holdings,
            "notices": [DRAIN],
            "strikes": [strike],
            "desired": {SPOT: [(at(0), 2)], BACKUP: [(at(0), 0), (at(14), 1), (at(24), 0)]},
            "saved": [(at(8), 90), (at(17), 130), (at(21), 300), (at(30), 460)],
            "heads": [1, 1, 2, 2, 2],
            **changes,
        },
    )


def unannounced(**changes) -> Timeline:
    """As if the cloud had taken it back then, and said so as it did."""
    timeline = killed()
    taken = replace(
        recovered().notices[0], deadline=at(10), heard_at=None, signalled_at=None, commands=0, confirmed_at=None,
        confirmed_step=None, gone_at=at(10), backup_requested_at=at(14), backup_serving_at=at(16), returned_at=at(24),
    )  # fmt: skip
    return replace(timeline, **{"strikes": [], "notices": [taken, DRAIN], **changes})


def frozen(**changes) -> Timeline:
    """As if it had been frozen instead, and woken at 20 s; its training is refused a moment before its agent wakes."""
    timeline = killed()
    strike = replace(timeline.strikes[0], how=FROZEN, until=at(20), refused_at=at(19.5), gone_at=None)
    lives = [replace(timeline.lives[0], ended_at=None), *timeline.lives[1:3]]
    return replace(timeline, **{"strikes": [strike], "lives": lives, **changes})


def forged(**changes) -> Timeline:
    """The holder is interrupted as always; a spare was hostile from 5 s on, and lost its place for it at 9 s."""
    timeline = recovered()
    strike = Strike("i-spot-x", HOSTILE, SPOT, at(5), gone_at=at(9))
    own = Notice("i-spot-x", "interruption", SPOT, at(8.9), signalled_at=at(8.9), gone_at=at(9))
    return replace(
        timeline,
        **{
            "lives": [*timeline.lives, LOST_ITS_PLACE],
            "notices": [own, *timeline.notices],
            "strikes": [strike],
            "forgeries": TRIED,
            **changes,
        },
    )


def judged(timeline: Timeline) -> list[str]:
    evidence = Evidence(
        timeline,
        Expectations(),
        digest="abc",
        uninterrupted_digest="abc",
        steps_unsaved=41,
        unnoticed_seconds=5,
    )
    return [sentence for check in CHECKS for sentence in check(evidence)]


@pytest.mark.parametrize("timeline", [killed(), frozen(), forged(), recovered()])
def test_what_went_well_breaks_nothing(timeline):
    evidence = Evidence(
        timeline, Expectations(), digest="a", uninterrupted_digest="a", steps_unsaved=41, unnoticed_seconds=5
    )
    assert broken_promises(evidence) == []


def with_holding(timeline: Timeline, number: int, **changes) -> Timeline:
    holdings = list(timeline.holdings)
    holdings[number] = replace(holdings[number], **changes)
    return replace(timeline, holdings=holdings)


MOVED = Holding(3, "i-spot-c", SPOT, START + 22, START + 30, resume_step=300, last_step=460)
BROKEN = {
    "never saved": (killed(saved=[(at(17), 130)]), "no checkpoint was published before i-spot-a was killed"),
    "from an older one": (
        with_holding(killed(saved=[(at(8), 90), (at(9), 100)]), 1, resume_step=90),
        "i-spot-b resumed at step 90 although step 100 had been published",
    ),
    "too much lost": (
        with_holding(killed(), 0, last_step=132),
        "42 steps were lost with i-spot-a, expected at most the 41",
    ),
    "unknown loss": (with_holding(killed(), 0, last_step=None), "it is not known how many steps were lost"),
    "not noticed": (
        killed(desired={SPOT: [(at(0), 2)], BACKUP: [(at(0), 0), (at(17.5), 1), (at(24), 0)]}),
        "0 on-demand nodes were asked for 7.0 s after i-spot-a was killed, expected 1",
    ),
    "never refused": (
        frozen(strikes=[replace(frozen().strikes[0], refused_at=None)]),
        "i-spot-a woke after i-spot-b had taken its job, and was never refused a checkpoint",
    ),
    "nothing to overwrite": (
        frozen(saved=[(at(8), 90), (at(21), 300)]),
        "nothing was proved: i-spot-b had published nothing yet when i-spot-a woke",
    ),
    "disturbed": (
        frozen(holdings=[*frozen().holdings, MOVED]),
        "the job moved from i-spot-b to i-spot-c 2.0 s after i-spot-a had woken",
    ),
    "head went back": (frozen(heads=[1, 2, 1, 2]), "head went back from generation 2 to 1"),
    "too little tried": (
        forged(forgeries={**TRIED, "oversized": {"written": 0, "refused": 0}}),
        "nothing was proved: no oversized document",
    ),
    "let in": (
        forged(forgeries={**TRIED, "foreign": {"written": 2, "refused": 18}}),
        "the cloud let a node write 2 documents",
    ),
    "believed": (
        forged(notices=[*forged().notices, Notice("i-spot-b", "interruption", SPOT, at(8))]),
        "i-spot-b was taken for a node under interruption, on nobody's word but i-spot-x's",
    ),
    "cost another its place": (
        forged(lives=[*forged().lives, Life("i-spot-y", SPOT, at(0), serving_at=at(3), ended_at=at(9))]),
        "i-spot-y came to its end while the job went on",
    ),
    "took the job": (
        forged(holdings=[replace(forged().holdings[0], end=at(7)), replace(forged().holdings[1], start=at(7))]),
        "the job moved from i-spot-a to i-spot-b 2.0 s after i-spot-x had begun to forge",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_told_with_its_numbers(case):
    timeline, sentence = BROKEN[case]
    assert any(sentence in told for told in judged(timeline)), judged(timeline)


def test_a_loss_that_is_replaced_by_then_needs_nothing_bought():
    timeline = killed(desired={SPOT: [(at(0), 2)], BACKUP: [(at(0), 0)]})
    replaced = replace(timeline.lives[3], launched_at=at(12), serving_at=at(14))
    assert not judged(replace(timeline, lives=[*timeline.lives[:3], replaced]))


def test_what_is_silent_for_a_moment_only_need_not_be_noticed():
    timeline = frozen(desired={SPOT: [(at(0), 2)], BACKUP: [(at(0), 0)]})
    woken = replace(timeline.strikes[0], until=at(16.5))
    assert not any("on-demand nodes were asked for" in told for told in judged(replace(timeline, strikes=[woken])))


def test_every_check_can_fail():
    evidence = [
        Evidence(timeline, Expectations(), steps_unsaved=41, unnoticed_seconds=5) for timeline, _ in BROKEN.values()
    ]
    assert {check for each in evidence for check in CHECKS if list(check(each))} == set(CHECKS)


def test_a_node_that_is_taken_back_without_a_notice_is_judged_as_one_that_dies():
    expect = Expectations(backup_before_reclaim=False)
    judged = Evidence(timeline=unannounced(), expect=expect, digest="a", uninterrupted_digest="a", steps_unsaved=40)
    assert broken_promises(judged) == []
    (told,) = broken_promises(replace(judged, steps_unsaved=20))
    assert told.startswith("30 steps were lost with i-spot-a, expected at most the 20")
    early = unannounced(saved=[(at(8), 95), *killed().saved[1:]])
    (told,) = broken_promises(replace(judged, timeline=early))
    assert told.endswith("although step 95 had been published before i-spot-a was taken back without a notice")
