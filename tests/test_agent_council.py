"""Several ranks under a real agent: whichever hears the notice first, all save after the same step, or none does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_process_support import AgentProcess, Nodes, alive
from agent_support import wait_until
from rank_job import contribution
from spotkeeper_ledger import load
from spotkeeper_ledger.run_dir import Agreement, Confirmation, RankState, read
from spotkeeper_training import Checkpoint, CheckpointStore


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        started.fleet.write_spec()
        yield started


class Job:
    """A job of several ranks on one node."""

    def __init__(self, nodes: Nodes, ranks: int, *options: object, **config: Any) -> None:
        self.nodes, self.ranks, self.folder = nodes, ranks, nodes.folder / "job"
        job = Path(__file__).with_name("rank_job.py")
        given = " ".join(map(str, ("--folder", self.folder, "--ranks", ranks, *options)))
        self.node: AgentProcess = nodes.start("i-1", f"exec {sys.executable} {job} {given}", **config)

    def diary(self, rank: int) -> list[dict[str, Any]]:
        path = self.folder / f"rank-{rank}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self, *events: str) -> list[list[tuple[str, int]]]:
        return [
            [(said["event"], said["step"]) for said in self.diary(rank) if said["event"] in events]
            for rank in range(self.ranks)
        ]

    def state(self, rank: int) -> RankState:
        return load(RankState, (self.node.run_dir / "ranks" / f"{rank}.json").read_bytes())

    def agreement(self) -> Agreement | None:
        return read(self.node.run_dir, Agreement)

    def await_step(self, step: int) -> None:
        wait_until(lambda: (p := self.nodes.fleet.progress) and (p.step or 0) >= step, what=f"step {step}")

    def hold(self, *ranks: int) -> None:
        """Keep ranks in their step."""
        for rank in ranks:
            (self.folder / f"hold-{rank}").touch()
        for rank in ranks:
            wait_until(lambda rank=rank: self.diary(rank)[-1]["event"] == "held", what=f"rank {rank} is held")

    def release(self, *ranks: int) -> None:
        for rank in ranks:
            (self.folder / f"hold-{rank}").unlink()

    def notice(self, seconds: float = 20) -> float:
        deadline = self.node.interrupt(seconds)
        wait_until((self.node.run_dir / "notice.json").exists)
        return deadline

    def is_over(self) -> bool:
        return bool(self.node.logged("job-exit"))


def latest(nodes: Nodes) -> Checkpoint | None:
    return CheckpointStore(nodes.fleet.checkpoint_uri, generation=10**6).latest()


def held_after(steps: int, ranks: int) -> int:
    held = 0
    for step in range(1, steps + 1):
        held = (held * 31 + sum(contribution(rank, step) for rank in range(ranks))) % (2**61 - 1)
    return held


def saved_together(job: Job) -> int:
    """Check that all ranks saved after one step, stopped there, and that this is the checkpoint; returns the step."""
    wait_until(job.is_over, 30)
    told = job.events("saved", "unsaved", "stop")
    assert told == [told[0]] * job.ranks
    (_, step), (_, stopped) = told[0]
    assert [event for event, _ in told[0]] == ["saved", "stop"]
    assert step == stopped
    checkpoint = latest(job.nodes)
    assert checkpoint is not None
    assert checkpoint.step == step
    held = [job.diary(rank)[-1]["held"] for rank in range(job.ranks)]
    assert held == [held_after(step, job.ranks)] * job.ranks, "each rank's state is that of this step"
    confirmation = read(job.node.run_dir, Confirmation)
    assert confirmation is not None
    assert (confirmation.step, confirmation.notice_id) == (step, "i-1:leaving")
    assert job.node.logged("job-exit")[0]["code"] == 75
    return step


@pytest.mark.parametrize("first", [0, 1, 2])
def test_whichever_rank_hears_it_first_all_save_after_the_same_step(nodes: Nodes, first: int) -> None:
    job = Job(nodes, 3, "--loose", 4)
    job.await_step(5)
    others = [rank for rank in range(3) if rank != first]
    job.hold(0, 1, 2)
    job.notice()
    job.release(first)
    wait_until(lambda: job.state(first).stage == "armed")
    assert {job.state(rank).stage for rank in others} == {"ready"}
    job.release(*others)
    saved_together(job)


def test_a_rank_whose_host_is_fifty_steps_ahead_is_waited_for_by_nobody(nodes: Nodes) -> None:
    job = Job(nodes, 2, "--ahead", 50, 0, "--slow", 0.01)
    job.await_step(60)
    wait_until(lambda: job.diary(1) and job.state(0).stage == "ready")
    job.notice()
    step = saved_together(job)
    assert job.agreement() is not None
    states = [job.state(rank) for rank in range(2)]
    assert [state.stage for state in states] == ["saved", "saved"]
    assert step > 60


def test_a_rank_in_evaluation_is_waited_for(nodes: Nodes) -> None:
    job = Job(nodes, 3, "--loose", 8)
    job.await_step(5)
    job.hold(0, 1, 2)
    job.notice()
    job.release(0, 1)
    wait_until(lambda: job.state(0).stage == job.state(1).stage == "armed")
    wait_until(lambda: (a := job.agreement()) and a.reason == "waiting for rank 2")
    time.sleep(0.3)  # longer than it takes to agree, and nothing is agreed without it
    assert job.events("saved") == [[], [], []]
    job.release(2)
    saved_together(job)


def test_a_step_that_is_longer_than_the_notice_fails_cleanly(nodes: Nodes) -> None:
    job = Job(nodes, 2, "--loose", 100_000, "--save-every", 0.3)
    first = wait_until(lambda: latest(nodes), what="a periodic checkpoint of both ranks")
    wait_until(lambda: job.state(0).stage == job.state(1).stage == "saved")
    job.hold(1)
    deadline = job.notice(7)
    wait_until(job.is_over, 20)
    failed = job.node.logged("agreement")[-1]
    assert failed["at"] < deadline
    assert (failed["stage"], failed["notice_id"]) == ("failed", "i-1:leaving")
    assert failed["reason"] == "not at a step boundary in time: rank 1"
    standing = latest(nodes)
    assert standing is not None
    assert standing.step >= first.step
    saved = job.events("saved")
    assert saved[0] == saved[1], "no rank has saved what the other has not"
    assert standing.step == saved[0][-1][1]
    confirmation = read(job.node.run_dir, Confirmation)
    assert confirmation is None or confirmation.notice_id == ""


def test_a_rank_that_is_killed_while_they_agree_leaves_the_last_checkpoint(nodes: Nodes) -> None:
    job = Job(nodes, 3, "--loose", 8, "--save-every", 0.3)
    wait_until(lambda: latest(nodes), what="a periodic checkpoint of all ranks")
    job.hold(0, 1, 2)
    job.notice(20)
    job.release(0, 1)
    wait_until(lambda: job.state(0).notice_id == job.state(1).notice_id == "i-1:leaving")
    before = latest(nodes)
    os.kill(job.state(2).pid, signal.SIGKILL)
    wait_until(job.is_over, 20)
    assert latest(nodes) == before
    saved = job.events("saved")
    assert saved[0] == saved[1] == saved[2]
    pids = [job.state(rank).pid for rank in range(3)]
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_intervals_of_several_ranks_end_in_one_step_and_a_restart_goes_on_from_there(nodes: Nodes) -> None:
    job = Job(nodes, 2, "--ahead", 2, 2, "--save-every", 0.2)
    wait_until(lambda: min(len(saved) for saved in job.events("saved")) >= 2)
    pids = [job.state(rank).pid for rank in range(2)]
    os.kill(pids[1], signal.SIGKILL)
    wait_until(lambda: all(len(started) == 2 for started in job.events("start")), 20, "the job is started again")
    standing = job.events("start")[0][1][1]
    assert job.events("start")[1][1][1] == standing
    assert [said["held"] for said in job.diary(0) if said["step"] == standing][-1] == held_after(standing, 2)
    seen = len(job.events("saved")[0])
    wait_until(lambda: len(job.events("saved")[0]) > seen, 20, "the ranks of the next start agree as well")
    job.notice()
    wait_until(job.is_over, 30)
    wait_until(lambda: len(job.node.logged("job-exit")) == 2, 30)
    assert job.events("stop")[0] == job.events("stop")[1]
    assert job.events("saved")[0][-1] == job.events("saved")[1][-1] == ("saved", job.events("stop")[0][0][1])


def test_a_job_that_ends_before_the_stop_step_is_finished(nodes: Nodes) -> None:
    job = Job(nodes, 2, "--total", 30)
    wait_until(lambda: (p := nodes.fleet.progress) and p.state == "finished", 20)
    assert job.events("end") == [[("end", 30)], [("end", 30)]]
