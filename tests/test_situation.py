from __future__ import annotations

from dataclasses import replace

import pytest

from spotkeeper_lab.situation import CONDITIONS, TARGETS, NodeState, Situation, choose

A, B, C = (NodeState(name, "spot", at, serving=True) for at, name in enumerate("abc"))
BOUGHT = NodeState("z", "backup", 9, serving=True)
CALM = Situation(
    at=100,
    spot_target=3,
    base=0,
    nodes=(A, B, C),
    spot_desired=3,
    generation=1,
    holder="b",
    generation_state="running",
    job_state="running",
    step=34,
    total=460,
    first_step=0,
    steps_per_epoch=23,
)


def holds(condition: str, now: Situation) -> bool:
    return CONDITIONS[condition][1](now)


def test_calm_fleet_in_the_middle_of_an_epoch():
    true = {name for name in CONDITIONS if holds(name, CALM)}
    settled = {"faults-over", "deployed", "at-size", "up-to-date"}
    assert true == {"now", "fleet-serving", "training", "mid-epoch", "training-mid-epoch"} | settled


@pytest.mark.parametrize(
    ("condition", "now"),
    [
        ("fleet-serving", replace(CALM, nodes=(A, B, replace(C, serving=False)))),
        ("fleet-serving", replace(CALM, nodes=(A, B, replace(C, leaving=True)))),
        ("fleet-serving", replace(CALM, base=1)),
        ("training", replace(CALM, first_step=34)),
        ("training", replace(CALM, generation_state="ending")),
        ("training", replace(CALM, holder="gone")),
        ("training-mid-epoch", replace(CALM, step=46)),
        ("training-mid-epoch", replace(CALM, nodes=(B,))),
        ("mid-epoch", replace(CALM, step=46)),
        ("faults-over", replace(CALM, faults=1)),
        ("deployed", replace(CALM, deploying=True)),
        ("at-size", replace(CALM, nodes=(A, B))),
        ("at-size", replace(CALM, nodes=(A, B, C, replace(C, node="d", leaving=True)))),
        ("at-size", replace(CALM, nodes=(A, B, C, BOUGHT))),
        ("at-size", replace(CALM, base=1)),
        ("up-to-date", replace(CALM, version="2", nodes=(replace(A, version="2"), replace(B, version="1"), C))),
        ("up-to-date", replace(CALM, nodes=(A, B))),
        ("quota-alarm", replace(CALM, alarms=frozenset({"fleet-configuration", "fleet-quotas"}))),
        ("configuration-alarm", replace(CALM, alarms=frozenset({"fleet-quota"}))),
    ],
)
def test_conditions_that_do_not_hold_yet(condition, now):
    assert not holds(condition, now)


def test_a_job_that_counts_no_steps_trains_as_soon_as_it_is_held():
    assert holds("training", replace(CALM, step=None, total=None, first_step=None, trains=False))
    assert not holds("training", replace(CALM, step=None, total=None, first_step=None))


def test_signalled_and_confirmed_mean_all_of_them():
    noticed = replace(CALM, interrupted=frozenset("ab"), noticed=frozenset("ab"))
    assert not holds("signalled", replace(noticed, signalled=frozenset("a")))
    assert holds("signalled", replace(noticed, signalled=frozenset("ab")))
    assert not holds("checkpoint-confirmed", replace(noticed, confirmed=frozenset("b")))
    assert holds("checkpoint-confirmed", replace(noticed, confirmed=frozenset("ab")))


def test_backup_conditions():
    asked = replace(CALM, backup_desired=2, nodes=(A, B, BOUGHT), backup_launched=1)
    assert holds("backup-requested", asked)
    assert not holds("backup-serving", asked)
    assert holds("backup-serving", replace(asked, backup_desired=1))
    assert not holds("returned-to-spot", asked)
    assert not holds("returned-to-spot", CALM), "nothing was ever bought"
    back = replace(CALM, backup_launched=1)
    assert holds("returned-to-spot", back)
    assert not holds("returned-to-spot", replace(back, nodes=(A, B, C, BOUGHT)))
    assert not holds("returned-to-spot", replace(back, nodes=(A, B)))


def test_training_resumed_is_on_a_node_that_was_not_interrupted():
    hit = replace(CALM, interrupted=frozenset("b"), noticed=frozenset("b"))
    assert not holds("training-resumed", hit)
    assert holds("training-resumed", replace(hit, holder="a"))
    assert holds("training-on-demand", replace(hit, nodes=(A, BOUGHT), holder="z"))


@pytest.mark.parametrize("how", ["interrupted", "lost"])
def test_whoever_took_the_job_of_a_lost_node_has_to_be_another_one(how):
    gone = replace(CALM, **{how: frozenset("b")})
    assert not holds("training-resumed", gone)
    assert holds("training-resumed", replace(gone, holder="c"))


def test_a_checkpoint_of_the_present_holder_is_waited_for():
    assert not holds("checkpoint-published", replace(CALM, generation=2, published_generation=1))
    assert holds("checkpoint-published", replace(CALM, generation=2, published_generation=2))
    assert not holds("checkpoint-published", replace(CALM, published_generation=1, generation_state="ending"))


def test_what_hostile_and_woken_nodes_do_is_waited_for():
    assert not holds("publish-refused", CALM)
    assert holds("publish-refused", replace(CALM, refused=frozenset("b")))
    assert not holds("forged", CALM)
    assert holds("forged", replace(CALM, forged=True))


def test_released_means_finished_and_nothing_left():
    over = replace(CALM, nodes=(), spot_desired=0, job_state="finished")
    assert holds("released", over)
    assert holds("job-finished", over)
    for left in (replace(over, nodes=(A,)), replace(over, spot_desired=1), replace(over, job_state="running")):
        assert not holds("released", left)


def test_a_job_of_several_nodes():
    together = replace(CALM, others=("c", "a"))
    assert together.members == ("b", "c", "a")
    assert (holds("training-together", CALM), holds("training-together", together)) == (False, True)
    assert not holds("training-together", replace(together, first_step=34))
    assert not holds("training-together", replace(together, nodes=(A, B, C, BOUGHT)))
    assert not holds("training-together", replace(together, others=("a",), nodes=(A, B)))
    assert choose("member", together) == ["a"]
    assert (choose("member", CALM), choose("spare", together)) == ([], [])
    gone = replace(together, interrupted=frozenset({"c"}))
    assert not holds("training-resumed", gone)
    assert holds("training-resumed", replace(gone, others=("a",)))
    assert holds("training-on-demand", replace(gone, others=("a", "z"), nodes=(A, B, BOUGHT)))


def test_targets():
    assert choose("holder", CALM) == ["b"]
    assert choose("spare", CALM) == ["a"]
    assert choose("half", CALM) == ["b", "a"]
    assert choose("all", CALM) == ["a", "b", "c"]
    assert choose("frozen", CALM) == []
    assert choose("frozen", replace(CALM, nodes=(A, replace(B, frozen=True, serving=False), C))) == ["b"]
    assert choose("all", replace(CALM, nodes=(A, replace(B, leaving=True), BOUGHT))) == ["a"]


def test_everything_is_explained():
    for text, _ in [*CONDITIONS.values(), *TARGETS.values()]:
        assert len(text) > 10
