"""Breakdowns: machines that die or stand still without anybody having been told.

A node that dies is gone at once, with everything that ran on it. No metadata, no event and no hook precedes that;
its group's health check finds out ``replace_delay_seconds`` later, as with any lost instance. A node that stands still
has every process stopped where it is, in the middle of a request if need be; for its group it is as healthy as before,
as it is for EC2's own checks when only a program hangs.

Not done: failing status checks (``impaired``), a network that is cut while the processes go on, disks that fill up, and
the clock of the machine, which goes on while its processes stand still, as it does on AWS unless it hibernates.
"""

from __future__ import annotations

import signal

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import StateReason

from spotkeeper_lab.local import processes
from spotkeeper_lab.local_aws.groups import AutoScaling
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.world import World
from spotkeeper_ledger import run_dir

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
        """Stop every process of a node (``SIGSTOP``); nothing new starts on it until it is woken."""
        self._nodes.stand_still(node_id, still=True)
        self._world.events.add("frozen", node_id)
        stopped: set[int] = set()
        while running := set(self._nodes.processes(node_id)) - stopped:  # once more for what they were just starting
            processes.send(running, signal.SIGSTOP)
            stopped |= running

    def thaw(self, node_id: str, *, job_only: bool) -> None:
        """Let a node's processes go on (``SIGCONT``): all of them, or only those of the training command."""
        job = processes.find(f"{run_dir.NODE}={node_id}")  # the agent says it to its job, and to nobody else
        pids = job if job_only else self._nodes.processes(node_id)
        if not job_only:
            self._nodes.stand_still(node_id, still=False)
        self._world.events.add("woken", node_id, parts="job" if job_only else "all")
        processes.send(pids, signal.SIGCONT)
