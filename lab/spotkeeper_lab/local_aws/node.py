"""Nodes: what runs on instances.

Each has a directory, an address, a metadata server and real processes, and can be taken away. Its directory is its root
file system as far as Spotkeeper is concerned (``SPOTKEEPER_ROOT``). Its processes inherit an environment that has
nothing of the user's, no AWS keys among it, and by which they are found again.

Commands that a node finds: ``python``, the interpreter of the lab with all its packages, for training; ``python3``, the
bare interpreter with the standard library alone, as on an image that has nothing installed; and a ``systemctl`` that
starts services.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion

from spotkeeper_lab.local import processes, systemctl
from spotkeeper_lab.local_aws.facts import metadata_of, tags_of
from spotkeeper_lab.local_aws.metadata import Addresses, Metadata, MetadataServer
from spotkeeper_lab.local_aws.moto_group import FLEET_TAG, GROUP_TAG
from spotkeeper_lab.local_aws.world import World

MARK = "SPOTKEEPER_LOCAL_AWS"
"""In the environment of every process of the local cloud, with the working directory as its value."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN_CHARACTERS = 2000


@dataclass(frozen=True)
class Node:
    """An instance as the lab sees it."""

    id: str
    group: str
    """``spot`` or ``backup``, from the instance's tag; empty where it has none."""
    fleet: str
    """From the instance's tag; empty where it has none."""
    dir: Path
    """What the node has for its root directory."""
    launched_at: float
    """Unix seconds."""


@dataclass
class _Machine:
    node: Node
    tags: Mapping[str, str]
    address: str
    metadata: Metadata
    user_data: str
    server: MetadataServer | None = None
    up: bool = False
    still: bool = False
    starting: list[threading.Thread] = field(default_factory=list)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    """Processes of the node that were ever seen."""


class NodeProcesses:
    """The nodes of the local cloud and their processes.

    Args:
        world: what all parts share.
        environment: what every process of the local cloud has in its environment: :data:`MARK`, and where AWS is.
    """

    def __init__(self, world: World, environment: Mapping[str, str]) -> None:
        self._world = world
        self._environment = environment
        self._addresses = Addresses()
        self._machines: dict[str, _Machine] = {}
        self._lock = threading.Lock()
        self._bin = world.work_dir / "bin"
        _install_commands(self._bin)

    # What the lab asks.

    def running(self) -> list[Node]:
        """Return the nodes that have booted and are not being taken away or terminated, oldest first."""
        with self._lock:
            return [machine.node for machine in self._machines.values() if machine.up]

    def node(self, node_id: str) -> Node:
        """Return a node, also one that is gone; raises ``KeyError`` where there never was one."""
        return self._machine(node_id).node

    def metadata(self, node_id: str) -> Metadata:
        """Return what a node is told about itself; it may be changed."""
        return self._machine(node_id).metadata

    def tagged(self, key: str, values: Collection[str]) -> list[Node]:
        """Return the running nodes that have a tag with one of these values."""
        with self._lock:
            return [one.node for one in self._machines.values() if one.up and one.tags.get(key, "") in values]

    def processes(self, node_id: str) -> list[int]:
        """Return the ids of the processes that run on a node."""
        return processes.find(self._mark(self._machine(node_id)))

    def stand_still(self, node_id: str, *, still: bool) -> None:
        """Say whether a node stands still: nothing is started on one that does. What runs on it is not touched."""
        machine = self._machine(node_id)
        with self._lock:
            machine.still = still

    def run(self, node_id: str, script: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script on a node and return its exit code and output; it runs for at most ``timeout`` seconds.

        It finds the agent of the node: ``/usr/local/bin/`` means the node's own, and so does the agent's run directory.

        Raises:
            ProcessLookupError: The node does not run (any more).
        """
        machine = self._machine(node_id)
        inside = script.replace("/usr/local/bin/", f"{machine.node.dir}/usr/local/bin/")
        environment = {**self._own(machine), "SPOTKEEPER_RUN_DIR": str(machine.node.dir / "run" / "spotkeeper")}
        child = self._spawn(machine, ["/bin/sh", "-c", inside], environment, subprocess.PIPE)
        try:
            output, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            output, _ = child.communicate()
        return subprocess.CompletedProcess(child.args, child.returncode, output)

    # What Auto Scaling asks.

    def add(self, instance: Instance, template: LaunchTemplateVersion) -> None:
        """An instance was launched from a template; it has not booted."""
        tags, address = tags_of(instance), self._addresses.next()
        with self._lock:
            # Numbered, because the path of a socket below it has to stay short.
            root = self._world.work_dir / "nodes" / str(len(self._machines) + 1)
            node = Node(instance.id, tags.get(GROUP_TAG, ""), tags.get(FLEET_TAG, ""), root, time.time())
            metadata = metadata_of(self._world, instance, template, address)
            user_data = instance.user_data.decode() if instance.user_data else ""
            self._machines[instance.id] = _Machine(node, tags, address, metadata, user_data)

    def start(self, node: str) -> None:
        """Boot a node: its metadata server answers and its user data runs."""
        machine = self._machine(node)
        root = machine.node.dir
        for folder in ("tmp", "var/log"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "instance-id").write_text(f"{node}\n")
        script = root / "user-data"
        script.write_text(machine.user_data)
        machine.server = MetadataServer(machine.address, machine.metadata)
        with self._lock:
            machine.up = True
        if machine.user_data:
            with (root / "var/log/user-data.log").open("wb") as log:
                boot = self._spawn(machine, ["/bin/bash", str(script)], self._own(machine), log.fileno())
            watch = threading.Thread(target=self._watch, args=(machine, boot), name="local-aws-boot", daemon=True)
            machine.starting.append(watch)
            watch.start()

    def stop(self, node: str, then: Callable[[], None]) -> None:
        """Shut a node down: SIGTERM now, SIGKILL ``reclaim_kill_seconds`` later, then ``then``."""
        machine = self._machine(node)
        with self._lock:
            machine.up = False
        grace = self._world.timing.reclaim_kill_seconds if machine.server else 0.0
        self._world.timers.after(0.0, partial(self._terminate, machine))
        self._world.timers.after(grace, partial(self._kill, machine, then))

    def die(self, node: str) -> None:
        """Kill everything on a node at once; returns when it is gone."""
        machine = self._machine(node)
        with self._lock:
            machine.up = False
        self._kill(machine, lambda: None)

    def target_state(self, node: str, state: str) -> None:
        """Let the node know towards which lifecycle state Auto Scaling moves it."""
        self._machine(node).metadata.change(target_state=state)

    def close(self) -> None:
        """Kill every process of the local cloud, those of nodes that are gone included, and wait for all threads."""
        with self._lock:
            machines = list(self._machines.values())
            waited_for = [child.pid for machine in machines for child in machine.children]
            for machine in machines:
                machine.up = False
        known = {pid for machine in machines for pid in machine.known}
        processes.end(f"{MARK}={self._world.work_dir}", known=known, waited_for=waited_for)
        for machine in machines:
            if machine.server is not None:
                machine.server.close()
            for thread in machine.starting:
                thread.join()

    def _machine(self, node_id: str) -> _Machine:
        with self._lock:
            return self._machines[node_id]

    def _mark(self, machine: _Machine) -> str:
        return f"SPOTKEEPER_ROOT={machine.node.dir}"

    def _own(self, machine: _Machine) -> dict[str, str]:
        root = machine.node.dir
        return {
            **self._environment,
            "PATH": f"{self._bin}:{root}/usr/local/bin:{_SYSTEM_PATH}",
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "TMPDIR": str(root / "tmp"),
            "SPOTKEEPER_ROOT": str(root),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.server.endpoint if machine.server else "",
        }

    def _spawn(
        self, machine: _Machine, command: list[str], environment: Mapping[str, str], output: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if not machine.up or machine.still:  # asked under the lock: nothing starts behind the back of what kills
                raise ProcessLookupError(f"node {machine.node.id} does not run")
            child = subprocess.Popen(  # noqa: S603 - the node's own commands, as on a real one
                command,
                cwd=machine.node.dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            machine.children = [*(other for other in machine.children if other.returncode is None), child]
            machine.known.add(child.pid)
        return child

    def _watch(self, machine: _Machine, boot: subprocess.Popen[bytes]) -> None:
        code = boot.wait()
        if not machine.up:
            return  # it was taken away while it booted
        if code == 0:
            self._world.events.add("node-started", machine.node.id)
            return
        log = (machine.node.dir / "var/log/user-data.log").read_text(errors="replace")
        self._world.events.add("node-failed", machine.node.id, exit_code=code, output=log[-_SHOWN_CHARACTERS:])

    def _terminate(self, machine: _Machine) -> None:
        pids = processes.find(self._mark(machine))
        machine.known.update(pids)
        processes.send(pids, signal.SIGTERM)

    def _kill(self, machine: _Machine, then: Callable[[], None]) -> None:
        with self._lock:
            server, machine.server = machine.server, None
            waited_for = [child.pid for child in machine.children]
        processes.end(self._mark(machine), known=machine.known, waited_for=waited_for)
        if server is not None:
            server.close()
        then()


def _install_commands(folder: Path) -> None:
    """Write the commands that every node has; scripts, because a linked interpreter loses its virtual environment."""
    bare = str(getattr(sys, "_base_executable", sys.executable))
    commands = {
        "python": [sys.executable],
        "python3": [bare, "-S"],
        "systemctl": [sys.executable, "-I", "-S", systemctl.__file__],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in commands.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)
