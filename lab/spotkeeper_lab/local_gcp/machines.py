"""Nodes: what runs on instances of Compute Engine.

A node boots with its startup script, as the guest's agent runs it, and shuts down as systemd does: the main process of
each service is told to end, and the shutdown script runs beside that. When both are through, the machine is off.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from spotkeeper_lab.local.machine import Machine
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.nodes import Nodes
from spotkeeper_lab.local.systemctl import STOP, supervisors
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_gcp.callers import token_of_node
from spotkeeper_lab.local_gcp.instances import Instance
from spotkeeper_lab.local_gcp.market import SPOT
from spotkeeper_lab.local_gcp.metadata import FALSE, PREEMPTED, TRUE, Metadata, MetadataServer, account
from spotkeeper_lab.local_gcp.world import PROJECT_NUMBER

GROUP_LABEL, FLEET_LABEL = "spotkeeper-group", "spotkeeper-fleet"
"""Labels of instances that say of which group, ``spot`` or ``backup``, and fleet they are."""
STARTUP, SHUTDOWN = "startup-script", "shutdown-script"
_LINK_LOCAL = "169.254.169.254"
"""Address of every machine's metadata server; here each has one of its own."""
_LOOK_SECONDS = 0.05


def metadata_of(instance: Instance, project: str, address: str, node: str) -> Metadata:
    """Return what an instance is told about itself; ``address`` is its own on this machine."""
    place = instance.place
    values = {
        "instance/id": instance.id,
        "instance/name": instance.name,
        "instance/hostname": f"{instance.name}.{place.zone}.c.{project}.internal",
        "instance/zone": f"projects/{PROJECT_NUMBER}/zones/{place.zone}",
        "instance/machine-type": f"projects/{PROJECT_NUMBER}/machineTypes/{place.machine_type}",
        "instance/maintenance-event": "NONE",
        "instance/network-interfaces/0/ip": address,
        "instance/scheduling/automatic-restart": FALSE if place.model == SPOT else TRUE,
        "instance/scheduling/preemptible": TRUE if place.model == SPOT else FALSE,
        PREEMPTED: FALSE,
        "project/project-id": project,
        "project/numeric-project-id": PROJECT_NUMBER,
        **{f"instance/attributes/{key}": value for key, value in instance.attributes.items()},
    }
    if instance.account:
        values |= account(instance.account, token_of_node(node))
    return Metadata(values)


class Machines(Nodes[Metadata]):
    """The nodes of the local cloud and their processes.

    Args:
        work_dir: as for :class:`Nodes`.
        events: as for :class:`Nodes`.
        timers: as for :class:`Nodes`.
        environment: as for :class:`Nodes`.
        project: whose instances they are.
        off: is told of a node whose operating system has shut down before its time was over.
    """

    def __init__(
        self,
        work_dir: Path,
        events: EventLog,
        timers: Timers,
        environment: Mapping[str, str],
        project: str,
        off: Callable[[str], object],
    ) -> None:
        super().__init__(work_dir, events, timers, environment, 0.0)
        self._project, self._off = project, off
        self._accounts: dict[str, str] = {}
        self._scripts: dict[str, str] = {}
        """Shutdown scripts of nodes that have one."""
        self._hosts: dict[str, str] = {}
        """Where the metadata servers of nodes that have booted are."""

    def account(self, node: str) -> str:
        """Return the address of a node's service account, empty where it has none or never was."""
        return self._accounts.get(node, "")

    def add(self, node: str, instance: Instance) -> None:
        """An instance was created; it has not booted."""
        address = self.addresses.next()
        metadata = metadata_of(instance, self._project, address, node)
        self._accounts[node] = instance.account
        self._scripts[node] = instance.attributes.get(SHUTDOWN, "")
        machine = Machine(
            id=node,
            group=instance.labels.get(GROUP_LABEL, ""),
            fleet=instance.labels.get(FLEET_LABEL, ""),
            script=instance.attributes.get(STARTUP, ""),
            metadata=metadata,
            serve=partial(self._serve, node, address, metadata),
            environment=lambda endpoint: {"GCE_METADATA_HOST": endpoint.removeprefix("http://")},
        )
        self.make(machine)

    def _serve(self, node: str, address: str, metadata: Metadata) -> MetadataServer:
        server = MetadataServer(address, metadata)
        self._hosts[node] = server.host
        return server

    def shut_down(self, node: str) -> None:
        """Tell a node's operating system to shut down, and its cloud when it has."""
        root, script = self.node(node).dir, None
        told = (
            self._scripts[node]
            .replace("/usr/local/bin/", f"{root}/usr/local/bin/")
            .replace(_LINK_LOCAL, self.metadata_host(node))
        )
        services = supervisors(root)
        for pid in services:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, STOP)
        if self._scripts[node]:
            with contextlib.suppress(ProcessLookupError):
                script = self.start_script(node, SHUTDOWN, told)
        self._wait(node, script)

    def metadata_host(self, node: str) -> str:
        """Return address and port of a node's metadata server."""
        return self._hosts.get(node, _LINK_LOCAL)

    def _wait(self, node: str, script: subprocess.Popen[bytes] | None) -> None:
        """Look again and again whether everything has ended that a shutdown waits for."""
        if supervisors(self.node(node).dir) or (script is not None and script.poll() is None):
            self._timers.after(_LOOK_SECONDS, partial(self._wait, node, script))
        else:
            self._off(node)
