"""What docs/training.md shows works as it stands there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_support import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def said(log: Path, what: str) -> bool:
    return what in log.read_text()


def test_the_laptop_session(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(blocks("python")[0])
    first, second = (block.replace("/tmp/spotkeeper", str(tmp_path / "here")) for block in blocks("sh")[-2:])
    assert "run --config" in first
    assert "notice --kind" in second
    commands, log = tmp_path / "bin", tmp_path / "log"
    commands.mkdir()
    for name, arguments in (("python", ""), ("spotkeeper-agent", "-m spotkeeper_agent")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (commands / name).chmod(0o755)
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    progress = tmp_path / "here" / "run" / "progress.json"
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["bash", "-ec", first], cwd=tmp_path, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: progress.exists() and "published_step" in progress.read_text(), 300)
        subprocess.run(["bash", "-ec", second], cwd=tmp_path, env=env, timeout=60, check=True)
        wait_until(lambda: said(log, "done after step 200"), 300)
        os.killpg(running.pid, signal.SIGINT)  # Ctrl-C
        assert running.wait(60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    lines = log.read_text().splitlines()
    begun = [int(line.removeprefix("from step ")) for line in lines if line.startswith("from step ")]
    assert begun[0] == 0
    assert len(begun) == 2
    assert 0 < begun[1] < 200
    assert any('"code": 75' in line for line in lines)


@pytest.mark.parametrize("number", range(1, 4))
def test_fragments_compile_and_import_what_there_is(number: int) -> None:
    fragment = blocks("python")[number]
    compile(fragment, "docs/training.md", "exec")
    exec(fragment.splitlines()[0], {})
