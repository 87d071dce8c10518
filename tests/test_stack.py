"""The stack program and its configuration files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from pulumi_support import PROJECT, Declared, declare
from spotkeeper import FleetTimingsArgs, InputError
from spotkeeper_ledger import load
from spotkeeper_ledger.documents import FleetSpec

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "stacks/__main__.py"
DECLARED = yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))
EVERYWHERE = {"command", "checkpointUri", "nodes"}
REQUIRED = {
    "aws": EVERYWHERE | {"subnetIds", "imageId", "instanceTypes"},
    "gcp": EVERYWHERE | {"cloud", "subnetwork", "image", "machineTypes"},
}
LEAST: dict[str, Any] = {
    "subnetIds": ["subnet-a", "subnet-b", "subnet-c"],
    "imageId": "ami-1",
    "command": "train",
    "checkpointUri": "s3://saves/job",
    "instanceTypes": ["g5.xlarge", "g5.2xlarge"],
    "nodes": 4,
}


def as_given(values: dict[str, Any]) -> dict[str, str]:
    """Configuration as a program gets it: everything is text, objects are JSON."""
    return {
        key if ":" in key else f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }


def run(*, preview: bool = False, **values: Any) -> Declared:
    return declare(PROGRAM, config=as_given({**LEAST, **values}), preview=preview)


def stack_file(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / f"stacks/Pulumi.{name}.yaml").read_text("utf-8"))["config"]
    return values


def spec_of(declared: Declared, name: str) -> FleetSpec:
    return load(FleetSpec, declared.one("BucketObjectv2", f"{name}-spec").inputs["content"].encode())


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_stack_is_a_responder_and_a_fleet(preview: bool) -> None:
    declared = run(preview=preview)
    tops = {seen.label for seen in declared.notes.seen if seen.parent == f"{PROJECT}-test"}
    assert tops == {"AwsInterruptionResponder responder", "AwsTrainingFleet training"}
    assert len(declared.all("Group")) == 2
    assert set(declared.exports) >= {
        "uri",
        "fleet",
        "spot_group_name",
        "backup_group_name",
        "ledger_prefix",
        "topic_arn",
    }


def test_what_is_not_set_takes_the_default() -> None:
    spec = spec_of(run(), "training")
    assert (spec.target, spec.base, spec.maximum, spec.policy.name) == (4, 0, 4, "mirror")
    assert (spec.gang, spec.on_rebalance, spec.on_update) == ("none", "checkpoint", "next-run")


def test_defaults_of_the_project_file_are_those_of_the_components() -> None:
    defaults = {
        key: item["default"] for key, item in DECLARED["config"].items() if "default" in item and key not in LEAST
    }
    bare, full = (
        {seen.label: seen.inputs for seen in declared.notes.seen if seen.kind != "Function"}  # archives are never equal
        for declared in (run(), run(**defaults))
    )
    assert full == bare


def test_every_key_reaches_the_components() -> None:
    declared = run(
        fleetName="vision",
        onDemandBase=1,
        onDemandMax=2,
        maxOnDemandHours=36,
        policy="patient",
        policyWaitSeconds=90,
        allocationStrategy="price-capacity-optimized",
        subnetIds=["subnet-a"],
        acceptNarrowPool=True,
        gang="region",
        onRebalance="replace",
        onUpdate="checkpoint-restart",
        onDestroy="force",
        timings={"linger_seconds": 7.5},
        tags={"team": "vision"},
        bucketName="our-ledger",
        alertEmail="ops@example.com",
    )
    spec, group = spec_of(declared, "vision"), declared.one("Group", "vision-spot").inputs
    assert (spec.base, spec.maximum, spec.policy.name, spec.policy.wait_seconds) == (1, 2, "patient", 90.0)
    assert spec.max_on_demand_hours == 36.0
    assert (spec.gang, spec.on_rebalance, spec.on_update, spec.linger_seconds) == (
        "region",
        "replace",
        "checkpoint-restart",
        7.5,
    )
    distribution = group["mixedInstancesPolicy"]["instancesDistribution"]
    assert distribution["spotAllocationStrategy"] == "price-capacity-optimized"
    assert (group["forceDelete"], group["vpcZoneIdentifiers"]) == (True, ["subnet-a"])
    assert declared.one("Bucket").inputs["bucket"] == "our-ledger"
    assert declared.one("Topic").inputs["tags"]["team"] == declared.one("Role", "vision-node").inputs["tags"]["team"]
    assert declared.one("TopicSubscription").inputs["endpoint"] == "ops@example.com"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 0}, "spotkeeper:nodes: was 0, expected a whole number, at least 1"),
        ({"policy": "always"}, "spotkeeper:policy: was 'always', expected 'never' or 'mirror' or 'patient'"),
        ({"onDemandBase": 9}, "spotkeeper:onDemandBase: was 9, expected a whole number, from 0 to 4"),
        (
            {"bucketName": "X"},
            "spotkeeper:bucketName: was 'X', expected 3 to 52 lower-case letters",
        ),
        ({"timings": {"hook_seconds": 1}}, "spotkeeper:timings.hook_seconds: was 1.0, expected from 95"),
        ({"checkpointUri": ""}, "spotkeeper:checkpointUri: was None, expected a value; this input is required"),
        ({"cloud": "azure"}, "spotkeeper:cloud: was 'azure', expected 'aws' or 'gcp'"),
        ({"instanceTypes": []}, "spotkeeper:instanceTypes: was None, expected either instance_types or instance_requ"),
    ],
)
def test_a_refused_input_is_named_by_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run(**values)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"nodes": "many"}, "spotkeeper:nodes"),
        ({"acceptNarrowPool": "perhaps"}, "spotkeeper:acceptNarrowPool"),
        ({"subnetIds": {"a": "subnet-a"}}, "spotkeeper:subnetIds"),
        ({"instanceTypes": [1]}, "spotkeeper:instanceTypes"),
        ({"timings": [1]}, "spotkeeper:timings"),
        ({"tags": "{"}, "spotkeeper:tags"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(pulumi.ConfigTypeError, match=re.escape(f"'{key}'")):
        run(**values)


def test_the_rehearsals_stack_runs() -> None:
    values = stack_file("local-aws")
    filled = {"spotkeeper:subnetIds": LEAST["subnetIds"], "spotkeeper:imageId": "ami-1"}
    spec = spec_of(declare(PROGRAM, config=as_given({**values, **filled})), "digits")
    assert (spec.notice_seconds, spec.hook_seconds, spec.report_seconds) == (5.0, 8.0, 0.5)


def test_the_real_stack_runs_once_its_placeholders_are_filled_in() -> None:
    values = stack_file("aws-training")
    placeholders = {key for key, value in values.items() if "<" in json.dumps(value)}
    assert {key.removeprefix("spotkeeper:") for key in placeholders} == {
        "aws:region",
        "subnetIds",
        "imageId",
        "command",
        "checkpointUri",
        "alertEmail",
        "tags",
    }
    filled = {**values, "aws:region": "eu-west-1", "alertEmail": "ops@example.com", "tags": {"team": "t"}}
    mine = {key: LEAST[key.removeprefix("spotkeeper:")] for key in filled if key.removeprefix("spotkeeper:") in LEAST}
    kept = {"spotkeeper:instanceTypes": values["spotkeeper:instanceTypes"]}
    spec = spec_of(declare(PROGRAM, config=as_given({**filled, **mine, **kept})), "training")
    assert (spec.target, spec.base, spec.maximum) == (4, 1, 2)


@pytest.mark.parametrize("name", ["local-aws", "aws-training"])
def test_stack_files_set_only_what_is_declared_and_all_that_is_required(name: str) -> None:
    own = {key.removeprefix("spotkeeper:"): value for key, value in stack_file(name).items() if key.startswith("spotk")}
    assert set(own) <= set(DECLARED["config"])
    filled_in_by_the_rehearsal = {"subnetIds", "imageId"} if name == "local-aws" else set()
    assert REQUIRED["aws"] - set(own) == filled_in_by_the_rehearsal
    assert set(own.get("timings", {})) <= set(FleetTimingsArgs.__annotations__)


def test_the_project_file_is_one_that_pulumi_takes() -> None:
    assert (DECLARED["name"], DECLARED["main"], DECLARED["stackConfigDir"]) == ("spotkeeper", "stacks", "stacks")
    assert DECLARED["runtime"] == {"name": "python", "options": {"virtualenv": ".venv"}}
    python_types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    for key, item in DECLARED["config"].items():
        assert set(item) <= {"type", "items", "default", "description", "secret"}, key
        assert item["description"], key
        assert item["type"] in python_types, key
        assert ("items" in item) == (item["type"] == "array"), key
        # To Pulumi a key without a default is a required one.
        assert ("default" not in item) == (key in EVERYWHERE), key
        if "default" in item:
            assert type(item["default"]) is python_types[item["type"]], key
