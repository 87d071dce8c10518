"""Deploys the real stack program in the local cloud, with a scenario's values in its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime.mocks import MockMonitor

from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.provision import Aws, Provisioner
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.timeline import Shape
from spotkeeper_ledger import keys, load
from spotkeeper_ledger.documents import FleetSpec

PROJECT, STACK = "spotkeeper", "local-aws"
STACKS = Path(__file__).parents[2] / "stacks"
CHECKPOINTS = "spotkeeper-rehearsal-checkpoints"
"""Bucket for the job's checkpoints: a user's own, which the stack does not make."""
CALLER = "pulumi"


@dataclass(frozen=True)
class Deployed:
    """What the stack made."""

    fleet: str
    bucket: str
    """The ledger's bucket."""
    shape: Shape


def config(stack_file: Path, changes: Mapping[str, Any]) -> dict[str, str]:
    """Return a stack's configuration as a program gets it, with ``changes`` (by key, without the project) over it.

    Raises:
        FileNotFoundError: There is no such stack.
    """
    if not stack_file.exists():
        raise FileNotFoundError(
            f"{stack_file}: is not there; a rehearsal runs the stack program of a clone of the repository"
        )
    given = yaml.safe_load(stack_file.read_text("utf-8"))["config"]
    values = given | {f"{PROJECT}:{key}": value for key, value in changes.items()}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def deploy(local: LocalAws, scenario: Scenario, command: str) -> Deployed:
    """Make the bucket for checkpoints, run the program, and return what it made.

    Args:
        local: The local cloud.
        scenario: Gives the size, the fleet's inputs and the durations.
        command: What the nodes run.

    Raises:
        ProvisionError: The program declares something unknown here.
        Exception: Whatever else the program raised, or the cloud refused.
    """
    local.client("s3").create_bucket(Bucket=CHECKPOINTS)
    changes = {
        "nodes": scenario.nodes,
        "subnetIds": local.subnet_ids,
        "imageId": local.image_id,
        "command": command,
        "checkpointUri": f"s3://{CHECKPOINTS}/job",
        "timings": scenario.durations.fleet,
        **scenario.fleet,
    }
    aws = Aws(client=lambda service: local.client(service, CALLER), account=local.account, region=local.region)
    run_program(
        STACKS / "__main__.py",
        MockMonitor(Provisioner(aws)),
        project=PROJECT,
        stack=STACK,
        config_values=config(STACKS / f"Pulumi.{STACK}.yaml", changes),
    )
    return _deployed(local)


def _deployed(local: LocalAws) -> Deployed:
    """Find the fleet as anybody would who has not deployed it: by the tags of its groups and its spec in the ledger."""
    groups = local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
    fleet, bucket = tags["spotkeeper:fleet"], tags["spotkeeper:responder"]
    stored = local.client("s3").get_object(Bucket=bucket, Key=keys.spec(fleet))
    spec = load(FleetSpec, stored["Body"].read())
    shape = Shape(spot_target=spec.spot_target, base=spec.base, maximum=spec.maximum, policy=spec.policy.name)
    return Deployed(fleet, bucket, shape)
