"""What docs/training.md shows works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_laptop_session(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(blocks("python")[0])
    session = blocks("sh")[-1]
    assert "/tmp/spotkeeper" in session
    script = f'python() {{ "{sys.executable}" "$@"; }}\n' + session.replace("/tmp/spotkeeper", str(tmp_path / "here"))
    # The pause is as long as a laptop needs to come to training; here it is known when that is.
    waiting = (
        f"while ! grep -q published_step {tmp_path}/here/run/progress.json 2>/dev/null; do sleep 0.2; done; sleep 1"
    )
    assert "sleep 8\n" in script
    done = subprocess.run(
        ["bash", "-c", script.replace("sleep 8\n", f"{waiting}\n")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    said = done.stdout.splitlines()
    assert said[0] == "from step 0", done.stderr
    assert said[1] == "exit code 75"
    assert 0 < int(said[2].removeprefix("from step ")) < 200
    assert said[3] == "done after step 200"


@pytest.mark.parametrize("number", range(1, 4))
def test_fragments_compile_and_import_what_there_is(number: int) -> None:
    fragment = blocks("python")[number]
    compile(fragment, "docs/training.md", "exec")
    exec(fragment.splitlines()[0], {})
