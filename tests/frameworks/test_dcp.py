"""Sharded training is resumed on as many ranks, bit for bit, and on fewer and more of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Runs

import lineage

SIZE = 90


def check(runs: Runs, resumed_at: list[int]) -> None:
    entries = [lineage.Entry(**line) for attempt in range(len(resumed_at)) for line in runs.diary(attempt)]  # type: ignore[arg-type]
    found = lineage.check(entries, resumed_at, SIZE)
    assert found.problems == []
    assert found.lost == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), "dcp_job.py", ranks=2)
    runs.start()
    runs.finish()
    check(runs, [0])
    return runs.result()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks have left that stopped after step 5."""
    runs = Runs(tmp_path_factory.mktemp("stopped"), "dcp_job.py", ranks=2)
    runs.start("--stop-at", "5")
    runs.finish(75)
    assert runs.saved_step() == 5
    return runs.folder


def go_on(stopped: Path, folder: Path, started: Callable[..., Runs]) -> Runs:
    shutil.copytree(stopped, folder, dirs_exist_ok=True)
    return started(folder, "dcp_job.py", ranks=2, attempt=0)


def test_two_ranks_go_on_where_two_ranks_stopped(
    undisturbed: dict[str, object], stopped: Path, tmp_path: Path, started: Callable[..., Runs]
) -> None:
    runs = go_on(stopped, tmp_path, started)
    runs.start()
    runs.finish()
    assert runs.result()["digest"] == undisturbed["digest"]
    check(runs, [0, 5])


def test_one_rank_and_then_two_go_on_with_the_same_global_batches(
    undisturbed: dict[str, object], stopped: Path, tmp_path: Path, started: Callable[..., Runs]
) -> None:
    """Weights are not the same bits: dropout is drawn elsewhere, sums are made in another order."""
    runs = go_on(stopped, tmp_path, started)
    runs.start("--stop-at", "11", ranks=1)
    runs.finish(75)
    runs.start()
    runs.finish()
    check(runs, [0, 5, 11])
    assert runs.result()["digest"] != undisturbed["digest"]
