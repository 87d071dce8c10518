"""Breakdowns: machines that die or stand still without anybody having been told.

A node that dies is gone at once, with everything that ran on it. No metadata, no event and no hook precedes that;
its group's health check finds out ``replace_delay_seconds`` later, as with any lost instance. A node that stands still
has every process stopped where it is, in the middle of a request if need be; for its group it is as healthy as before,
as it is for EC2's own checks when only a program hangs.

Not done: failing status checks (``impaired``), a network that is cut while the processes go on, disks that fill up.
"""

from __future__ import annotations

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import StateReason

from spotkeeper_lab.local.breakdowns import freeze, thaw
from spotkeeper_lab.local_aws.groups import AutoScaling
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.world import World

_DIED = StateReason("Server.InternalError: Internal error on launch or failure of the host", "Server.InternalError")


class Breakdowns:
    """Breaks nodes."""

    def __init__(self, world: World, groups: AutoScaling, nodes: NodeProcesses, ec2: EC2Backend) -> None:
        self._world = world
        self._groups = groups
        self._nodes = nodes
        self._ec2 = ec2

    def kill(self, node_id: str) -> None:
        """Let a node die: its processes are killed, then its instance is gone. Nothing happens to one that is gone."""
        with self._world.lock:
            instance = self._ec2.get_instance(node_id)
            if instance.state == "terminated":
                return
        self._nodes.die(node_id)
        with self._world.lock:
            self._ec2.terminate_instances([node_id])
            instance.state_reason = _DIED
            self._world.events.add("killed", node_id)
            self._groups.lost(node_id)

    def freeze(self, node_id: str) -> None:
        """Stop every process of a node; see :func:`spotkeeper_lab.local.breakdowns.freeze`."""
        freeze(self._nodes, self._world.events, node_id)

    def thaw(self, node_id: str, *, job_only: bool) -> None:
        """Let a node's processes go on; see :func:`spotkeeper_lab.local.breakdowns.thaw`."""
        thaw(self._nodes, self._world.events, node_id, job_only=job_only)
