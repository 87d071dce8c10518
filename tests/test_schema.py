"""The components as other languages see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.provider.experimental.component import ComponentProvider

import spotkeeper


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    components: Any = [spotkeeper.AwsTrainingFleet, spotkeeper.AwsInterruptionResponder]
    text = ComponentProvider(components, name="spotkeeper", version="0.1.0").schema
    parsed: dict[str, Any] = json.loads(text)
    return parsed


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
    }
    assert sorted(schema["types"]) == [
        "spotkeeper:index:AwsInstanceRequirementsArgs",
        "spotkeeper:index:FleetElasticArgs",
        "spotkeeper:index:FleetTimingsArgs",
    ]


def test_what_shapes_the_graph_is_plain(schema: dict[str, Any]) -> None:
    inputs = schema["resources"]["spotkeeper:index:AwsTrainingFleet"]["inputProperties"]
    assert inputs["nodes"]["type"] == "integer"
    assert inputs["nodes"]["plain"] is True
    assert inputs["responder"] == {"type": "string", "description": inputs["responder"]["description"]}


def test_every_output_is_promised(schema: dict[str, Any]) -> None:
    outputs = schema["resources"]["spotkeeper:index:AwsTrainingFleet"]
    assert (
        sorted(outputs["required"])
        == sorted(outputs["properties"])
        == [
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
        ]
    )
