"""Agents as real processes, for tests: each with its own metadata, run directory and log."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_support import Fleet, Metadata, serving_metadata, utc, wait_until, write_config


@dataclass
class AgentProcess:
    """A real agent, with its own metadata, run directory and log."""

    name: str
    metadata: Metadata
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def log(self) -> list[dict[str, Any]]:
        """What the agent has logged; lines of its job, which shares the stream, are left out."""
        events = []
        for line in (self.folder / "log").read_text().splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and "at" in said and "event" in said:
                    events.append(said)
        return events

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [said for said in self.log() if said["event"] == event]

    def job_pid(self) -> int | None:
        """Process id of the job that runs now."""
        try:
            return int((self.run_dir / "job.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def interrupt(self, seconds: float) -> float:
        """Let the metadata service announce a reclaim; returns the deadline."""
        deadline = float(int(time.time() + seconds))
        self.metadata.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": utc(deadline)})
        return deadline

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Nodes:
    """Starts agents, and ends all that is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet = Fleet(folder)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self,
        name: str,
        command: str,
        *,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        on_demand: bool = False,
        metadata: Metadata | None = None,
        after: Sequence[str] = (),
        **config: object,
    ) -> AgentProcess:
        folder = self.folder / name
        if metadata is None:
            metadata = self._stack.enter_context(serving_metadata(name, on_demand=on_demand))
        path = write_config(folder, self.fleet, command=command, **config)
        log = self._stack.enter_context((folder / "log").open("ab"))
        process = subprocess.Popen(
            [python, "-m", "spotkeeper_agent", "run", "--config", str(path), *after],
            env={**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url, **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        node = AgentProcess(name, metadata, folder, process)
        self._stack.callback(_end, node)
        return node

    def freeze(self, node: AgentProcess) -> None:
        """Stop an agent's process, though never in the middle of a write: its lock would freeze all others."""
        with (self.folder / "ledger" / ".spotkeeper-lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            node.send(signal.SIGSTOP)
            wait_until(lambda: state(node.process.pid) == "T")


def kill_all_of(run_dir: Path) -> None:
    """Kill whatever runs with this run directory in its environment: a job, and what it has put into other sessions."""
    marked = f"SPOTKEEPER_RUN_DIR={run_dir}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if marked in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def _end(node: AgentProcess) -> None:
    """Kill the agent, then its job."""
    with contextlib.suppress(ProcessLookupError):
        node.process.kill()
    node.process.wait()
    kill_all_of(node.run_dir)


def state(pid: int) -> str:
    """The kernel's letter for the state of a process; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z")
