"""What a fleet tells Pulumi of itself is known in every preview, and all of it is what the fleet does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pulumi

import spotkeeper
from pulumi_support import declare, declare_fleet, fleet_args
from spotkeeper.fleet import FleetTimings


def inputs(**changes: Any) -> Any:
    return declare_fleet(preview=True, **changes).one("AwsTrainingFleet").inputs


def test_every_default_is_filled_in() -> None:
    assert inputs() == {
        "checkpointUri": "s3://checkpoints/jobs/digits",
        "nodes": 4,
        "onDemandBase": 0,
        "onDemandMax": 4,
        "policy": "mirror",
        "policyWaitSeconds": 600,
        "gang": "none",
        "onRebalance": "checkpoint",
        "onUpdate": "next-run",
        "onDestroy": "checkpoint",
        "timings": asdict(FleetTimings()),
    }


def test_what_is_asked_for_is_told() -> None:
    deadline = {"hours": 60, "work_hours": 40, "on_demand_price": 3.0, "excess": 0}
    told = inputs(policy="deadline", deadline=deadline, gang="region", elastic={"min_nodes": 2}, on_demand_base=1)
    assert {**deadline, "restart_seconds": 720, "period_seconds": 60}.items() <= told["deadline"].items()
    assert told["elastic"] == {"min_nodes": 2, "processes_per_node": 1, "join": "checkpoint", "single_zone": False}
    assert (told["onDemandBase"], told["policy"], told["gang"]) == (1, "deadline", "region")


def test_a_fleet_does_not_wait_for_a_bucket_to_tell_of_itself() -> None:
    def program() -> None:
        spotkeeper.AwsTrainingFleet("train", fleet_args(checkpoint_uri=pulumi.Output.from_input("s3://made/here")))

    assert "checkpointUri" not in declare(program).one("AwsTrainingFleet").inputs
