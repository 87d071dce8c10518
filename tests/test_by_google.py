"""Google's own clients against what stands in for its services, in processes of their own.

They bring a second definition of a message that Pulumi's runtime defines as well, which one process cannot hold.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "by_google"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*_client.py")))
def test_googles_client_agrees(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1], check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
