"""docs/gitops.md sets up what the workflows take, and its examples call what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from spotkeeper_lab.review import DANGER
from test_review_jobs import deployed
from test_workflows import FLOWS, JOBS, ROOT, TEXTS, WORKFLOWS

PAGE = (ROOT / "docs/gitops.md").read_text("utf-8")
EXAMPLES: list[Any] = [
    yaml.load(block, yaml.BaseLoader) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]


def test_every_variable_that_is_read_is_explained_and_no_other() -> None:
    read = {name for text in TEXTS.values() for name in re.findall(r"vars\.(\w+)", text)}
    assert read == {*re.findall(r"`((?:AWS|GCP|PULUMI|SPOTKEEPER)_\w+)`", PAGE)}


def test_the_trust_policy_lets_one_environment_in() -> None:
    [policy] = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    [statement] = policy["Statement"]
    [(kind, wanted)] = statement["Condition"].items()
    assert (kind, len(wanted)) == ("StringEquals", 2)  # a pattern would let others in
    subject = wanted["token.actions.githubusercontent.com:sub"]
    assert subject == "repo:ORG/REPO:environment:" + JOBS["preview/preview"]["environment"].replace(
        "${{ matrix.stack }}", "aws-training"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=["pull-request", "deploy"])
def test_a_repository_of_ones_own_calls_what_there_is_with_all_rights_that_it_needs(example: Any) -> None:
    [job] = example["jobs"].values()
    name, _, commit = job["uses"].rpartition("/")[2].partition(".yml@")
    assert (len(commit), example["permissions"]) == (40, {})
    called = WORKFLOWS[name]
    assert job["with"].keys() <= called["on"]["workflow_call"]["inputs"].keys()
    needed: dict[str, str] = {}
    for inner in called["jobs"].values():
        needed |= inner["permissions"]
    assert job["permissions"] == needed
    assert {*example["on"]} == {*called["on"]} - {"workflow_call", "workflow_dispatch"}


def test_the_labels_and_files_are_those_of_the_workflows() -> None:
    [label] = re.findall(r"github\.event\.label\.name == '([\w-]+)'", TEXTS["pull-request"])
    assert f"`{label}`" in PAGE
    folder = FLOWS["preview"]["on"]["workflow_call"]["inputs"]["plans"]["default"]
    assert f"{folder}/plan.aws-training.json" in PAGE


def test_the_comment_that_is_shown_is_one() -> None:
    found = deployed("aws", onUpdate="checkpoint-restart")(imageId="ami-2", nodes=6)
    shown = " ".join(re.sub(r"^> ?", "", PAGE, flags=re.MULTILINE).split())
    for finding in found.findings:
        assert finding.text in shown
    assert found.level != DANGER
