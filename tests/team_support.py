"""Nodes that run a job together, for tests: real agents, each with an address of its own, and a job in lock-step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent_process_support import AgentProcess, Nodes
from agent_support import serving_metadata

JOB = f"exec {sys.executable} {Path(__file__).with_name('team_job.py')}"


class Team(Nodes):
    """Starts agents of an elastic fleet."""

    def join(self, name: str, *, command: str = JOB, on_demand: bool = False, **config: Any) -> AgentProcess:
        """Start node ``name``, which ends in the last byte of its address."""
        address = f"127.0.0.{10 + int(name.rpartition('-')[2])}"
        metadata = self._stack.enter_context(serving_metadata(name, on_demand=on_demand, **{"local-ipv4": address}))
        elastic = {"min_nodes": 1, "processes_per_node": 1, "join": "checkpoint", **config.pop("elastic", {})}
        return self.start(name, command, metadata=metadata, elastic=elastic, **config)

    def runs(self) -> list[dict[str, Any]]:
        """What every start of the job has written about itself, in order."""
        lines = [line for path in self.folder.glob("*/runs.jsonl") for line in path.read_text().splitlines()]
        return sorted((json.loads(line) for line in lines), key=lambda run: run["at"])

    def together(self) -> list[str]:
        """Nodes that have met in the present generation, in rank order."""
        generation = self.fleet.generation
        if generation is None or generation.state != "running":
            return []
        met = [run for run in self.runs() if run["generation"] == generation.number and run["event"] == "met"]
        names = [member.node for member in generation.members]
        return names if {run["node"] for run in met} == set(names) else []


@contextmanager
def a_team(folder: Path) -> Iterator[Team]:
    team = Team(folder)
    with team:
        team.fleet.write_spec()
        yield team
