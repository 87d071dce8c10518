"""Each check of a destruction, on one that went well and one that is bent in one place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab_support import START
from spotkeeper_lab.checks.destruction import CHECKS
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.rollouts import PARTS
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import BACKUP, SPOT, Departure, Deploy, Holding, Life, Shape, Timeline

at = START.__add__
OBJECT, TEMPLATE, GROUP, ROLE_POLICY = [kind for kind in PARTS if kind.startswith("aws:")]
LEFT = Departure(at(11), "chosen")
DESTRUCTION = Deploy("destroy", at(10), at(15), deleted=(OBJECT, GROUP, GROUP, TEMPLATE, ROLE_POLICY))
DESTROYED = Timeline(
    shape=Shape(spot_target=2, base=0, maximum=2),
    started_at=START,
    ended_at=at(16),
    deploys=[DESTRUCTION],
    lives=[
        Life("i-gone", SPOT, at(0), ended_at=at(5), reclaimed=True),
        Life("i-job", SPOT, at(0), ended_at=at(13), left=LEFT, hook="CONTINUE"),
        Life("i-spare", SPOT, at(6), ended_at=at(12), left=LEFT, hook="CONTINUE"),
    ],
    holdings=[Holding(2, "i-job", SPOT, at(4), at(13), resume_step=50, last_step=219)],
    desired={SPOT: [(at(0), 2), (at(10.5), 0)], BACKUP: [(at(0), 0)]},
)


def told(timeline: Timeline = DESTROYED, **evidence: object) -> list[str]:
    known = {"resumed_step": 219, **evidence}
    judged = Evidence(timeline=timeline, expect=Expectations(), **known)  # type: ignore[arg-type]
    return [sentence for check in CHECKS for sentence in check(judged)]


def destroyed(**changes: object) -> Timeline:
    return replace(DESTROYED, deploys=[replace(DESTRUCTION, **changes)])


def test_what_went_well_is_not_complained_about():
    assert told() == []
    assert told(replace(DESTROYED, deploys=[]), resumed_step=None) == [], "a fleet that was not destroyed"


def test_what_is_left_and_what_never_ends():
    assert told(destroyed(left=("group a", "role b"))) == ["of the destroyed fleet there is still: group a, role b"]
    assert told(destroyed(ended_at=None)) == ["the destruction of the fleet never came to its end"]


def test_what_is_bought_meanwhile():
    more = replace(DESTROYED, lives=[*DESTROYED.lives, Life("i-new", BACKUP, at(12))])
    assert told(more) == ["i-new were launched while the fleet was destroyed"]
    asked = replace(DESTROYED, desired={**DESTROYED.desired, BACKUP: [(at(0), 0), (at(11), 1)]})
    assert told(asked) == ["1 backup nodes were asked for while the fleet was destroyed, 0 before"]


@pytest.mark.parametrize(
    ("deleted", "sentence"),
    [
        ((GROUP, GROUP, OBJECT, TEMPLATE, ROLE_POLICY), f"the spec was expected to go first, but {GROUP} did"),
        (
            (OBJECT, ROLE_POLICY, GROUP, GROUP, TEMPLATE),
            "the permission went before the groups whose nodes need it to save",
        ),
        (
            (OBJECT, GROUP, TEMPLATE, GROUP, ROLE_POLICY),
            "the template went before the groups whose nodes need it to save",
        ),
    ],
)
def test_the_order(deleted, sentence):
    assert told(destroyed(deleted=deleted)) == [sentence]


@pytest.mark.parametrize(("hook", "why"), [("", "it never did"), ("CONTINUE (timeout)", "CONTINUE (timeout)")])
def test_a_node_that_did_not_save(hook, why):
    lives = [replace(life, hook=hook) if life.node == "i-spare" else life for life in DESTROYED.lives]
    assert told(replace(DESTROYED, lives=lives)) == [
        f"i-spare was expected to complete its terminate hook, which {why}"
    ]


def test_with_force_nobody_is_waited_for_and_steps_may_be_lost():
    assert len(told(on_destroy="force")) == 2
    lives = [replace(life, hook="") for life in DESTROYED.lives]
    assert told(replace(DESTROYED, lives=lives), on_destroy="force", resumed_step=150) == []


def test_the_checkpoint_that_is_left():
    assert told(resumed_step=None) == ["the destroyed fleet left no checkpoint that a run could go on from"]
    assert told(resumed_step=150) == ["the destroyed fleet stopped at step 219, but its checkpoint is of step 150"]
    assert told(resumed_step=None, trains=False) == []
    lives = [replace(life, hook="") for life in DESTROYED.lives]
    assert told(replace(DESTROYED, lives=lives), on_destroy="force", resumed_step=220) == [
        "the checkpoint is of step 220, which was never reached"
    ]
