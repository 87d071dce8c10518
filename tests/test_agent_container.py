"""A job in namespaces of its own, as in a container into which the run directory is mounted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent_process_support import Nodes
from agent_support import wait_until

ROOT = Path(__file__).parents[1]
UNSHARE = shutil.which("unshare")


def can_unshare() -> bool:
    command = [UNSHARE or "", "--pid", "--fork", "--mount-proc", "true"]
    return UNSHARE is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_job_that_has_its_own_process_numbers_saves_and_is_ended(tmp_path: Path) -> None:
    if not can_unshare():
        pytest.skip("this machine or user makes no process namespaces")
    with Nodes(tmp_path) as nodes:
        nodes.fleet.write_spec()
        job = f"exec {UNSHARE} --pid --fork --mount-proc {sys.executable} {ROOT}/tests/agent_job.py"
        node = nodes.start("i-1", job, notice_seconds=30)
        wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 3)
        node.interrupt(30)
        report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
        assert (report.exit_code, report.exit_reason) == (75, "notice")
        assert report.confirmed_step


def test_what_is_handed_on_to_a_container_is_what_the_agent_tells(tmp_path: Path) -> None:
    shown = (ROOT / "docs/agent.md").read_text("utf-8")
    expression = re.search(r"\$\((env \| sed .*)\) IMAGE", shown)
    assert expression is not None
    told = {"SPOTKEEPER_RUN_DIR": "/run/a b", "SPOTKEEPER_JOB": "1"}
    env = {"PATH": os.environ["PATH"], **told, "OTHER": "SPOTKEEPER_X=1"}
    said = subprocess.run(["/bin/sh", "-c", expression[1]], env=env, capture_output=True, text=True, check=True).stdout
    assert sorted(said.splitlines()) == ["--env SPOTKEEPER_JOB", "--env SPOTKEEPER_RUN_DIR"]
