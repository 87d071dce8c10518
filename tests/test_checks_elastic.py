"""Each check of nodes that train together, in a rehearsal that went well otherwise: told in a sentence if not kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab_support import START, recovered
from spotkeeper_lab.checks.elastic import CHECKS
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.proof import broken_promises
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import SPOT, Holding

FIRST = Holding(
    1, "i-spot-a", SPOT, START + 3, START + 11, 0, 130, ("i-spot-b",), frozenset({0}), frozenset({130})
)  # fmt: skip
SECOND = Holding(2, "i-spot-b", SPOT, START + 11, START + 22, 130, 300, (), frozenset({130}), frozenset({300}))
THIRD = Holding(
    3, "i-spot-b", SPOT, START + 22, START + 30, 300, 460, ("i-spot-c",), frozenset({300}), frozenset({460})
)  # fmt: skip
END = {"digest": "d1", "samples": "abc", "accuracy": 0.98}


def evidence(*holdings: Holding, **changes: Any) -> Evidence:
    timeline = replace(recovered(), holdings=holdings or (FIRST, SECOND, THIRD))
    given = {"digest": "d1", "uninterrupted_digest": "d2", "elastic": True, "final": END, "uninterrupted": END}
    return Evidence(timeline=timeline, expect=Expectations(), **{**given, **changes})


def told(found: Evidence) -> list[str]:
    return [sentence for check in CHECKS for sentence in check(found)]


def test_nodes_that_trained_together_need_not_end_with_the_bits_of_one_that_was_alone():
    assert broken_promises(evidence()) == []
    alone = replace(recovered())
    found = replace(evidence(), timeline=alone, elastic=False)
    assert any("the final weights differ" in sentence for sentence in broken_promises(found))


@pytest.mark.parametrize(
    ("holdings", "changes", "said"),
    [
        ([replace(FIRST, others=()), SECOND, replace(THIRD, others=())], {}, "1 nodes have trained together at most"),
        ([FIRST, SECOND], {}, "never again after the first interruption did 2 nodes train together"),
        (
            [FIRST, replace(SECOND, node="i-spot-c"), THIRD],
            {},
            "i-spot-b did not go on in generation 2, though nothing was said of them",
        ),
        (
            [replace(FIRST, stopped=frozenset({130, 131})), SECOND, THIRD],
            {},
            "the ranks of generation 1 stopped at steps 130 and 131, expected the same step on all",
        ),
        (
            [FIRST, replace(SECOND, resumed=frozenset({120, 130})), THIRD],
            {},
            "the ranks of generation 2 went on from steps 120 and 130",
        ),
        ([], {"final": {**END, "samples": "abd"}}, "the steps saw other samples than those of an uninterrupted run"),
        ([], {"final": {**END, "samples": ""}, "uninterrupted": {**END, "samples": ""}}, "the steps saw other samples"),
        ([], {"final": {**END, "accuracy": 0.9}}, "the final accuracy is 0.900, that of an uninterrupted run 0.980"),
    ],
)
def test_what_is_not_kept_is_told(holdings: list[Holding], changes: dict[str, Any], said: str):
    (sentence,) = told(evidence(*holdings, **changes))
    assert said in sentence


def test_a_member_that_is_interrupted_is_the_jobs_node_and_no_step_of_it_may_be_lost():
    """The first member is not the one: it goes on, and its job all the same moves for the other's sake."""
    swapped = replace(FIRST, node="i-spot-b", others=("i-spot-a",))
    assert broken_promises(evidence(swapped, SECOND, THIRD)) == []
    lost = replace(SECOND, resume_step=120, resumed=frozenset({120}))
    assert any("10 steps were lost" in each for each in broken_promises(evidence(swapped, lost, THIRD)))
    stays = replace(SECOND, others=("i-spot-a",))
    assert any("no other node took the job" in each for each in broken_promises(evidence(swapped, stays, THIRD)))
