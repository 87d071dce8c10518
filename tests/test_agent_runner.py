from __future__ import annotations

import queue
from pathlib import Path

import pytest

from agent_process_support import alive
from agent_support import INCARNATION, Fleet, wait_until, write_config
from spotkeeper_agent.config import load_config
from spotkeeper_agent.exits import Exit
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.runner import GRACE_SECONDS, JobExited, Runner
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalProgress, boot_time


@pytest.fixture
def exits() -> queue.SimpleQueue[JobExited]:
    return queue.SimpleQueue()


def runner(tmp_path: Path, exits: queue.SimpleQueue[JobExited], command: str, **changes: object) -> Runner:
    (tmp_path / "run").mkdir(exist_ok=True)
    config = load_config(write_config(tmp_path, Fleet(tmp_path), command=command, **changes))
    return Runner(config, "i-1", exits.put)


def leaving(seconds: float) -> Notice:
    now = Moment.now()
    deadline = Moment(now.wall + seconds, now.boot + seconds)
    return Notice("i-1:leaving", "interruption", "imds", now.wall, now, deadline, now)


def in_(seconds: float) -> Moment:
    now = Moment.now()
    return Moment(now.wall + seconds, now.boot + seconds)


def test_a_command_is_told_all_it_needs(tmp_path: Path, exits: queue.SimpleQueue[JobExited]) -> None:
    one = runner(tmp_path, exits, f"env >{tmp_path}/env; exit 1", save_gap_seconds=7)
    one.start(4)
    assert exits.get(timeout=10) == JobExited(4, 1)
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    told = {name: value for name, value in env.items() if name.startswith("SPOTKEEPER_")}
    assert len(told.pop("SPOTKEEPER_JOB")) == 32
    assert told == {
        "SPOTKEEPER_RUN_DIR": str(tmp_path / "run"),
        "SPOTKEEPER_FLEET": "vision-test-resnet",
        "SPOTKEEPER_NODE": "i-1",
        "SPOTKEEPER_GENERATION": "4",
        "SPOTKEEPER_CHECKPOINT_URI": f"file://{tmp_path}/checkpoints",
        "SPOTKEEPER_RUN_ID": INCARNATION,
        "SPOTKEEPER_ATTEMPT": "0",
        "SPOTKEEPER_SAVE_GAP_SECONDS": "7",
    }
    assert env["AWS_REGION"] == "eu-west-1"
    assert one.judge_exit(1, leaving=False) is Exit.CRASH
    one.start_again(in_(5))
    exits.get(timeout=10)
    assert "SPOTKEEPER_ATTEMPT=1" in (tmp_path / "env").read_text()


def test_words_of_a_command_before_are_gone(tmp_path: Path, exits: queue.SimpleQueue[JobExited]) -> None:
    one = runner(tmp_path, exits, "exec sleep 600")
    run_dir.write(tmp_path / "run", Confirmation(1, 1.0, "i-1:leaving"))
    run_dir.write(tmp_path / "run", LocalProgress(1, 1.0))
    one.start(1)
    assert run_dir.read(tmp_path / "run", Confirmation) is None
    assert run_dir.read(tmp_path / "run", LocalProgress) is None
    one.drop()
    exits.get(timeout=10)


def test_a_crash_is_started_again_after_its_pause_unless_that_is_cancelled(
    tmp_path: Path, exits: queue.SimpleQueue[JobExited]
) -> None:
    one = runner(tmp_path, exits, "exit 9")
    one.start(1)
    exits.get(timeout=10)
    assert one.judge_exit(9, leaving=False) is Exit.CRASH
    one.start_again(Moment(0.0, boot_time() - 1))
    assert not one.running
    one.start_again(in_(1))
    assert one.running
    exits.get(timeout=10)
    assert one.judge_exit(9, leaving=False) is Exit.CRASH
    assert one.crashes == 2
    one.cancel()
    one.start_again(in_(100))
    assert not one.running


def test_a_fenced_command_waits_for_a_new_generation(tmp_path: Path, exits: queue.SimpleQueue[JobExited]) -> None:
    one = runner(tmp_path, exits, "exit 76")
    one.start(1)
    exits.get(timeout=10)
    assert one.judge_exit(76, leaving=False) is Exit.FENCED
    one.start_again(in_(100))
    assert not one.running


def test_a_command_is_told_to_stop_when_its_time_is_up_and_not_before(
    tmp_path: Path, exits: queue.SimpleQueue[JobExited]
) -> None:
    one = runner(tmp_path, exits, "exec sleep 600")
    one.start(1)
    notice = leaving(100)
    assert not one.stop_in_time(notice, confirmed=False, now=in_(89))
    assert one.running
    assert one.stop_in_time(notice, confirmed=False, now=in_(91))
    assert exits.get(timeout=10) == JobExited(1, -15)
    assert one.judge_exit(-15, leaving=True) is Exit.NOTICE


def test_a_stubborn_one_is_killed_within_what_is_left(tmp_path: Path, exits: queue.SimpleQueue[JobExited]) -> None:
    one = runner(tmp_path, exits, f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done")
    one.start(1)
    wait_until((tmp_path / "ready").exists)
    notice = leaving(100)
    one.stop_in_time(notice, confirmed=False, now=in_(91))
    pid = one.pid
    assert pid is not None
    assert alive(pid)
    one.stop_in_time(notice, confirmed=False, now=in_(96))
    assert exits.get(timeout=10) == JobExited(1, -9)


def test_one_that_has_saved_and_does_not_exit_is_told_to_after_a_grace(
    tmp_path: Path, exits: queue.SimpleQueue[JobExited]
) -> None:
    one = runner(tmp_path, exits, "exec sleep 600")
    one.start(1)
    notice = leaving(100)
    assert not one.stop_in_time(notice, confirmed=True, now=in_(1))
    assert not one.stop_in_time(notice, confirmed=True, now=in_(1 + GRACE_SECONDS / 2))
    assert one.stop_in_time(notice, confirmed=True, now=in_(1.1 + GRACE_SECONDS))
    assert exits.get(timeout=10) == JobExited(1, -15)


def test_a_job_that_is_another_nodes_is_killed_at_once(tmp_path: Path, exits: queue.SimpleQueue[JobExited]) -> None:
    one = runner(tmp_path, exits, "trap '' TERM; while :; do sleep 0.05; done")
    one.start(1)
    one.drop()
    assert exits.get(timeout=10) == JobExited(1, -9)
    assert one.judge_exit(-9, leaving=False) is Exit.LOST
    assert one.crashes == 0
