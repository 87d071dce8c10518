"""The Trainer of transformers is interrupted, killed and resumed, and ends with the weights of a run left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import two_nodes
from support import Runs

import lineage
from spotkeeper_training.adapters.hugging_face import check_same

SIZE, STEPS = 60, 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), "hugging_face_job.py")
    runs.start()
    runs.finish()
    assert runs.result()["step"] == STEPS
    assert runs.saved_step() == STEPS
    return str(runs.result()["digest"])


def check(runs: Runs, resumed_at: list[int]) -> None:
    attempts = range(len(resumed_at))
    entries = [lineage.Entry(**line) for attempt in attempts for line in runs.diary(attempt)]  # type: ignore[arg-type]
    assert lineage.check(entries, resumed_at, SIZE).problems == []
    assert [min(entry.step for entry in entries if entry.attempt == number) for number in attempts] == resumed_at


def lose_disk(runs: Runs) -> None:
    """The next attempt is on another node."""
    (runs.folder / "output").rename(runs.folder / f"output-of-attempt-{runs.attempt}")


def test_interrupted_and_killed_each_time_on_another_node(
    undisturbed: str, tmp_path: Path, started: Callable[..., Runs]
) -> None:
    runs = started(tmp_path, "hugging_face_job.py", ["--pace", "0.05"])
    resumed_at = [0]
    runs.start()
    resumed_at.append(runs.interrupt_after(2))
    lose_disk(runs)
    runs.start("--save-every", "0.3")
    runs.kill_after(resumed_at[-1] + 10)
    resumed_at.append(runs.saved_step())
    lose_disk(runs)
    runs.start("--pace", "0")
    runs.finish()
    assert runs.result()["digest"] == undisturbed
    check(runs, resumed_at)


def test_an_output_dir_is_adopted_on_the_first_run(
    undisturbed: str, tmp_path: Path, started: Callable[..., Runs]
) -> None:
    runs = started(tmp_path, "hugging_face_job.py")
    runs.start("--steps", "13")
    runs.finish()
    assert runs.saved_step() == 0, "Spotkeeper was not there yet"
    half = tmp_path / "output" / "checkpoint-20"
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_step": 20}')
    runs.start()
    runs.finish()
    assert runs.result()["digest"] == undisturbed
    check(runs, [0, 13])


def test_ranks_that_would_begin_with_different_checkpoints_are_refused() -> None:
    check_same(["checkpoint-13", "checkpoint-13"])
    check_same([None, None])
    with pytest.raises(ValueError, match="was checkpoint-13 on rank 0, none on rank 1, expected the same on all"):
        check_same(["checkpoint-13", None])


def test_the_node_of_one_of_two_ranks_is_taken_back(tmp_path: Path, started: Callable[..., Runs]) -> None:
    """The Trainer's DDP, an agent and a torchrun on each node, none of which sees the other's files."""
    calm = started(tmp_path / "calm", "hugging_face_job.py", ranks=2, torchrun=True)
    calm.start()
    calm.finish()
    (tmp_path / "team").mkdir()
    assert two_nodes.interrupted(tmp_path / "team", "hugging_face_job.py", SIZE, leaver=1) == calm.result()["digest"]
