import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotkeeper_lab.local import processes

# A process that starts one in a session of its own, which starts one with an empty environment; each tells its id.
FAMILY = """
import os, subprocess, sys, time
print(os.getpid(), flush=True)
if len(sys.argv) > 2:
    environment = {} if len(sys.argv) == 3 else None
    subprocess.Popen([sys.executable, *sys.argv[1:2], *sys.argv[1:-1]], env=environment, start_new_session=True)
time.sleep(600)
"""


@pytest.fixture
def entry(tmp_path: Path) -> str:
    return f"SPOTKEEPER_TEST={tmp_path}"


@pytest.fixture
def family(entry: str, tmp_path: Path) -> Iterator[list[int]]:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    name, _, value = entry.partition("=")
    command = [sys.executable, str(script), str(script), "x", "y"]
    first = subprocess.Popen(command, env={**os.environ, name: value}, stdout=subprocess.PIPE)
    assert first.stdout is not None
    pids = [int(first.stdout.readline()) for _ in range(3)]
    yield pids
    processes.end(entry, waited_for=[first.pid])
    processes.send(pids, signal.SIGKILL)
    first.communicate()


def test_a_family_is_found_whatever_its_members_did_to_hide(entry: str, family: list[int]) -> None:
    assert processes.find(entry) == sorted(family)
    assert processes.find(entry + "x") == []


def test_all_of_it_is_ended(entry: str, family: list[int]) -> None:
    processes.end(entry, waited_for=family[:1])
    assert processes.find(entry) == []
    assert not [pid for pid in family[1:] if Path(f"/proc/{pid}/cmdline").exists() and alive(pid)]


def test_orphans_leave_no_zombies(entry: str, family: list[int]) -> None:
    processes.adopt_orphans(True)
    try:
        os.kill(family[0], signal.SIGKILL)
        processes.end(entry, known=family, waited_for=family[:1])
        assert not Path(f"/proc/{family[1]}").exists()
    finally:
        processes.adopt_orphans(False)


def test_nothing_outlives_a_process_that_is_killed(entry: str, family: list[int]) -> None:
    start = f"import time; from spotkeeper_lab.local.processes import *; start_guard({entry!r}); print(flush=True)"
    start += "; time.sleep(600)"
    guarded = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE)
    assert guarded.stdout is not None
    guarded.stdout.readline()
    last = os.pidfd_open(family[2])
    guarded.kill()
    guarded.communicate()
    assert select.select([last], [], [], 20)[0], "still alive after 20 s"
    os.close(last)


def test_the_guard_refuses_what_would_end_anything() -> None:
    assert processes.main(["SPOTKEEPER_TEST"]) == 2
    assert processes.main([]) == 2


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
