"""Real agents that run a job together, each a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_support import wait_until
from team_support import Team, a_team


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with a_team(tmp_path) as started:
        yield started


def test_two_nodes_form_one_generation_and_run_the_command_together(team: Team) -> None:
    for name in ("i-1", "i-2"):
        team.join(name, elastic={"min_nodes": 2, "processes_per_node": 4})
    nodes = wait_until(team.together)
    assert sorted(nodes) == ["i-1", "i-2"]
    generation = team.fleet.generation
    assert generation is not None
    starts = [run for run in team.runs() if run["event"] == "start"]
    assert [run["node"] for run in sorted(starts, key=lambda run: run["rank"])] == nodes
    addresses = [member.address for member in generation.members]
    for run in starts:
        pet = run["pet"]
        assert pet.pop("PET_RDZV_ID") != generation.rendezvous_id
        assert pet == {
            "PET_NNODES": "2",
            "PET_NODE_RANK": str(nodes.index(run["node"])),
            "PET_NPROC_PER_NODE": "4",
            "PET_MASTER_ADDR": addresses[0],
            "PET_MASTER_PORT": str(generation.port),
        }
        assert run["members"] == ",".join(addresses)
