"""Three agents and torchrun: a node dies and comes again. Each generation is one torchrun of a fixed size."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agent_process_support import AgentProcess, kill_all_of
from agent_support import wait_until
from team_support import Team, a_team

TORCHRUN = f"exec {sys.executable} -m torch.distributed.run {Path(__file__).with_name('torchrun_job.py')}"
SECONDS = 60.0
"""Enough for several processes that import torch at the same time on a busy machine."""


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with a_team(tmp_path) as started:
        yield started


def join(team: Team, name: str) -> AgentProcess:
    env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return team.join(name, command=TORCHRUN, env=env, lease_seconds=3.0, elastic={"min_nodes": 2})


def kill(team: Team, node: AgentProcess) -> None:
    """Take a node away without a word: the agent, torchrun and the ranks."""
    node.send(signal.SIGKILL)
    kill_all_of(node.run_dir)
    node.process.wait(10)
    shutil.rmtree(node.run_dir, ignore_errors=True)


def met(team: Team) -> list[dict[str, object]]:
    generation = team.fleet.generation
    return [run for run in team.runs() if generation and run["generation"] == generation.number]


@pytest.mark.timeout(200)
def test_a_node_dies_and_comes_again(team: Team) -> None:
    assert torch.distributed.is_gloo_available()
    nodes = {name: join(team, name) for name in ("i-1", "i-2", "i-3")}
    wait_until(lambda: len(team.together()) == 3, SECONDS)
    assert {run["world"] for run in met(team)} == {3}
    published = wait_until(lambda: team.fleet.progress and team.fleet.progress.published_step, SECONDS)

    kill(team, nodes[team.together()[-1]])
    wait_until(lambda: len(team.together()) == 2, SECONDS)
    fewer = met(team)
    assert {run["world"] for run in fewer} == {2}
    assert all(int(str(run["first"])) >= published for run in fewer)
    generation = team.fleet.generation
    assert generation is not None
    assert (generation.reason, generation.crashes) == ("lost", 0)

    gone = ({"i-1", "i-2", "i-3"} - set(team.together())).pop()
    join(team, gone)
    wait_until(lambda: len(team.together()) == 3, SECONDS)
    again = met(team)
    assert {run["world"] for run in again} == {3}
    assert len({run["first"] for run in again}) == 1
    assert int(str(again[0]["first"])) > int(str(fewer[0]["first"]))
    assert {run["weight"] for run in again} == {0.0}  # what was saved and added up on 3, 2 and 3 ranks is whole
    generation = team.fleet.generation
    assert generation is not None
    assert (generation.reason, generation.crashes) == ("join", 0)
