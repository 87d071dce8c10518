import os
import subprocess
import sys
from pathlib import Path

import pytest

from spotkeeper_lab.local import systemctl
from spotkeeper_lab.local.systemctl import Unit, again, parse

SERVICE = """
[Unit]
Description=x
[Service]
Environment=A=1 "B=two words"
Environment=C=3
ExecStart=/bin/sh -c 'echo "$A $B $C"' \\
  more
WorkingDirectory=/tmp
Restart=on-failure
RestartSec=2s
"""


def test_what_counts_of_a_unit_is_read() -> None:
    assert parse(SERVICE) == Unit(
        command=["/bin/sh", "-c", 'echo "$A $B $C"', "more"],
        environment={"A": "1", "B": "two words", "C": "3"},
        directory="/tmp",
        restart="on-failure",
        restart_seconds=2.0,
    )


def test_a_unit_without_a_command_is_refused() -> None:
    with pytest.raises(ValueError, match="no ExecStart="):
        parse("[Service]\nRestart=always\n")


@pytest.mark.parametrize(
    ("restart", "code", "expected"),
    [("no", 1, False), ("on-failure", 1, True), ("on-failure", 0, False), ("always", 0, True)],
)
def test_a_service_is_started_again_as_its_unit_says(restart: str, code: int, expected: bool) -> None:
    assert again(Unit(restart=restart), code) is expected


def call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", systemctl.__file__, *arguments]
    environment = {**os.environ, "SPOTKEEPER_ROOT": str(root), "INHERITED": "yes"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_service_runs_in_the_environment_of_the_call_until_it_succeeds(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    told, counted, script = tmp_path / "told", tmp_path / "counted", tmp_path / "script"
    os.mkfifo(told)
    script.write_text(f'echo "$INHERITED $A" >> {counted}\n[ $(wc -l < {counted}) = 2 ] && cat {counted} > {told}\n')
    unit = f"[Service]\nEnvironment=A=1\nExecStart=/bin/sh {script}\nRestart=on-failure\nRestartSec=0\n"
    (units / "one.service").write_text(unit)
    assert call(tmp_path, "daemon-reload").returncode == 0
    assert call(tmp_path, "enable", "one").returncode == 0
    assert not counted.exists()
    assert call(tmp_path, "enable", "--now", "one.service").returncode == 0
    assert told.read_text().splitlines() == ["yes 1", "yes 1"]
    assert (tmp_path / "var/log/one.service.log").exists()


@pytest.mark.parametrize("arguments", [[], ["stop", "one"], ["enable", "--force", "one"], ["daemon-reload", "x"]])
def test_what_a_node_cannot_do_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    answer = call(tmp_path, *arguments)
    assert answer.returncode == 1
    assert "expected daemon-reload, enable [--now] or start" in answer.stderr


def test_a_service_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert call(tmp_path, "start", "none").returncode != 0
