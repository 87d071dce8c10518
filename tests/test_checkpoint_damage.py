"""Whole or invisible: what is left after damage, and after a kill at any moment."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoint_support import PARTS, begun, head, parts_of, resumed
from spotkeeper_ledger import ANY, open_board
from spotkeeper_training import Checkpoint, CheckpointStore, NoWholeCheckpoint


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return (tmp_path / "checkpoints").as_uri()


def truncate(uri: str, published: Checkpoint) -> None:
    key = parts_of(uri, published)[0]
    open_board(uri).write(key, b"w" * 999, expect=ANY)


def flip(uri: str, published: Checkpoint) -> None:
    key = parts_of(uri, published)[0]
    open_board(uri).write(key, b"w" * 500 + b"v" + b"w" * 499, expect=ANY)


def lose(uri: str, published: Checkpoint) -> None:
    open_board(uri).delete(parts_of(uri, published)[-1])


def lose_manifest(uri: str, published: Checkpoint) -> None:
    open_board(uri).delete(published.manifest)


def spoil_manifest(uri: str, published: Checkpoint) -> None:
    open_board(uri).write(published.manifest, b'{"generation": 1, "step": ', expect=ANY)


DAMAGES = [truncate, flip, lose, lose_manifest, spoil_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    folder: str, damage: Callable[[str, Checkpoint], None], caplog: pytest.LogCaptureFixture
) -> None:
    store = begun(folder)
    before = store.publish(10, PARTS)
    damaged = store.publish(20, {**PARTS, "position.json": b'{"step": 2}'})
    damage(folder, damaged)
    with caplog.at_level(logging.WARNING):
        restored = resumed(folder, 2)
    assert restored is not None
    assert (restored.checkpoint, restored.parts) == (before, PARTS)
    assert "not whole" in caplog.text
    # What is published next names the whole one as the one to fall back to, not the damaged one.
    store = begun(folder, 3)
    latest = store.latest()
    assert latest is not None
    store.load(latest)
    store.publish(12, PARTS)
    assert head(folder).previous == before.manifest


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_nothing_whole_left_a_job_does_not_start_anew(
    folder: str, damage: Callable[[str, Checkpoint], None]
) -> None:
    store = begun(folder)
    for checkpoint in [store.publish(step, PARTS) for step in (10, 20)]:
        damage(folder, checkpoint)
    with pytest.raises(NoWholeCheckpoint, match=r"g1-s20.*; .*g1-s10"):
        resumed(folder, 2)


def test_a_damaged_first_checkpoint_has_nothing_before_it(folder: str) -> None:
    truncate(folder, begun(folder).publish(10, PARTS))
    with pytest.raises(NoWholeCheckpoint, match="was 999 bytes, expected 1000"):
        resumed(folder, 2)


PUBLISHER = """
import sys
from spotkeeper_training import CheckpointStore
store = CheckpointStore(sys.argv[1], generation=int(sys.argv[2]))
store.begin()
latest = store.latest()
step = store.load(latest).step if latest else 0
while True:
    step += 1
    store.publish(step, {f"part-{n}": str(step).encode() * 20000 for n in range(4)})
    print(step, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint_and_none_that_was_published_is_lost(folder: str) -> None:
    rng = random.Random(7)
    told = 0
    inside = 0
    for generation in range(1, 13):
        command = [sys.executable, "-c", PUBLISHER, folder, str(generation)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(rng.uniform(0, 0.02))  # the moment of the kill is what is drawn here
            process.send_signal(signal.SIGKILL)
            told = max([told, *map(int, process.stdout.read().split())])
        restored = CheckpointStore(folder, generation=generation)
        restored.begin()
        latest = restored.latest()
        assert latest is not None
        parts = restored.load(latest).parts
        assert latest.step in (told, told + 1)
        assert parts == {f"part-{n}": str(latest.step).encode() * 20000 for n in range(4)}
        files = [path for path in Path(folder.removeprefix("file://")).rglob("*") if path.is_file()]
        inside += any(f"g{generation}-s{told + 1}-" in str(path) for path in files)
    assert inside >= 3, f"only {inside} of 12 kills hit a publish"
