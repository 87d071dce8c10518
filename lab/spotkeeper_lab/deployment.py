"""Deploys the real stack program in the local cloud, with a scenario's values in its configuration, and again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spotkeeper_lab import collection
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.provision import Aws, Provisioner, ProvisionError, Registrar
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_lab.remains import remains
from spotkeeper_lab.rollouts import shape_of
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.timeline import Shape
from spotkeeper_ledger import keys, load
from spotkeeper_ledger.documents import FleetSpec

PROJECT, STACK = "spotkeeper", "local-aws"
STACKS = Path(__file__).parents[2] / "stacks"
CHECKPOINTS = "spotkeeper-rehearsal-checkpoints"
"""Bucket for the job's checkpoints: a user's own, which the stack does not make."""
HEAD_KEY = "job/head.json"
CHECKPOINT_URI = f"s3://{CHECKPOINTS}/job"
CALLER = "pulumi"
FLEET = "spotkeeper:index:AwsTrainingFleet"
"""Type of the component that a destruction is of."""


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


class Stack:
    """The stack in a local cloud: the program may be run again, with other values, and what it made be destroyed.

    Args:
        local: the local cloud.
        scenario: gives the size, the fleet's inputs and the durations.
        command: what the nodes run.
    """

    def __init__(self, local: LocalAws, scenario: Scenario, command: str) -> None:
        aws = Aws(client=lambda service: local.client(service, CALLER), account=local.account, region=local.region)
        self._local = local
        self._provisioner = Provisioner(aws, local.events.add)
        self._made: Deployed | None = None
        self._values: dict[str, Any] = {
            "nodes": scenario.nodes,
            "subnetIds": local.subnet_ids,
            "imageId": local.image_id,
            "command": command,
            "checkpointUri": CHECKPOINT_URI,
            "timings": scenario.durations.fleet,
            **scenario.fleet,
        }

    @property
    def resources(self) -> Mapping[str, Resource]:
        """Everything that is declared, by URN."""
        return self._provisioner.stack

    def create(self) -> Deployed:
        """Make the bucket for checkpoints, run the program for the first time (:meth:`up`), and return what it made."""
        self._local.client("s3").create_bucket(Bucket=CHECKPOINTS)
        # Every version is kept, so that the proof sees all that the head ever was.
        self._local.client("s3").put_bucket_versioning(
            Bucket=CHECKPOINTS, VersioningConfiguration={"Status": "Enabled"}
        )
        self.up({})
        self._made = _deployed(self._local)
        return self._made

    def up(self, changes: Mapping[str, Any]) -> None:
        """Run the program and delete what it no longer declares.

        Args:
            changes: configuration that is other from now on, by key. ``timings`` are put over what they were.

        Raises:
            ProvisionError: The program declares something unknown here, or changes what cannot be changed here.
            Exception: Whatever else the program raised, or the cloud refused.
        """
        timings = {**self._values["timings"], **changes.get("timings", {})}
        self._values = {**self._values, **changes, "timings": timings}
        self._provisioner.begin()
        with collection.paused():
            run_program(
                STACKS / "__main__.py",
                Registrar(self._provisioner),
                project=PROJECT,
                stack=STACK,
                config_values=config(STACKS / f"Pulumi.{STACK}.yaml", self._values),
            )
        self._provisioner.end()

    def destroy_fleet(self) -> list[str]:
        """Delete the fleet and leave the responder, as ``pulumi destroy`` does that is given the fleet as its target.

        Returns when everything is gone, and so may take as long as nodes take to save; what it returns is what of the
        fleet is there all the same (:func:`spotkeeper_lab.remains.remains`).

        Raises:
            ProvisionError: There is no fleet yet, or no more.
            botocore.exceptions.ClientError: The cloud refused it.
        """
        if self._made is None:
            raise ProvisionError("the fleet: was not created, expected to be before it is destroyed")
        self._provisioner.destroy(FLEET)
        return remains(self._local.client, self._made.fleet, self._made.bucket)


def _deployed(local: LocalAws) -> Deployed:
    """Find the fleet as anybody would who has not deployed it: by the tags of its groups and its spec in the ledger."""
    groups = local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
    fleet, bucket = tags["spotkeeper:fleet"], tags["spotkeeper:responder"]
    stored = local.client("s3").get_object(Bucket=bucket, Key=keys.spec(fleet))
    return Deployed(fleet, bucket, shape_of(load(FleetSpec, stored["Body"].read())))
