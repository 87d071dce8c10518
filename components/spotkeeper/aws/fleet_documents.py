"""What a fleet tells the other parts: ``spec.json`` for the responder, ``agent.json`` for the nodes."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import BACKUP, HOOK, SPOT, Place, group_name
from spotkeeper.fleet import FleetPlan
from spotkeeper_ledger import keys
from spotkeeper_ledger.codec import dump
from spotkeeper_ledger.documents import FleetSpec

PEER_PORT = 7610
"""Where the agents of an elastic fleet listen for each other."""


def fleet_spec(
    plan: FleetPlan, *, fleet: str, region: str, incarnation: str, command_version: str, checkpoint_uri: str
) -> FleetSpec:
    """Return what the user wants, as the responder reads it.

    Args:
        plan: the fleet's checked inputs.
        fleet: its id.
        region: where it is.
        incarnation: unique id of the node role.
        command_version: version of the launch template that new nodes start from.
        checkpoint_uri: where the job keeps its checkpoints.
    """
    timings = plan.timings
    return FleetSpec(
        fleet=fleet,
        incarnation=incarnation,
        cloud="aws",
        region=region,
        target=plan.nodes,
        base=plan.base,
        maximum=plan.maximum,
        spot_group=group_name(fleet, SPOT),
        backup_group=group_name(fleet, BACKUP),
        node_prefix=f"{incarnation}:",
        gang=plan.gang,
        policy=plan.policy,
        on_rebalance=plan.on_rebalance,
        on_update=plan.on_update,
        command_version=command_version,
        checkpoint_uri=checkpoint_uri,
        notice_seconds=timings.notice_seconds,
        hook_seconds=timings.hook_seconds,
        boot_grace_seconds=timings.boot_grace_seconds,
        report_seconds=timings.report_seconds,
        launch_grace_seconds=timings.launch_grace_seconds,
        hysteresis_seconds=timings.hysteresis_seconds,
        linger_seconds=timings.linger_seconds,
        save_gap_seconds=timings.save_gap_seconds,
        rebalance_expiry_seconds=timings.rebalance_expiry_seconds,
        max_on_demand_hours=plan.max_on_demand_hours,
    )


def agent_config(
    plan: FleetPlan, *, fleet: str, place: Place, responder: str, incarnation: str, command: str, checkpoint_uri: str
) -> Mapping[str, Any]:
    """Return what becomes ``agent.json`` on every node. Its ``run_dir`` is put below ``SPOTKEEPER_ROOT`` there."""
    timings = plan.timings
    elastic = {"elastic": asdict(plan.elastic), "peer_port": PEER_PORT} if plan.elastic else {}
    return {
        **elastic,
        "fleet": fleet,
        "incarnation": incarnation,
        "cloud": "aws",
        "region": place.region,
        "ledger": f"s3://{responder}",
        "checkpoint_uri": checkpoint_uri,
        "command": command,
        "run_dir": "/run/spotkeeper",
        "hook": HOOK,
        "node_prefix": f"{incarnation}:",
        "notice_seconds": timings.notice_seconds,
        "report_seconds": timings.report_seconds,
        "lease_seconds": timings.lease_seconds,
        "signal_poll_seconds": timings.signal_poll_seconds,
        "imds_poll_seconds": timings.imds_poll_seconds,
        "hook_seconds": timings.hook_seconds,
        "save_gap_seconds": timings.save_gap_seconds,
        "rebalance_expiry_seconds": timings.rebalance_expiry_seconds,
        "log_seconds": timings.log_seconds,
        "hang_seconds": timings.hang_seconds,
        "max_restarts": plan.max_restarts,
        **_how_told(plan),
    }


def _how_told(plan: FleetPlan) -> Mapping[str, Any]:
    """Return how the job is told of a notice, where that is said: user data has little room."""
    said = {
        "notice_signal": plan.notice_signal,
        "notice_command": plan.notice_command,
        "notice_command_confirms": plan.notice_command_confirms,
    }
    return {name: value for name, value in said.items() if value}


def spec_object(
    name: str,
    plan: FleetPlan,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    responder: pulumi.Output[str],
    incarnation: pulumi.Output[str],
    command_version: pulumi.Output[str],
    checkpoint_uri: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> aws.s3.BucketObjectv2:
    """Put the spec into the ledger: from then on the responder keeps the fleet at strength."""
    known = pulumi.Output.all(
        region=place.region, incarnation=incarnation, command_version=command_version, checkpoint_uri=checkpoint_uri
    )
    return aws.s3.BucketObjectv2(
        f"{name}-spec",
        bucket=responder,
        key=keys.spec(fleet),
        content=known.apply(lambda values: dump(fleet_spec(plan, fleet=fleet, **values)).decode()),
        content_type="application/json",
        opts=opts,
    )
