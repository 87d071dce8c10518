"""A training process that tells where it is when the agent asks, even in a call that never returns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent_support import wait_until
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import LocalProgress
from spotkeeper_training import CheckpointGuard, CheckpointStore

STUCK = """
import sys, threading
from pathlib import Path
from spotkeeper_training.stacks import answer_stacks

def a_collective_that_never_ends():
    print("stuck", flush=True)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

answer_stacks(Path(sys.argv[1]))
answer_stacks(Path(sys.argv[1]))
a_collective_that_never_ends()
"""


def test_a_process_that_is_stuck_says_where(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUCK, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        told = tmp_path / run_dir.STACKS / f"{process.pid}.txt"
        assert told.read_text() == "", "nothing before it is asked"
        process.send_signal(run_dir.STACKS_SIGNAL)
        wait_until(lambda: "a_collective_that_never_ends" in told.read_text())
        assert process.poll() is None, "it goes on being stuck, and is not harmed"
        process.kill()


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "import sys, pathlib, spotkeeper_training.stacks as s; s.answer_stacks(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "training goes on" in ended.stderr


def test_the_agent_sees_that_a_process_saves_and_how_long_its_steps_were_held_up(tmp_path: Path) -> None:
    seen: list[LocalProgress | None] = []

    class Store(CheckpointStore):
        def publish(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def, override]
            seen.append(run_dir.read(tmp_path, LocalProgress))
            ticks.append(5.0)
            return super().publish(*args, **kwargs)  # type: ignore[arg-type]

    ticks: list[float] = []
    store = Store(f"file://{tmp_path}/saves", generation=1)
    store.begin()
    guard = CheckpointGuard(store, folder=tmp_path, clock=lambda: sum(ticks))
    assert guard.save(1, {"a": b"1"})
    assert guard.save(2, {"a": b"2"})
    after = run_dir.read(tmp_path, LocalProgress)
    assert after is not None
    assert [each and each.busy for each in seen] == ["saving", "saving"]
    assert (after.busy, after.saving_seconds) == ("", 10.0)
