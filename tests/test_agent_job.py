from __future__ import annotations

import os
import queue
import signal
import subprocess
from pathlib import Path

import pytest

from agent_process_support import alive
from agent_support import wait_until
from spotkeeper_agent.job import PID_FILE, Job, kill_leftover
from spotkeeper_ledger import run_dir


def start(tmp_path: Path, command: str, **env: str) -> tuple[Job, queue.SimpleQueue[int]]:
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    return Job(command, {"PATH": os.environ["PATH"], "OUT": str(tmp_path / "out"), **env}, tmp_path, codes.put), codes


@pytest.mark.parametrize("code", [0, 3, 75, 76])
def test_exit_codes_come_through(tmp_path: Path, code: int) -> None:
    _, codes = start(tmp_path, f"exit {code}")
    assert codes.get(timeout=10) == code
    assert not (tmp_path / PID_FILE).exists()


def test_a_command_sees_its_environment_and_nothing_else(tmp_path: Path) -> None:
    _, codes = start(tmp_path, 'echo "$WHO,$HOME" >"$OUT"', WHO="me")
    assert codes.get(timeout=10) == 0
    assert (tmp_path / "out").read_text() == "me,\n"


def test_term_reaches_the_whole_group(tmp_path: Path) -> None:
    job, codes = start(tmp_path, 'sleep 600 & echo $! >"$OUT"; wait')
    child = int(wait_until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text()))
    job.terminate()
    assert codes.get(timeout=10) == -signal.SIGTERM
    wait_until(lambda: not alive(child))
    job.kill()  # nothing is there any more, and that is no error


def test_kill_takes_what_ignores_term(tmp_path: Path) -> None:
    job, codes = start(tmp_path, 'trap "" TERM; echo ready >"$OUT"; while :; do sleep 0.05; done')
    wait_until((tmp_path / "out").exists)
    job.terminate()
    assert alive(job.pid)
    job.kill()
    assert codes.get(timeout=10) == -signal.SIGKILL


def test_nothing_that_a_command_has_started_outlives_it(tmp_path: Path) -> None:
    _, codes = start(tmp_path, 'sleep 600 & echo $! >"$OUT"; exit 4')
    assert codes.get(timeout=10) == 4
    child = int((tmp_path / "out").read_text())
    wait_until(lambda: not alive(child))


def test_a_job_stays_in_its_agents_session(tmp_path: Path) -> None:
    job, _ = start(tmp_path, "exec sleep 600")
    assert os.getsid(job.pid) == os.getsid(0)
    assert os.getpgid(job.pid) == job.pid
    job.kill()


@pytest.fixture
def orphan():  # type: ignore[no-untyped-def]
    with subprocess.Popen(["sleep", "600"], process_group=0) as process:
        yield process
        process.kill()


def ticks(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_the_job_of_a_dead_agent_is_killed(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    (tmp_path / PID_FILE).write_text(f"{orphan.pid} {ticks(orphan.pid)} {run_dir.boot_id()}\n")
    assert kill_leftover(tmp_path) == orphan.pid
    assert orphan.wait(10) == -signal.SIGKILL
    assert kill_leftover(tmp_path) is None


@pytest.mark.parametrize("remembered", ["{pid} 1 {boot}", "{pid} {ticks} another-boot", "rubbish", "", "x y z"])
def test_a_process_that_only_has_its_number_is_left_alone(
    tmp_path: Path, orphan: subprocess.Popen[bytes], remembered: str
) -> None:
    text = remembered.format(pid=orphan.pid, ticks=ticks(orphan.pid), boot=run_dir.boot_id())
    (tmp_path / PID_FILE).write_text(text)
    assert kill_leftover(tmp_path) is None
    assert orphan.poll() is None
