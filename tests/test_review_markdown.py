"""A review as people see it, and that nothing of a branch's own can get out of its place in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotkeeper_lab.review import (
    DANGER,
    INTERRUPTS,
    NOTE,
    Figures,
    Finding,
    PlanError,
    Review,
    Section,
    markdown,
    read_plan,
    read_preview,
    review,
)
from spotkeeper_lab.review.expiry import LIFECYCLES
from spotkeeper_lab.review.finding import code
from spotkeeper_lab.review.fleets import BUCKETS, GROUPS, IDENTITIES, OBJECTS, TEMPLATES

WORDS = {"hook_seconds", "work_hours", "hours", "prefix", "days", "expiration", "action", "type", "condition", "age"}
KEYS = {"nodes", "onDemandMax", "timings", "deadline", "policy", "bucket", "name", "content", "rules", "lifecycleRules"}
KEYS |= {
    "mixedInstancesPolicy",
    "versions",
    "checkpointUri",
    "elastic",
    "imageId",
    "forceDelete",
    "forceDestroy",
    "key",
}
PREFIX = "urn:pulumi:prod::vision::"
FLEET = f"{PREFIX}spotkeeper:index:AwsTrainingFleet::resnet"
PLAN = Figures(
    work_hours=40,
    deadline_hours=60,
    nodes=4,
    market="ours",
    policy="deadline",
    saving=0.61,
    p5=100.0,
    p95=300.0,
    on_demand=500.0,
    late=0,
    windows=200,
)


def fleet_with(deadline: dict[str, Any], **more: Any) -> Any:
    inputs = {"nodes": 4, "policy": "deadline", "deadline": deadline}
    old, new = ({"inputs": {**inputs, **each}} for each in ({}, {"onRebalance": "ignore", **more}))
    return read_preview(json.dumps({"steps": [{"op": "update", "urn": FLEET, "oldState": old, "newState": new}]}))


def findings(*levels: str, problems: tuple[str, ...] = ()) -> Review:
    told = tuple(Finding(level, f"what is {level}") for level in levels)
    return Review("vision/prod", problems, (Section("vision-prod-resnet", told),) if told else (), ())


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (findings(), "> [!NOTE]\n> Nothing changes."),
        (findings(NOTE), "> [!NOTE]\n> Running jobs go on undisturbed."),
        (findings(NOTE, INTERRUPTS), "> [!WARNING]\n> **Running jobs are interrupted**"),
        (findings(INTERRUPTS, DANGER), "> [!CAUTION]\n> **One change is dangerous**"),
        (findings(DANGER, DANGER), "> [!CAUTION]\n> **2 changes are dangerous**"),
        (findings(NOTE, problems=("why",)), "> [!CAUTION]\n> **The preview failed**"),
    ],
)
def test_the_first_line_says_how_grave_it_is(found: Review, first: str) -> None:
    text = markdown(found)
    assert text.startswith(f"### Spotkeeper: `vision/prod`\n\n{first}")
    for finding in found.findings:
        assert finding.text in text


def test_what_fails_a_preview_is_shown_and_cannot_close_its_block() -> None:
    text = markdown(findings(problems=("InputError: nodes: was 0\n```\n**free**",)))
    assert "```text\nInputError: nodes: was 0\n'''\n**free**\n```" in text


def test_a_preview_of_other_things_is_said_to_disturb_nobody() -> None:
    step = {"op": "create", "urn": f"{PREFIX}aws:s3/bucket:Bucket::logs"}
    text = markdown(review(read_preview(json.dumps({"steps": [step]}))))
    assert "No fleet and no responder is touched: running jobs go on undisturbed." in text
    assert "Resources: 1 to create." in text


def test_what_is_deleted_or_replaced_is_listed_up_to_a_limit() -> None:
    steps = [
        {"op": "replace", "urn": f"{PREFIX}aws:x:Y::y", "replaceReasons": ["name"]},
        {"op": "delete", "urn": f"{PREFIX}aws:x:Y::kept", "oldState": {"retainOnDelete": True}},
        *({"op": "delete", "urn": f"{PREFIX}aws:x:Y::{number}"} for number in range(60)),
    ]
    text = markdown(review(read_preview(json.dumps({"steps": steps}))))
    assert "<summary>62 deleted or replaced</summary>" in text
    assert "| replace | `aws:x:Y` | `y` | `name` |" in text
    assert "| … | 12 more | | |" in text
    assert "kept" not in text
    few = markdown(review(read_preview(json.dumps({"steps": steps[:3]}))))
    rows = [row for row in few.splitlines() if row.startswith(("| replace", "| delete"))]
    assert [row.split("`")[3] for row in rows] == ["y", "0", "kept"]
    assert rows[-1] == "| delete | `aws:x:Y` | `kept` | stays in the cloud |"


def test_warnings_are_told_up_to_a_limit() -> None:
    text = markdown(replace(findings(NOTE), warnings=[f"`it` is so {number}\nold" for number in range(12)]))
    assert "**Pulumi warns**\n\n- `'it' is so 0 old`\n" in text
    assert text.count("is so") == 10
    assert "- …and 2 more\n" in text


def test_it_fits_into_a_comment() -> None:
    steps = [
        {"op": "replace", "urn": f"{PREFIX}aws:x:Y::{'n' * 190}{number}", "replaceReasons": ["r" * 190] * 9}
        for number in range(50)
    ]
    text = markdown(review(read_preview(json.dumps({"steps": steps}))))
    assert len(text) < 65_536
    assert text.endswith("…the rest is left out: too long.\n")


@given(st.text())
def test_a_value_of_a_branch_stays_within_its_code(value: str) -> None:
    shown = code(value)
    assert re.fullmatch(r"`[^`|\n\r]+`|\(empty\)", shown)
    assert len(shown) <= 202


def test_a_deadline_is_told_with_what_on_demand_costs_and_what_is_promised() -> None:
    given = {"hours": 60.0, "work_hours": 40.0, "on_demand_price": 3.0, "excess": 12.0, "restart_seconds": 720.0}
    text = markdown(review(fleet_with(given)))
    assert "Deadline: 40 h of work on 4 nodes, within 60 h of its first tick. On-demand alone costs 482.40;" in text
    assert "the policy promises no more than 494.40." in text
    assert "`spotkeeper plan --market NAME --work 40h --deadline 60h --nodes 4 --excess 12 --json`" in text
    default = markdown(review(fleet_with({**given, "excess": None})))
    assert "no more than 494.40" in default  # 2.5 % of 40 hours on 4 nodes


def test_the_figures_of_a_plan_are_those_of_this_job_or_none() -> None:
    given = {"hours": 60.0, "work_hours": 40.0, "on_demand_price": 3.0}
    text = markdown(review(fleet_with(given), PLAN))
    assert "in market `ours`: 20% to 60% of what on-demand alone costs (p5 to p95), 61% saved on average" in text
    assert "late in 0 of 200 tries; it would take policy `deadline`." in text
    other = markdown(review(fleet_with({**given, "hours": 50.0}), PLAN))
    assert "**The plan at hand is of another job** (40 h of work by 60 h on 4)" in other
    assert "61%" not in other


def test_a_deadline_of_unknown_work_is_told_as_such() -> None:
    text = markdown(review(fleet_with({"at": 1.0, "on_demand_price": 3.0})))
    assert "Deadline: by its date; how much work it is, the job's first progress says." in text
    assert "--work TIME --deadline TIME --nodes 4" in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(sorted(WORDS)), inner, max_size=3),
    max_leaves=6,
)
INPUTS = st.dictionaries(st.sampled_from(sorted(KEYS)), ANYTHING, max_size=8)
KINDS = sorted({*BUCKETS, *GROUPS, *IDENTITIES, *LIFECYCLES, *OBJECTS, *TEMPLATES})


@given(
    st.sampled_from(["update", "replace", "create", "delete"]), st.sampled_from(KINDS), INPUTS, INPUTS, INPUTS, INPUTS
)
@settings(max_examples=150)
def test_whatever_a_program_registers_is_told(
    operation: str, kind: str, before: Any, after: Any, old: Any, new: Any
) -> None:
    part = {"urn": f"{PREFIX}{kind}::resnet-spec", "parent": FLEET}
    steps = [
        {"op": "update", "urn": FLEET, "oldState": {"inputs": {**before, "nodes": 1}}, "newState": {"inputs": after}},
        {"op": operation, **part, "oldState": {**part, "inputs": old}, "newState": {**part, "inputs": new}},
    ]
    found = review(read_preview(json.dumps({"steps": steps})), PLAN)
    assert markdown(found).startswith("### Spotkeeper: `vision/prod`")
    assert json.dumps(found.plain())


@pytest.mark.parametrize("document", [None, [], {}, {"job": {}}, {"job": {"work_seconds": "x"}, "tried": [{}]}])
def test_what_is_no_plan_is_refused(document: Any) -> None:
    with pytest.raises(PlanError, match="expected what `spotkeeper plan"):
        read_plan(document)
