"""A job that makes no step any more: where it is gets known, and it is started again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_process_support import Nodes
from agent_support import wait_until
from spotkeeper_agent.hangs import REPORTED_CHARACTERS, HangWatch, summary
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_ledger.run_dir import LocalProgress

JOB = """
import os, sys, time
from pathlib import Path
from spotkeeper_training import CheckpointGuard, CheckpointStore

def wait_for_a_rank_that_never_comes():
    while True:
        time.sleep(60)

store = CheckpointStore()
store.begin()
guard = CheckpointGuard(store)
again = os.environ["SPOTKEEPER_ATTEMPT"] != "0"
if os.fork() == 0:  # a second rank
    import spotkeeper_training.stacks as stacks
    stacks._open.clear()
    CheckpointGuard(store)
    wait_for_a_rank_that_never_comes()
for step in range(1, 100_000):
    time.sleep(0.15)  # the agent is to see several of them, also where it is slow
    guard._account._reported.clear()  # tell of every step
    guard.report(step)
    if step == 25 and not again:
        wait_for_a_rank_that_never_comes()
    if step == 30:
        sys.exit(0)
"""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        started.fleet.write_spec()
        yield started


def test_a_job_that_hangs_is_asked_where_it_is_and_started_again(nodes: Nodes) -> None:
    (nodes.folder / "job.py").write_text(JOB)
    node = nodes.start("i-1", f"exec {sys.executable} {nodes.folder}/job.py", hang_seconds=1.0, max_restarts=1)
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason == "hang" and r, 30)
    assert report.restarts == 1
    assert report.stacks.count("wait_for_a_rank_that_never_comes") == 2, "both ranks"
    assert len(report.stacks) <= REPORTED_CHARACTERS
    hung = node.logged("job-hangs")
    assert [said["asked"] for said in hung] == [2]
    assert hung[0]["step"] == 25
    wait_until(lambda: (p := nodes.fleet.progress) and p.state == "finished", 30)
    assert nodes.fleet.progress is not None
    goodput = nodes.fleet.progress.goodput
    assert goodput is not None
    assert goodput.restart_seconds >= 1.0, "what the hang took among it"
    shipped = nodes.fleet.board.read("fleets/vision-test-resnet/nodes/AROAFLEET:i-1/log.txt")
    assert shipped is not None
    assert b"# stacks of " in shipped.body


def test_ranks_that_agree_on_a_step_do_not_hang(tmp_path: Path) -> None:
    class Told:
        killed = asked = 0

        def tell(self, number: int, *, forks: bool) -> int:
            assert forks, "also ranks that the first one has forked"
            self.asked += 1
            return 1

        def kill(self) -> None:
            self.killed += 1

    job, watch = Told(), HangWatch(tmp_path, least_seconds=5.0)
    watch.start()
    clock = 0.0

    def turns(number: int, step: Callable[[int], int], notice: Notice | None = None) -> None:
        nonlocal clock
        for turn in range(number):
            clock += 1.0
            said = LocalProgress(step=step(turn), at=float(step(turn)))
            watch.turn(job, said, notice, Moment(clock, clock))  # type: ignore[arg-type]

    turns(10, lambda turn: turn)
    for stage in ("arming", "commit"):
        (tmp_path / "agreement.json").write_text(json.dumps({"stage": stage}))
        turns(100, lambda _: 9)
    assert job.asked == 0
    (tmp_path / "agreement.json").write_text("rubbish")
    leaving = Notice("i-1:leaving", "drain", "signal", 0.0, Moment(0.0, 0.0))
    turns(100, lambda _: 9, leaving)
    assert job.asked == 0, "the deadline ends that"
    turns(6, lambda _: 9)
    assert (job.asked, job.killed) == (1, 0)
    turns(2, lambda _: 9)
    assert job.asked == 1
    assert job.killed


def test_a_hang_beyond_the_budget_fails_the_job(nodes: Nodes) -> None:
    (nodes.folder / "job.py").write_text(JOB)
    nodes.start("i-1", f"exec {sys.executable} {nodes.folder}/job.py", hang_seconds=0.5, max_restarts=0)
    wait_until(lambda: (p := nodes.fleet.progress) and p.state == "failed", 30)


def test_a_summary_shows_each_rank_and_its_main_thread_first() -> None:
    thread = 'Thread 0x1 (most recent call first):\n  File "a.py", line 1 in helper'
    current = 'Current thread 0x2 (most recent call first):\n  File "b.py", line 2 in train'
    shown = summary({"7": f"{thread}\n\n{current}\n", "8": current})
    assert shown.index("train") < shown.index("helper")
    assert shown.count("--- ") == 2
    many = summary({str(number): current * 500 for number in range(8)})
    assert len(many) <= REPORTED_CHARACTERS
    assert many.count("--- ") == 8
    assert summary({}) == ""
    assert len(summary({str(number): current for number in range(5000)})) <= REPORTED_CHARACTERS


def test_asking_for_stacks_does_no_harm_to_a_process_that_does_not_answer(tmp_path: Path) -> None:
    from spotkeeper_agent.job import Job
    from spotkeeper_ledger import run_dir

    codes: list[int] = []
    job = Job("exec sleep 600", {"PATH": os.environ["PATH"]}, tmp_path, codes.append)
    assert job.tell(run_dir.STACKS_SIGNAL, forks=True) == 0
    job.kill()
    wait_until(lambda: codes)
    assert codes == [-9]
