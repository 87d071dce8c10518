"""What `pulumi preview --json` prints is read as Pulumi writes it, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.automation import OpType

from spotkeeper_lab.review.preview import OPERATIONS, UNKNOWN, PreviewError, known, read_preview

URN = "urn:pulumi:prod::vision::spotkeeper:index:AwsTrainingFleet$aws:s3/bucket:Bucket::logs::old"
STACK = {"op": "same", "urn": "urn:pulumi:prod::vision::pulumi:pulumi:Stack::vision-prod", "detailedDiff": None}
"""As the command line prints it."""


def read(*steps: dict[str, Any], failed: bool = False, **more: Any) -> Any:
    return read_preview(json.dumps({"steps": [STACK, *steps], **more}), failed=failed)


def test_every_operation_of_the_engine_is_known() -> None:
    assert set(OPERATIONS) == {each.value for each in OpType}


def test_a_step_is_read_with_its_states() -> None:
    step = read(
        {
            "op": "replace",
            "urn": URN,
            "oldState": {"inputs": {"bucket": "a", "__defaults": []}, "parent": "p", "retainOnDelete": True},
            "newState": {"inputs": {"bucket": "b", "tags": UNKNOWN}, "parent": "p"},
            "diffReasons": ["bucket", "id"],
            "replaceReasons": ["bucket"],
            "detailedDiff": None,
        }
    ).steps[1]
    assert (step.operation, step.kind, step.name, step.parent) == ("replace", "aws:s3/bucket:Bucket", "logs::old", "p")
    assert (step.reasons, step.changed(), step.goes) == (("bucket",), ["bucket", "tags"], False)
    assert read().stack == "vision/prod"


def test_a_replacement_that_is_told_in_three_steps_is_one() -> None:
    steps = [
        {"op": "create-replacement", "urn": URN, "newState": {"inputs": {"bucket": "b"}}},
        {"op": "replace", "urn": URN, "replaceReasons": ["bucket"]},
        {"op": "delete-replaced", "urn": URN, "oldState": {"inputs": {"bucket": "a"}}},
    ]
    found = read(*steps).steps
    assert len(found) == 2
    assert (found[1].operation, found[1].changed(), found[1].reasons) == ("replace", ["bucket"], ("bucket",))


def test_the_order_in_which_pulumi_tells_does_not_matter() -> None:
    steps = [{"op": "delete", "urn": f"urn:pulumi:prod::vision::aws:x:Y::{name}"} for name in "cab"]
    assert read(*steps).steps == read(*reversed(steps)).steps


def test_what_is_secret_or_not_known_yet_is_no_value() -> None:
    assert [known(value) for value in (UNKNOWN, "[secret]", "x", 0, None)] == [None, None, "x", 0, None]


def test_errors_are_problems_and_colours_are_not() -> None:
    told = [
        {"message": "a \x1b[31mwarning\x1b[0m of the program", "severity": "info#err"},
        {"prefix": "error: ", "message": "\x1b[31mnodes\x1b[0m: was 0\n", "severity": "error"},
    ]
    assert read(diagnostics=told).problems == ("error: nodes: was 0",)
    assert read(diagnostics=told[:1]).problems == ()
    assert read(diagnostics=told[:1], failed=True).problems == ("a warning of the program",)
    assert len(read(failed=True).problems) == 1
    warned = read(diagnostics=[{"message": "its deadline has passed", "severity": "warning"}] * 2)
    assert (warned.warnings, warned.problems) == (("its deadline has passed",), ())


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"steps": []}', '{"steps": null}'])
def test_a_preview_without_any_step_has_failed(text: str) -> None:
    assert read_preview(text.strip()).problems


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Previewing update (prod)", "was no JSON document"),
        ('{"sequence":0}\n{"sequence":1}', "PULUMI_ENABLE_STREAMING_JSON_PREVIEW"),
        ('{"sequence": 0}', "expected the document that `pulumi preview --json` prints"),
        ("[]", "was other JSON"),
        ('{"steps": {}}', ""),
        ('{"steps": {"a": 1}}', "steps: was dict, expected a list"),
        ('{"steps": [1]}', "steps[0]: was 1, expected an object with op and urn"),
        ('{"steps": [{"op": "create", "urn": "x"}]}', "steps[0]"),
        (json.dumps({"steps": [{**STACK, "op": "explode"}]}), "steps[0].op: was 'explode', expected one of same, "),
        (json.dumps({"steps": [{**STACK, "newState": "x"}]}), "steps[0].newState: was 'x'"),
        (json.dumps({"steps": [{**STACK, "newState": {"inputs": [1]}}]}), "steps[0].newState"),
    ],
)
def test_what_is_something_else_is_refused_and_named(text: str, told: str) -> None:
    if not told:
        assert read_preview(text).problems
        return
    with pytest.raises(PreviewError) as refused:
        read_preview(text)
    assert told in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["steps", "op", "urn", "oldState", "inputs", "severity"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=60)
def test_any_json_is_read_or_refused(document: Any) -> None:
    try:
        read_preview(json.dumps(document))
    except PreviewError as refused:
        assert "expected" in str(refused)
