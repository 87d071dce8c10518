"""The components as other languages see them: the contract in ``plugin/schema.json``, and what has to be true of it."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotkeeper.plugin import Components

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((ROOT / "plugin/schema.json").read_text("utf-8"))
    return parsed


def test_the_contract_is_what_the_components_are() -> None:
    kept = (ROOT / "plugin/schema.json").read_text("utf-8").splitlines()
    made = (Components().schema or "").splitlines()
    changed = "\n".join(difflib.unified_diff(kept, made, "plugin/schema.json", "the components", lineterm="", n=1))
    assert not changed, (
        f"the contract with other languages changes:\n\n{changed}\n\n"
        "docs/languages.md says what is a breaking change. If this is meant, renew the file with `make schema`, and "
        "tell it in CHANGELOG.md."
    )


def test_the_version_is_that_of_the_distribution(schema: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert schema["version"] == project["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", schema["version"]), "what Pulumi compares with the tag"


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for token, resource in schema["resources"].items():
        for kind in ("properties", "inputProperties"):
            for name, definition in resource[kind].items():
                yield f"{token} {kind} {name}", definition
    for token, definition in schema["types"].items():
        for name, inner in definition["properties"].items():
            yield f"{token} {name}", inner


def test_every_property_is_described(schema: dict[str, Any]) -> None:
    described = dict(properties(schema))
    assert len(described) > 60
    assert [name for name, definition in described.items() if not definition.get("description")] == []
    assert all(resource["description"] for resource in schema["resources"].values())


def test_the_components_and_their_required_inputs_are_stable(schema: dict[str, Any]) -> None:
    required = {token: sorted(resource.get("requiredInputs", [])) for token, resource in schema["resources"].items()}
    assert required == {
        "spotkeeper:index:AwsTrainingFleet": [
            "checkpointUri",
            "command",
            "imageId",
            "nodes",
            "responder",
            "subnetIds",
        ],
        "spotkeeper:index:AwsInterruptionResponder": [],
        "spotkeeper:index:GcpTrainingFleet": [
            "checkpointUri",
            "command",
            "image",
            "machineTypes",
            "nodes",
            "responder",
            "subnetwork",
        ],
        "spotkeeper:index:GcpInterruptionResponder": [],
    }
    assert sorted(schema["types"]) == [
        "spotkeeper:index:AwsInstanceRequirements",
        "spotkeeper:index:FleetDeadline",
        "spotkeeper:index:FleetElastic",
        "spotkeeper:index:FleetTimings",
    ]


@pytest.mark.parametrize("fleet", ["AwsTrainingFleet", "GcpTrainingFleet"])
def test_what_shapes_the_graph_is_plain(schema: dict[str, Any], fleet: str) -> None:
    inputs = schema["resources"][f"spotkeeper:index:{fleet}"]["inputProperties"]
    assert inputs["nodes"]["type"] == "integer"
    assert inputs["nodes"]["plain"] is True
    assert inputs["responder"] == {"type": "string", "description": inputs["responder"]["description"]}


OUTPUTS = {
    "AwsTrainingFleet": [
        "backupGroupArn",
        "backupGroupName",
        "fleet",
        "launchTemplateId",
        "ledgerPrefix",
        "roleArn",
        "roleName",
        "securityGroupIds",
        "spotGroupArn",
        "spotGroupName",
    ],
    "GcpTrainingFleet": ["backupGroupName", "fleet", "ledgerPrefix", "serviceAccountEmail", "spotGroupName"],
    "GcpInterruptionResponder": [
        "bucketName",
        "deadLetterSubscriptionName",
        "functionName",
        "serviceAccountEmail",
        "subscriptionName",
        "topicId",
        "uri",
    ],
}


@pytest.mark.parametrize("component", OUTPUTS)
def test_every_output_is_promised(schema: dict[str, Any], component: str) -> None:
    outputs = schema["resources"][f"spotkeeper:index:{component}"]
    assert sorted(outputs["required"]) == sorted(outputs["properties"]) == OUTPUTS[component]
