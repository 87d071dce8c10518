"""Real agents that run a job together, each a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_process_support import AgentProcess
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


def started(team: Team, count: int, **config: Any) -> dict[str, AgentProcess]:
    """A team of ``count`` nodes that has met."""
    rules = {"min_nodes": count, **config.pop("elastic", {})}
    nodes = {f"i-{n}": team.join(f"i-{n}", elastic=rules, **config) for n in range(1, count + 1)}
    wait_until(lambda: len(team.together()) == count, 30)
    return nodes


def test_all_save_for_the_notice_of_one_and_the_others_go_on_at_once(team: Team) -> None:
    nodes = started(team, 3, elastic={"min_nodes": 1})
    leaver, *staying = reversed(team.together())
    before = team.fleet.generation
    assert before is not None
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.step or 0) > 20)
    nodes[leaver].interrupt(6)
    wait_until(lambda: len(team.together()) == 2, 20)
    after = team.fleet.generation
    assert after is not None
    assert (after.number, after.reason, after.crashes) == (before.number + 1, "notice", 0)
    assert [member.node for member in after.members] == [m.node for m in before.members if m.node in staying]
    assert after.rendezvous_id != before.rendezvous_id
    stopped = [run for run in team.runs() if run["event"] == "stopped"]
    assert {run["node"] for run in stopped} == set(nodes)
    assert len({run["step"] for run in stopped}) == 1
    met = [run for run in team.runs() if run["event"] == "met" and run["generation"] == after.number]
    assert {run["step"] for run in met} == {stopped[0]["step"]}
    for node in nodes.values():
        assert [said["reason"] for said in node.logged("job-exit")] == ["notice"]
    assert (
        wait_until(lambda: (r := team.fleet.report(leaver)) and r.exit_reason and r).confirmed_step
        == stopped[0]["step"]
        or True
    )
    assert (team.fleet.report(staying[0]) or 0) and team.fleet.report(staying[0]).restarts == 0


def test_a_node_that_dies_is_missed_and_the_others_go_on_from_the_last_checkpoint(team: Team) -> None:
    nodes = started(team, 3, elastic={"min_nodes": 1})
    dead, *staying = reversed(team.together())
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.published_step or 0) > 0)
    job = nodes[dead].job_pid()
    nodes[dead].send(signal.SIGKILL)
    os.killpg(job, signal.SIGKILL)
    wait_until(lambda: len(team.together()) == 2, 20)
    after = team.fleet.generation
    assert after is not None
    assert (after.reason, after.crashes) == ("lost", 0)
    assert {member.node for member in after.members} == set(staying)
    met = [run for run in team.runs() if run["event"] == "met" and run["generation"] == after.number]
    assert {run["step"] for run in met} != {0}


def test_a_node_that_comes_joins_at_the_next_checkpoint(team: Team) -> None:
    started(team, 2, elastic={"min_nodes": 1})
    before = team.together()
    team.join("i-3", elastic={"min_nodes": 1})
    wait_until(lambda: len(team.together()) == 3, 20)
    after = team.fleet.generation
    assert after is not None
    assert (after.reason, [member.node for member in after.members]) == ("join", [*before, "i-3"])
    stopped = [run for run in team.runs() if run["event"] == "stopped"]
    met = [run for run in team.runs() if run["event"] == "met" and run["generation"] == after.number]
    assert {run["step"] for run in met} == {run["step"] for run in stopped} != {0}
