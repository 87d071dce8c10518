from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_support import wait_until
from spotkeeper_lab.trainers import digits
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress
from spotkeeper_training import CheckpointStore

EPOCHS, BATCH = 6, 64
STEPS_PER_EPOCH = 23
TOTAL = EPOCHS * STEPS_PER_EPOCH


class Run:
    """Starts trainers as an agent would, all on the same checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_dir = folder, folder / "run"
        self.run_dir.mkdir(parents=True)
        self.checkpoints = (folder / "checkpoints").as_uri()

    def start(self, generation: int, pace: float = 0.0, save_every: float = 600.0) -> subprocess.Popen[str]:
        for kind in (LocalNotice, Confirmation, LocalProgress):
            run_dir.remove(self.run_dir, kind)
        env = {
            **os.environ,
            run_dir.RUN_DIR: str(self.run_dir),
            run_dir.CHECKPOINT_URI: self.checkpoints,
            run_dir.GENERATION: str(generation),
        }
        options = ["--epochs", str(EPOCHS), "--pace", str(pace), "--save-every", str(save_every)]
        command = [sys.executable, "-m", "spotkeeper_lab.trainers.digits", *options]
        command += ["--result", str(self.folder / "result.json")]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def step(self) -> int:
        progress = run_dir.read(self.run_dir, LocalProgress)
        return progress.step if progress else 0

    def diary(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run_dir / "trainer.jsonl").read_text().splitlines()]

    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return result


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = Run(tmp_path_factory.mktemp("uninterrupted"))
    out, err = run.start(1).communicate(timeout=60)
    assert json.loads(out) == run.result(), err
    return run.result()


def test_it_learns(uninterrupted: dict[str, Any]) -> None:
    assert uninterrupted["steps"] == TOTAL
    assert uninterrupted["accuracy"] > 0.93
    assert len(uninterrupted["digest"]) == 64


def test_interrupted_in_mid_epoch_it_ends_with_the_very_same_weights(
    tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    run = Run(tmp_path)
    first = run.start(1, pace=0.05)
    wait_until(lambda: run.step() > STEPS_PER_EPOCH)  # and so it has a second to hear of it within the epoch
    run_dir.write(run.run_dir, LocalNotice("i-1:leaving", "interruption", leaving=True, at=time.time()))
    assert first.wait(30) == 75
    start, stop = run.diary()
    assert (start["event"], start["generation"], start["resume_step"]) == ("start", 1, 0)
    assert (stop["event"], stop["reason"]) == ("stop", "notice")
    assert stop["step"] % STEPS_PER_EPOCH, "in the middle of an epoch"
    confirmation = run_dir.read(run.run_dir, Confirmation)
    assert confirmation is not None
    assert (confirmation.step, confirmation.notice_id) == (stop["step"], "i-1:leaving")

    second = run.start(2, pace=0.01, save_every=0.05)  # killed without a word this time
    wait_until(lambda: run.step() > stop["step"] + STEPS_PER_EPOCH)
    second.send_signal(signal.SIGKILL)
    second.wait(30)
    third = run.start(3)
    assert third.wait(30) == 0
    starts = [said for said in run.diary() if said["event"] == "start"]
    assert [said["generation"] for said in starts] == [1, 2, 3]
    assert starts[1]["resume_step"] == stop["step"]
    assert starts[2]["resume_step"] > stop["step"]
    assert run.result() == uninterrupted
    assert run.diary()[-1]["digest"] == uninterrupted["digest"]


def test_what_has_finished_only_says_so_again(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    run = Run(tmp_path)
    for generation in (1, 2):
        assert run.start(generation).wait(30) == 0
    assert run.result() == uninterrupted
    manifests = list((tmp_path / "checkpoints" / "manifests").iterdir())
    assert len(manifests) == 1, "the second one had nothing to save"


def test_a_replaced_trainer_ends_with_76(tmp_path: Path) -> None:
    run = Run(tmp_path)
    old = run.start(1, pace=0.02, save_every=0.2)
    wait_until(lambda: run.step() > 2)
    CheckpointStore(run.checkpoints, generation=2).begin()
    assert old.wait(30) == 76
    start, fenced = run.diary()
    assert (start["event"], fenced["event"], fenced["found"]) == ("start", "fenced", 2)
    assert fenced["step"] > 2
    assert "generation 2 runs the job by now" in (old.stderr.read() if old.stderr else "")


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    data = digits.load_digits()
    assert digits.steps_per_epoch(data, BATCH) == STEPS_PER_EPOCH
    size = len(data.images)
    assert (size, len(data.test_images)) == (1437, 360)
    first, second = (digits.order_of(0, epoch, size) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(size))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, digits.order_of(0, 0, size))
    assert not np.array_equal(first, digits.order_of(1, 0, size))


def test_a_checkpoint_holds_all_that_the_next_step_depends_on() -> None:
    data, state = digits.load_digits(), digits.new_state(0)
    for _ in range(5):
        digits.train_step(state, data, 0, BATCH)
    restored = digits.unpack(digits.pack(state))
    for _ in range(STEPS_PER_EPOCH):
        digits.train_step(state, data, 0, BATCH)
        digits.train_step(restored, data, 0, BATCH)
    assert (restored.step, digits.digest(restored.weights)) == (state.step, digits.digest(state.weights))
    assert digits.digest(state.weights) != digits.digest(digits.new_state(0).weights)


def test_gradients_are_those_of_the_loss() -> None:
    data, state = digits.load_digits(), digits.new_state(3)
    images, truth = data.images[:8], data.digits[:8]

    def loss(weights: digits.Arrays) -> float:
        _, scores = digits._forward(weights, images)
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return float(-np.log(chances[np.arange(8), truth]).mean())

    gradients = digits.gradients(state.weights, images, truth)
    for name, place in [("w1", (20, 5)), ("b1", (5,)), ("w2", (5, 3)), ("b2", (3,))]:
        moved = {key: value.copy() for key, value in state.weights.items()}
        moved[name][place] += 1e-6
        slope = (loss(moved) - loss(state.weights)) / 1e-6
        assert gradients[name][place] == pytest.approx(slope, abs=1e-4)


def test_it_does_not_import_the_library_whose_data_it_reads() -> None:
    program = (
        "import sys; from spotkeeper_lab.trainers import digits; digits.load_digits(); print('sklearn' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "False\n"
