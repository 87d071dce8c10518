"""Real agents that run a job together, each a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_process_support import AgentProcess, alive
from agent_support import SHORT, wait_until
from team_support import Team, a_team

LEASE_SECONDS = SHORT["lease_seconds"]


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
    stopped = [run for run in team.runs() if run["event"] == "stopped" and run["generation"] == before.number]
    assert {run["node"] for run in stopped} == set(nodes)
    assert len({run["step"] for run in stopped}) == 1
    met = [run for run in team.runs() if run["event"] == "met" and run["generation"] == after.number]
    assert {run["step"] for run in met} == {stopped[0]["step"]}
    for node in nodes.values():
        assert {said["reason"] for said in node.logged("job-exit")} == {"notice"}
    report = team.fleet.report(staying[0])
    assert report is not None
    assert report.restarts == 0


def test_a_node_that_dies_is_missed_and_the_others_go_on_from_the_last_checkpoint(team: Team) -> None:
    nodes = started(team, 3, elastic={"min_nodes": 1})
    dead, *staying = reversed(team.together())
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.published_step or 0) > 0)
    job = nodes[dead].job_pid()
    assert job
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


def test_an_agent_that_is_started_again_brings_its_node_back(team: Team) -> None:
    nodes = started(team, 2)
    before = team.fleet.generation
    assert before is not None
    nodes["i-1"].send(signal.SIGKILL)
    nodes["i-1"].process.wait(10)
    team.join("i-1", elastic={"min_nodes": 2})
    wait_until(lambda: (g := team.fleet.generation) and g.number > before.number and len(team.together()) == 2, 20)
    after = team.fleet.generation
    assert after is not None
    assert after.crashes == 0


def test_a_crash_starts_all_again_and_counts_once(team: Team) -> None:
    started(team, 2, env={"TEAM_JOB_CRASH_AT": "30"})
    wait_until(lambda: (g := team.fleet.generation) and g.reason == "crash" and len(team.together()) == 2, 20)
    after = team.fleet.generation
    assert after is not None
    assert after.crashes == 1


def test_what_crashes_too_often_has_failed(team: Team) -> None:
    for name in ("i-1", "i-2"):
        team.join(name, command="exit 7", max_restarts=1, elastic={"min_nodes": 2})
    wait_until(lambda: (g := team.fleet.generation) and g.state == "finished", 20)
    after = team.fleet.generation
    assert after is not None
    assert (after.reason, after.crashes) == ("failed", 2)
    wait_until(lambda: (p := team.fleet.progress) and p.state != "running")
    progress = team.fleet.progress
    assert progress is not None
    assert (progress.state, progress.exit_code) == ("failed", 7)


def test_it_is_finished_when_all_have_finished(team: Team) -> None:
    nodes = started(team, 2, env={"TEAM_JOB_TOTAL": "60"})
    wait_until(lambda: (g := team.fleet.generation) and g.state == "finished", 20)
    after = team.fleet.generation
    assert after is not None
    assert after.reason == "finished"
    wait_until(lambda: (p := team.fleet.progress) and p.state == "finished")
    progress = team.fleet.progress
    assert progress is not None
    assert (progress.step, progress.nodes) == (60, 2)
    for node in nodes.values():
        assert [said["code"] for said in node.logged("job-exit")] == [0]


def test_with_the_ledger_away_nobody_is_declared_dead(team: Team) -> None:
    nodes = started(team, 2, elastic={"min_nodes": 1})
    first, second = (nodes[name] for name in team.together())
    ledger = team.folder / "ledger"
    ledger.rename(team.folder / "away")
    ledger.write_text("no folder")
    wait_until(lambda: all(node.logged("ledger-failing") for node in nodes.values()))
    second.send(signal.SIGSTOP)
    job = first.job_pid()
    gone_at = time.monotonic()
    wait_until(lambda: time.monotonic() > gone_at + 3 * LEASE_SECONDS, 10)
    assert first.job_pid() == job
    assert not [said for said in first.logged("generation-written") if said["reason"] == "lost"]
    second.send(signal.SIGCONT)
    ledger.unlink()
    (team.folder / "away").rename(ledger)
    wait_until(lambda: all(node.logged("ledger-back") for node in nodes.values()))
    step = (team.fleet.progress and team.fleet.progress.step) or 0
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.step or 0) > step)
    assert len(team.together()) == 2
    assert first.job_pid() == job


def test_a_frozen_node_is_left_out_and_ends_its_job_when_it_wakes(team: Team) -> None:
    def running() -> tuple[int, int]:
        generation = team.fleet.generation
        return (generation.number, len(generation.members)) if generation and generation.state == "running" else (0, 0)

    rules = {"min_nodes": 3}
    nodes = {name: team.join(name, command="exec sleep 600", elastic=rules) for name in ("i-1", "i-2", "i-3")}
    wait_until(lambda: running()[1] == 3 and all(node.job_pid() for node in nodes.values()), 20)
    first = team.fleet.generation
    assert first is not None
    frozen = nodes[first.members[-1].node]
    job = frozen.job_pid()
    assert job
    team.freeze(frozen)
    wait_until(lambda: (g := team.fleet.generation) and g.number > first.number, 20)
    left = team.fleet.generation
    assert left is not None
    assert (left.state, left.reason, len(left.members)) == ("forming", "lost", 2)  # fewer than the least: it waits
    wait_until(lambda: not any(node.job_pid() for node in nodes.values() if node is not frozen))
    assert alive(job)
    frozen.send(signal.SIGCONT)
    wait_until(lambda: not alive(job))
    wait_until(lambda: running()[1] == 3 and running()[0] > left.number, 20)
    assert frozen.logged("lease-lost")


def test_on_demand_nodes_lead_and_too_few_wait(team: Team) -> None:
    alone = team.join("i-1", elastic={"min_nodes": 2})
    wait_until(lambda: (g := team.fleet.generation) and g.state == "forming")
    report = wait_until(lambda: team.fleet.report("i-1"))
    assert (report.generation, report.restarts, alone.job_pid()) == (None, 0, None)
    team.join("i-2", on_demand=True, elastic={"min_nodes": 2})
    assert wait_until(team.together, 20) == ["i-2", "i-1"]


def test_who_is_asked_to_join_now_does_not_wait_for_a_checkpoint(team: Team) -> None:
    rules = {"min_nodes": 1, "join": "now"}
    started(team, 1, elastic=rules, env={"TEAM_JOB_SAVE_SECONDS": "3600"})
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.step or 0) > 5)
    team.join("i-2", elastic=rules, env={"TEAM_JOB_SAVE_SECONDS": "3600"})
    wait_until(lambda: len(team.together()) == 2, 20)
    met = [run for run in team.runs() if run["event"] == "met"]
    assert met[-1]["step"] > 5


def test_ranks_on_several_nodes_save_at_the_same_step_whoever_hears_the_notice(team: Team) -> None:
    command = f"exec {sys.executable} {Path(__file__).with_name('team_ranks_job.py')}"
    nodes = started(team, 3, command=command, elastic={"min_nodes": 1})
    wait_until(lambda: team.fleet.progress and (team.fleet.progress.published_step or 0) > 0)
    leaver, master = team.together()[-1], team.together()[0]
    before = team.fleet.generation
    assert before is not None
    nodes[leaver].interrupt(8)
    wait_until(lambda: len(team.together()) == 2, 20)
    stopped = [run for run in team.runs() if run["event"] == "stopped" and run["generation"] == before.number]
    assert {run["node"] for run in stopped} == set(nodes)
    (step,) = {run["step"] for run in stopped}
    generation = team.fleet.generation
    assert generation is not None
    met = [run for run in team.runs() if run["event"] == "met" and run["generation"] == generation.number]
    assert {run["step"] for run in met} == {step}
    wait_until(lambda: (r := team.fleet.report(leaver)) and r.confirmed_step == step)
    nodes[master].interrupt(8)  # and now the one that decides
    wait_until(lambda: len(team.together()) == 1, 20)
    later = [run for run in team.runs() if run["event"] == "stopped" and run["generation"] == generation.number]
    assert len({run["step"] for run in later}) == 1
    assert len(later) == 2


def test_all_ranks_save_each_time_that_the_first_node_is_asked_to(team: Team) -> None:
    command = f"TEAM_JOB_SAVE_SECONDS=1000 exec {sys.executable} {Path(__file__).with_name('team_ranks_job.py')}"
    nodes = started(team, 2, command=command, elastic={"min_nodes": 2})
    first, generation, step = team.together()[0], team.fleet.generation, 0
    assert generation is not None
    for times in (1, 2, 3):
        team.fleet.signal(first, "rebalance", drill=True)
        confirmed = wait_until(lambda times=times: (c := nodes[first].logged("confirmed")) and len(c) == times and c)
        assert confirmed[-1]["step"] > step
        step = confirmed[-1]["step"]
        wait_until(lambda step=step: team.fleet.progress and (team.fleet.progress.step or 0) > step + 20)
    assert team.fleet.progress is not None
    assert team.fleet.progress.published_step == step
    assert team.fleet.progress.generation == generation.number, "nobody has stopped for it"
