"""Runs all benchmarks, one after the other, each in a process of its own: ``python bench [--full]``.

Figures are written as JSON to ``out/bench/``. Without ``--full`` it takes about seven minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from spotkeeper_lab.simulator import traces_folder

HERE = Path(__file__).parent
USUAL: dict[str, list[str]] = {
    "agent": ["--minutes", "1", "--changes", "20"],
    "cold_start": [],
    "declare": [],
    "guard": [],
    "load": [],
    "notice": [],
    "storm": [],
    "storm_gcp": ["--preemptions", "1", "1000"],
    "upload": [],
}
"""What each benchmark is given."""
FULL: dict[str, list[str]] = {
    **USUAL,
    "agent": [],
    "storm": ["--full"],
    "storm_gcp": [],
    "interleavings": [],
    "kill_points": [],
}
"""The same where all is asked for."""


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--full", action="store_true", help="the largest storms and the interleavings too")
    options.add_argument("--out", type=Path, default=Path("out/bench"), help="default %(default)s")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    wanted = dict(FULL if asked.full else USUAL)
    if traces_folder() is not None:  # it compares with what was published of the public traces
        wanted["reproduce"] = []
    for name, arguments in wanted.items():
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(asked.out / f"{name}.json"), *arguments]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
