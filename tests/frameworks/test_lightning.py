"""Lightning is interrupted, killed and resumed in mid-epoch, and ends with the weights of a run that was left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import two_nodes
from support import Runs

import lineage

SIZE, STEPS = 90, 32


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), "lightning_job.py")
    runs.start()
    runs.finish()
    assert runs.result()["step"] == STEPS
    return str(runs.result()["digest"])


def test_interrupted_and_killed(undisturbed: str, tmp_path: Path, started: Callable[..., Runs]) -> None:
    """Every save is right before a validation, which Lightning leaves out when it goes on from there."""
    runs = started(tmp_path, "lightning_job.py", ["--pace", "0.05", "--validate-every", "1"])
    resumed_at = [0]
    runs.start()
    resumed_at.append(runs.interrupt_after(2))
    runs.start("--save-every", "0.3")
    runs.kill_after(resumed_at[-1] + 10)
    resumed_at.append(runs.saved_step())
    runs.start("--pace", "0")
    runs.finish()

    assert runs.result()["digest"] == undisturbed
    entries = [lineage.Entry(**line) for attempt in range(3) for line in runs.diary(attempt)]  # type: ignore[arg-type]
    assert lineage.check(entries, resumed_at, SIZE).problems == []
    assert [min(entry.step for entry in entries if entry.attempt == number) for number in range(3)] == resumed_at


def test_the_node_of_one_of_two_ranks_is_taken_back(tmp_path: Path, started: Callable[..., Runs]) -> None:
    """Lightning's DDP, an agent and a torchrun on each node."""
    calm = started(tmp_path / "calm", "lightning_job.py", ranks=2, torchrun=True)
    calm.start()
    calm.finish()
    (tmp_path / "team").mkdir()
    assert two_nodes.interrupted(tmp_path / "team", "lightning_job.py", SIZE, leaver=1) == calm.result()["digest"]
