"""A plain PyTorch loop is interrupted, killed and resumed, and ends with the weights of a run that was left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import two_nodes
from support import Runs

import lineage

SIZE, TOTAL = 150, 40


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), "torch_job.py")
    runs.start()
    runs.finish()
    return str(runs.result()["digest"])


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_twice_and_killed_once(
    undisturbed: str, tmp_path: Path, workers: int, started: Callable[..., Runs]
) -> None:
    runs = started(tmp_path, "torch_job.py", ["--pace", "0.03", "--workers", str(workers)])
    resumed_at = [0]
    runs.start()
    resumed_at.append(runs.interrupt_after(3))
    runs.start("--save-every", "0.3")
    runs.kill_after(resumed_at[-1] + 12)
    resumed_at.append(runs.saved_step())
    runs.start()
    resumed_at.append(runs.interrupt_after(resumed_at[-1] + 4))
    runs.start("--pace", "0")
    runs.finish()

    assert runs.result()["digest"] == undisturbed
    entries = [lineage.Entry(**line) for attempt in range(4) for line in runs.diary(attempt)]  # type: ignore[arg-type]
    found = lineage.check(entries, resumed_at, SIZE)
    assert found.problems == []
    assert [min(entry.step for entry in entries if entry.attempt == number) for number in range(4)] == resumed_at
    lost = {entry.step for entry in entries if entry.attempt == 1 and entry.step >= resumed_at[2]}
    assert found.lost == [(1, step) for step in sorted(lost)]


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two ranks that are left alone."""
    runs = Runs(tmp_path_factory.mktemp("through"), "torch_job.py", ranks=2)
    runs.start()
    runs.finish()
    return runs


def test_two_ranks_go_on_where_two_ranks_stopped(through: Runs, tmp_path: Path, started: Callable[..., Runs]) -> None:
    """DistributedDataParallel: each rank goes on with random states of its own, and with what rank 0 has saved."""
    stopped = started(tmp_path / "stopped", "torch_job.py", ranks=2)
    stopped.start("--stop-at", "9")
    stopped.finish(75)
    assert stopped.saved_step() == 9
    stopped.start()
    stopped.finish()
    assert stopped.result()["digest"] == through.result()["digest"]
    for runs, resumed_at in ((through, [0]), (stopped, [0, 9])):
        attempts = range(len(resumed_at))
        entries = [lineage.Entry(**line) for attempt in attempts for line in runs.diary(attempt)]  # type: ignore[arg-type]
        found = lineage.check(entries, resumed_at, SIZE)
        assert (found.problems, found.lost) == ([], [])


def test_the_node_of_one_of_two_ranks_is_taken_back(through: Runs, tmp_path: Path) -> None:
    """DistributedDataParallel, an agent and a torchrun on each node; the rank that saves for all has to go."""
    assert two_nodes.interrupted(tmp_path, "torch_job.py", SIZE, leaver=0) == through.result()["digest"]
