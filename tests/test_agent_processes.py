"""Finding, telling and ending all that a command has started, whatever group or session it is in."""

from __future__ import annotations

import os
import queue
import signal
import sys
from pathlib import Path

import pytest

from agent_process_support import alive
from agent_support import wait_until
from spotkeeper_agent import processes
from spotkeeper_agent.job import PID_FILE, Job, kill_leftover

RUNAWAY = """
import os, signal, sys, time
if os.fork():
    time.sleep(600)
os.setsid()
if sys.argv[2] == "catches":
    signal.signal(signal.SIGUSR1, lambda *_: open(sys.argv[1] + ".told", "w").close())
open(sys.argv[1] + ".new", "w").write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    time.sleep(600)
"""


def start(tmp_path: Path, kind: str = "ignores") -> tuple[Job, int, queue.SimpleQueue[int]]:
    """A command whose child has left its group and session; with the child's process id."""
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    (tmp_path / "runaway.py").write_text(RUNAWAY)
    command = f"true; {sys.executable} {tmp_path}/runaway.py {tmp_path}/pid {kind}; true"
    job = Job(command, {"PATH": os.environ["PATH"]}, tmp_path, codes.put)
    child = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    return job, child, codes


def test_a_child_in_a_session_of_its_own_ends_with_its_command(tmp_path: Path) -> None:
    job, child, codes = start(tmp_path)
    assert os.getpgid(child) != job.pid
    assert child in processes.marked(job.mark)
    job.kill()
    assert codes.get(timeout=10) == -signal.SIGKILL
    assert not alive(child), "before the end is told"


def test_a_signal_reaches_those_that_catch_it_and_no_other_dies_of_it(tmp_path: Path) -> None:
    job, child, codes = start(tmp_path, "catches")
    shell = job.pid
    assert job.tell(signal.SIGUSR1) == 1
    wait_until((tmp_path / "pid.told").exists)
    assert alive(shell)
    assert alive(child)
    assert job.tell(signal.SIGUSR2) == 0
    job.kill()
    codes.get(timeout=10)


FORKED = """
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: open(f"{sys.argv[1]}.{os.getpid()}", "w").close())
child = os.fork()
if child == 0:
    while True:
        time.sleep(600)
open(sys.argv[1] + ".new", "w").write(f"{os.getpid()} {child}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    time.sleep(600)
"""


def test_what_a_trainer_has_forked_is_not_told_unless_that_is_asked_for(tmp_path: Path) -> None:
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    (tmp_path / "forked.py").write_text(FORKED)
    command = f"exec {sys.executable} {tmp_path}/forked.py {tmp_path}/pids"
    job = Job(command, {"PATH": os.environ["PATH"]}, tmp_path, codes.put)
    said = wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
    trainer, child = said.split()
    assert job.tell(signal.SIGUSR1) == 1
    wait_until((tmp_path / f"pids.{trainer}").exists)
    assert not (tmp_path / f"pids.{child}").exists()
    assert job.tell(signal.SIGUSR1, forks=True) == 2
    wait_until((tmp_path / f"pids.{child}").exists)
    job.kill()
    codes.get(timeout=10)


def test_what_the_job_of_a_dead_agent_has_started_is_killed_even_if_the_job_itself_is_gone(tmp_path: Path) -> None:
    job, child, codes = start(tmp_path)
    remembered = (tmp_path / PID_FILE).read_text().split()
    gone = ["1", "0", *remembered[2:]]
    (tmp_path / PID_FILE).write_text(" ".join(gone))
    assert kill_leftover(tmp_path) is None
    wait_until(lambda: not alive(child))
    codes.get(timeout=10)
    assert not alive(job.pid)


def test_names_of_signals() -> None:
    assert processes.signal_number("USR1") == processes.signal_number("SIGUSR1") == signal.SIGUSR1
    for name in ("", "KILL", "STOP", "_DFL", "10", "usr1"):
        with pytest.raises(ValueError, match="expected a signal that a program can catch"):
            processes.signal_number(name)


def test_a_process_that_is_gone_catches_nothing() -> None:
    assert not processes.catches(2**22 + 1, signal.SIGUSR1)
    assert processes.marked("no such mark") == set()
