"""The agent as one file for nodes that nobody declares, and the unit that runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spotkeeper.archives import agent_archive
from spotkeeper.node import bootstrap
from spotkeeper_agent.agent import SHUTDOWN_SECONDS
from spotkeeper_lab.cli import main


def settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)


@pytest.fixture
def unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "etc/spotkeeper-agent.service"
    out = tmp_path / "opt/agent.pyz"
    given = ["--out", str(out), "--unit", str(path), "--python", sys.executable, "--notice-seconds", "200"]
    assert main(["agent-zipapp", *given]) == 0
    assert agent_archive().sha256 in capsys.readouterr().out
    assert out.read_bytes() == agent_archive().body
    return path


def test_the_file_runs_by_itself(unit: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(tmp_path / "opt/agent.pyz"), "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Hears on a node that it will go" in said


def test_the_unit_restarts_always_and_leaves_more_time_than_a_notice(unit: Path, tmp_path: Path) -> None:
    found = settings(unit.read_text())
    assert found["Restart"] == "always"
    assert found["StartLimitIntervalSec"] == "0"
    assert found["ExecStart"] == (f"{sys.executable} {tmp_path}/opt/agent.pyz run --config /etc/spotkeeper/agent.json")
    assert float(found["TimeoutStopSec"]) == 230.0
    assert bootstrap.STOP_MARGIN_SECONDS >= SHUTDOWN_SECONDS
    assert found["KillMode"] == "mixed", "the job gets its SIGTERM from the agent, in order"
    assert found["OOMPolicy"] == "continue", "a training process that runs out of memory is a crash, not the unit's end"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["agent-zipapp", "--out", str(tmp_path / "file" / "agent.pyz")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_systemd_takes_the_unit(unit: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("there is no systemd-analyze on this machine")
    ended = subprocess.run([verifier, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    complaints = [line for line in ended.stderr.splitlines() if re.search(r"spotkeeper", line)]
    if ended.returncode != 0 and not complaints:
        pytest.skip(f"systemd-analyze does not work here: {ended.stderr[:200]}")
    assert complaints == []
    assert ended.returncode == 0, ended.stderr
