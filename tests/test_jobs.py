from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from spotkeeper_lab import jobs
from spotkeeper_lab.scenario import Trainer


def test_a_job_that_trains_nothing_ends_when_it_may(tmp_path):
    held = jobs.job("none", Trainer(), 0.05, tmp_path)
    assert not held.trains
    running = subprocess.Popen(["/bin/sh", "-c", held.command])
    assert running.poll() is None
    held.finish_file.touch()
    assert running.wait(10) == 0


def test_the_digits_job_is_the_uninterrupted_one_at_a_pace(tmp_path):
    settings = Trainer(epochs=3, batch=100, seed=7)
    training = jobs.job("digits", settings, 0.05, tmp_path)
    assert training.trains
    for part in ("--epochs 3 --batch 100 --seed 7", "--pace 0.05", f"--full-speed-when {tmp_path}/finish"):
        assert part in training.command
    process = jobs.start_uninterrupted(settings, tmp_path)
    assert process.wait(60) == 0
    assert jobs.result(tmp_path / "uninterrupted.json")["steps"] == 45

    training.finish_file.touch()  # so that the pace is dropped
    command = training.command + f" --checkpoint {(tmp_path / 'checkpoint').as_uri()}"
    subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, timeout=60)
    assert jobs.result(training.result_file) == jobs.result(tmp_path / "uninterrupted.json")


def test_the_job_of_several_nodes_is_compared_with_one_rank_of_it(tmp_path):
    settings = Trainer(epochs=2, batch=100)
    assert "trainers.digits_ranks --epochs 2" in jobs.job("digits", settings, 0.05, tmp_path, elastic=True).command
    assert jobs.start_uninterrupted(settings, tmp_path, elastic=True).wait(60) == 0
    alone = jobs.result(tmp_path / "uninterrupted.json")
    assert alone["samples"]
    where = (tmp_path / "uninterrupted" / "checkpoint").as_uri()
    found = jobs.go_on(settings, where, 1, tmp_path, {}, elastic=True)
    assert (found.resume_step, found.digest) == (30, alone["digest"])


@pytest.mark.parametrize(("save_every", "steps"), [(2, 41), (0, 1), (0.12, 4)])
def test_the_most_steps_between_two_checkpoints(save_every, steps):
    assert jobs.steps_unsaved(Trainer(save_every=save_every), 0.05) == steps


def test_no_result_is_empty(tmp_path):
    assert jobs.result(None) == {}
    assert jobs.result(tmp_path / "none.json") == {}
    (tmp_path / "list.json").write_text(json.dumps([1]))
    assert jobs.result(tmp_path / "list.json") == {}


def test_a_node_computes_with_the_kernels_that_the_uninterrupted_run_computes_with(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    command = jobs.job("digits", Trainer(), 0.0, tmp_path).command.replace(sys.executable, "env", 1)
    bare = {"PATH": os.environ["PATH"]}  # a node's environment is its own
    printed = subprocess.run(
        ["/bin/sh", "-c", command.partition(" -m ")[0]], env=bare, capture_output=True, text=True, check=True
    ).stdout
    assert "OPENBLAS_CORETYPE=Haswell" in printed.splitlines()
