"""Interruptions and rebalance recommendations: what EC2 says to a node and to the account, and the reclaim itself."""

from __future__ import annotations

import time
from functools import partial

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import StateReason

from spotkeeper_lab.local_aws.events import INTERRUPTION_WARNING, REBALANCE_RECOMMENDATION, EventBus
from spotkeeper_lab.local_aws.groups import AutoScaling
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.world import World

_RECLAIMED = StateReason("Server.SpotInstanceTermination: Spot instance termination", "Server.SpotInstanceTermination")


class Interruptions:
    """Takes nodes back."""

    def __init__(self, world: World, bus: EventBus, groups: AutoScaling, nodes: NodeProcesses, ec2: EC2Backend) -> None:
        self._world = world
        self._bus = bus
        self._groups = groups
        self._nodes = nodes
        self._ec2 = ec2

    def interrupt(self, node_id: str, *, warn: bool) -> None:
        """Tell a node that it goes, the account as well if ``warn``, and take it back when the notice has passed."""
        now = time.time()
        deadline = now + self._world.timing.notice_seconds
        self._nodes.metadata(node_id).change(reclaim_at=deadline)
        self._world.events.add("notice-injected", node_id, kind="interruption", deadline=deadline)
        if warn:
            detail = {"instance-id": node_id, "instance-action": "terminate"}
            self._warn(node_id, INTERRUPTION_WARNING, "interruption", detail)
        self._world.timers.after(deadline - now, partial(self._reclaim, node_id))

    def rebalance(self, node_id: str, *, warn: bool) -> None:
        """Recommend to a node, and to the account if ``warn``, to be replaced."""
        self._nodes.metadata(node_id).change(rebalance_at=time.time())
        self._world.events.add("notice-injected", node_id, kind="rebalance", deadline=None)
        if warn:
            self._warn(node_id, REBALANCE_RECOMMENDATION, "rebalance", {"instance-id": node_id})
        with self._world.lock:
            self._groups.at_risk(node_id)

    def _warn(self, node_id: str, detail_type: str, kind: str, detail: dict[str, str]) -> None:
        # As documented, the zone stands where the region should, and the account is missing.
        zone = self._nodes.metadata(node_id).facts["placement/availability-zone"]
        self._bus.send(detail_type, "aws.ec2", detail, [f"arn:aws:ec2:{zone}:instance/{node_id}"])
        self._world.events.add("warning-sent", node_id, kind=kind)

    def _reclaim(self, node_id: str) -> None:
        with self._world.lock:
            instance = self._ec2.get_instance(node_id)
            if instance.state == "terminated":
                return  # it has gone by itself meanwhile
            self._nodes.stop(node_id, lambda: None)
            self._ec2.terminate_instances([node_id])
            instance.state_reason = _RECLAIMED
            self._world.events.add("reclaimed", node_id)
            self._groups.lost(node_id)
