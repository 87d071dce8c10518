"""Nodes: what runs on instances.

Each has a directory, an address, a metadata server and real processes, and can be taken away. Its directory is its root
file system as far as Spotkeeper is concerned (``SPOTKEEPER_ROOT``). Its processes inherit an environment that has
nothing of the user's, no keys among it, and by which they are found again.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic

from spotkeeper_lab.local import processes, systemctl
from spotkeeper_lab.local.addresses import Addresses
from spotkeeper_lab.local.machine import M, Machine, MetadataServer, Node
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers

MARK = "SPOTKEEPER_LOCAL_CLOUD"
"""In the environment of every process of a local cloud, with the cloud's working directory as its value."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN_CHARACTERS = 2000


@dataclass
class _Machine(Generic[M]):
    machine: Machine[M]
    node: Node
    server: MetadataServer | None = None
    up: bool = False
    still: bool = False
    starting: list[threading.Thread] = field(default_factory=list)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    """Processes of the node that were ever seen."""


class Nodes(Generic[M]):
    """The nodes of a local cloud and their processes.

    Args:
        work_dir: where they live.
        events: where what becomes of them is written down.
        timers: do what is due later.
        environment: what every process of the local cloud has in its environment: :data:`MARK`, and where the cloud is.
        kill_seconds: between SIGTERM and SIGKILL when a node is shut down.
    """

    def __init__(
        self,
        work_dir: Path,
        events: EventLog,
        timers: Timers,
        environment: Mapping[str, str],
        kill_seconds: float,
    ) -> None:
        self._work_dir, self._events, self._timers = work_dir, events, timers
        self._environment = environment
        self._kill_seconds = kill_seconds
        self.addresses = Addresses()
        self._machines: dict[str, _Machine[M]] = {}
        self._lock = threading.Lock()
        self._bin = work_dir / "bin"
        _install_commands(self._bin)

    # What the lab asks.

    def running(self) -> list[Node]:
        """Return the nodes that have booted and are not being taken away or terminated, oldest first."""
        with self._lock:
            return [machine.node for machine in self._machines.values() if machine.up]

    def node(self, node_id: str) -> Node:
        """Return a node, also one that is gone; raises ``KeyError`` where there never was one."""
        return self._machine(node_id).node

    def metadata(self, node_id: str) -> M:
        """Return what a node is told about itself; it may be changed."""
        return self._machine(node_id).machine.metadata

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

    # What the rest of the cloud asks.

    def make(self, machine: Machine[M]) -> None:
        """An instance was created; it has not booted."""
        with self._lock:
            # Numbered, because the path of a socket below it has to stay short.
            root = self._work_dir / "nodes" / str(len(self._machines) + 1)
            node = Node(machine.id, machine.group, machine.fleet, root, time.time())
            self._machines[machine.id] = _Machine(machine, node)

    def start(self, node: str) -> None:
        """Boot a node: its metadata server answers and its script runs. One without a script has nobody to ask."""
        machine = self._machine(node)
        if not machine.machine.script:
            with self._lock:
                machine.up = True
            return
        root = machine.node.dir
        for folder in ("tmp", "var/log"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "instance-id").write_text(f"{node}\n")
        machine.server = machine.machine.serve()
        with self._lock:
            machine.up = True
        boot = self.start_script(node, "boot-script", machine.machine.script)
        watch = threading.Thread(target=self._watch, args=(machine, boot), name="local-boot", daemon=True)
        machine.starting.append(watch)
        watch.start()

    def start_script(self, node: str, name: str, script: str) -> subprocess.Popen[bytes]:
        """Start a script on a node, as root would run it; what it prints goes to a log of its name.

        Raises:
            ProcessLookupError: The node does not run (any more).
        """
        machine = self._machine(node)
        path = machine.node.dir / name
        path.write_text(script)
        with (machine.node.dir / f"var/log/{name}.log").open("wb") as log:
            return self._spawn(machine, ["/bin/bash", str(path)], self._own(machine), log.fileno())

    def stop(self, node: str, then: Callable[[], None]) -> None:
        """Shut a node down: SIGTERM now, SIGKILL ``kill_seconds`` later, then ``then``."""
        machine = self._machine(node)
        with self._lock:
            machine.up = False
        grace = self._kill_seconds if machine.server else 0.0
        self._timers.after(0.0, partial(self._terminate, machine))
        self._timers.after(grace, partial(self._kill, machine, then))

    def die(self, node: str) -> None:
        """Kill everything on a node at once; returns when it is gone."""
        machine = self._machine(node)
        with self._lock:
            machine.up = False
        self._kill(machine, lambda: None)

    def close(self) -> None:
        """Kill every process of the local cloud, those of nodes that are gone included, and wait for all threads."""
        with self._lock:
            machines = list(self._machines.values())
            waited_for = [child.pid for machine in machines for child in machine.children]
            for machine in machines:
                machine.up = False
        known = {pid for machine in machines for pid in machine.known}
        processes.end(f"{MARK}={self._work_dir}", known=known, waited_for=waited_for)
        for machine in machines:
            if machine.server is not None:
                machine.server.close()
            for thread in machine.starting:
                thread.join()

    def _machine(self, node_id: str) -> _Machine[M]:
        with self._lock:
            return self._machines[node_id]

    def _mark(self, machine: _Machine[M]) -> str:
        return f"SPOTKEEPER_ROOT={machine.node.dir}"

    def _own(self, machine: _Machine[M]) -> dict[str, str]:
        root = machine.node.dir
        return {
            **self._environment,
            "PATH": f"{self._bin}:{root}/usr/local/bin:{_SYSTEM_PATH}",
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "TMPDIR": str(root / "tmp"),
            "SPOTKEEPER_ROOT": str(root),
            **(machine.machine.environment(machine.server.endpoint) if machine.server else {}),
        }

    def _spawn(
        self, machine: _Machine[M], command: list[str], environment: Mapping[str, str], output: int
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

    def _watch(self, machine: _Machine[M], boot: subprocess.Popen[bytes]) -> None:
        code = boot.wait()
        if not machine.up:
            return  # it was taken away while it booted
        if code == 0:
            self._events.add("node-started", machine.node.id)
            return
        log = (machine.node.dir / "var/log/boot-script.log").read_text(errors="replace")
        self._events.add("node-failed", machine.node.id, exit_code=code, output=log[-_SHOWN_CHARACTERS:])

    def _terminate(self, machine: _Machine[M]) -> None:
        pids = processes.find(self._mark(machine))
        machine.known.update(pids)
        processes.send(pids, signal.SIGTERM)

    def _kill(self, machine: _Machine[M], then: Callable[[], None]) -> None:
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
