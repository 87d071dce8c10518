"""Deploys the real stack program in a local cloud, with a scenario's values in its configuration, and again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spotkeeper_lab import collection
from spotkeeper_lab.provision import Provisioner, ProvisionError, Registrar
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_lab.rollouts import shape_of
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.stages.stage import Stage
from spotkeeper_lab.timeline import Shape
from spotkeeper_ledger import keys, load
from spotkeeper_ledger.documents import FleetSpec

PROJECT = "spotkeeper"
STACKS = Path(__file__).parents[2] / "stacks"


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
        stage: the local cloud.
        scenario: gives the size, the fleet's inputs and the durations.
        command: what the nodes run.
    """

    def __init__(self, stage: Stage, scenario: Scenario, command: str) -> None:
        self._stage = stage
        self._provisioner = Provisioner(stage.provider(), stage.local.events.add)
        self._made: Deployed | None = None
        self._values: dict[str, Any] = {
            "nodes": scenario.nodes,
            "command": command,
            "checkpointUri": stage.checkpoint_uri,
            "timings": scenario.durations.fleet,
            **scenario.fleet,
            **scenario.own.get(stage.name, {}),
        }

    @property
    def resources(self) -> Mapping[str, Resource]:
        """Everything that is declared, by URN."""
        return self._provisioner.stack

    def create(self) -> Deployed:
        """Make what a user has already, run the program for the first time (:meth:`up`), and return what it made."""
        self.up(self._stage.prepare())
        fleet, bucket = self._stage.find()
        spec = self._stage.local.objects(bucket, keys.spec(fleet))[keys.spec(fleet)]
        self._made = Deployed(fleet, bucket, shape_of(load(FleetSpec, spec)))
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
                stack=self._stage.stack,
                config_values=config(STACKS / f"Pulumi.{self._stage.stack}.yaml", self._values),
            )
        self._provisioner.end()

    def destroy_fleet(self) -> list[str]:
        """Delete the fleet and leave the responder, as ``pulumi destroy`` does that is given the fleet as its target.

        Returns when everything is gone, and so may take as long as nodes take to save; what it returns is what of the
        fleet is there all the same (:meth:`~spotkeeper_lab.stages.stage.Stage.remains`).

        Raises:
            ProvisionError: There is no fleet yet, or no more.
            Exception: The cloud refused it.
        """
        if self._made is None:
            raise ProvisionError("the fleet: was not created, expected to be before it is destroyed")
        self._provisioner.destroy(self._stage.fleet_type)
        return self._stage.remains(self._made.fleet, self._made.bucket)
