"""What a fleet tells the other parts: ``spec.json`` for the responder, ``agent.json`` for the nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from spotkeeper.fleet import FleetPlan
from spotkeeper.naming import BACKUP, SPOT, group_name
from spotkeeper_ledger.documents import FleetSpec

PEER_PORT = 7610
"""Where the agents of an elastic fleet listen for each other."""


def fleet_spec(
    plan: FleetPlan,
    *,
    cloud: str,
    fleet: str,
    region: str,
    incarnation: str,
    command_version: str,
    checkpoint_uri: str,
    node_types: Sequence[str] = (),
) -> FleetSpec:
    """Return what the user wants, as the responder reads it.

    Args:
        plan: the fleet's checked inputs.
        cloud: ``aws`` or ``gcp``.
        fleet: its id.
        region: where it is.
        incarnation: unique id of the identity that its nodes have, new with every creation.
        command_version: version of the template that new nodes start from.
        checkpoint_uri: where the job keeps its checkpoints.
        node_types: of what kinds nodes may be, where that is said, for their prices.
    """
    timings = plan.timings
    return FleetSpec(
        fleet=fleet,
        incarnation=incarnation,
        cloud=cloud,
        region=region,
        target=plan.nodes,
        base=plan.base,
        maximum=plan.maximum,
        spot_group=group_name(fleet, SPOT),
        backup_group=group_name(fleet, BACKUP),
        node_prefix=f"{incarnation}:",
        gang=plan.gang,
        min_nodes=plan.elastic.min_nodes if plan.elastic else None,
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
        deadline=replace(plan.deadline, node_types=tuple(node_types)) if plan.deadline else None,
    )


def agent_config(
    plan: FleetPlan,
    *,
    cloud: str,
    fleet: str,
    region: str,
    ledger: str,
    incarnation: str,
    command: str,
    checkpoint_uri: str,
    more: Mapping[str, str],
) -> Mapping[str, Any]:
    """Return what becomes ``agent.json`` on every node. Its ``run_dir`` is put below ``SPOTKEEPER_ROOT`` there.

    Args:
        plan: the fleet's checked inputs.
        cloud: ``aws`` or ``gcp``.
        fleet: its id.
        region: where it is.
        ledger: URI of the responder's bucket.
        incarnation: as the spec has it.
        command: the training command.
        checkpoint_uri: where the job keeps its checkpoints.
        more: what only this cloud's agents are told.
    """
    timings = plan.timings
    elastic = {"elastic": asdict(plan.elastic), "peer_port": PEER_PORT} if plan.elastic else {}
    return {
        **elastic,
        "fleet": fleet,
        "incarnation": incarnation,
        "cloud": cloud,
        "region": region,
        "ledger": ledger,
        "checkpoint_uri": checkpoint_uri,
        "command": command,
        "run_dir": "/run/spotkeeper",
        **more,
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
