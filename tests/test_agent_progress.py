from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from agent_support import FLEET, INCARNATION, Fleet
from spotkeeper_agent.goodput import Account
from spotkeeper_agent.progress import ProgressWriter, with_local, write_progress
from spotkeeper_ledger import ANY, Progress, keys, open_board
from spotkeeper_ledger.run_dir import LocalProgress

PROGRESS = Progress(FLEET, INCARNATION, 3, "i-1", 100.0)
LOCAL = LocalProgress(
    step=7, at=99.0, total=10, generation=3, steps_per_second=2.5, published_step=5, published_at=90.0
)


def test_what_the_job_says_is_taken_over() -> None:
    merged = with_local(PROGRESS, LOCAL)
    assert (merged.step, merged.total, merged.steps_per_second) == (7, 10, 2.5)
    assert (merged.published_step, merged.published_at) == (5, 90.0)
    assert (merged.generation, merged.node, merged.at) == (3, "i-1", 100.0)


def test_words_of_another_generation_are_not() -> None:
    assert with_local(PROGRESS, replace(LOCAL, generation=2)) == PROGRESS
    assert with_local(PROGRESS, None) == PROGRESS


def test_a_later_generation_is_never_overwritten(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    assert write_progress(fleet.board, PROGRESS)
    assert write_progress(fleet.board, replace(PROGRESS, step=8)), "its own may be"
    later = replace(PROGRESS, generation=4, node="i-2", step=1)
    assert write_progress(fleet.board, later)
    assert not write_progress(fleet.board, replace(PROGRESS, step=9, state="failed"))
    assert fleet.progress == later


def test_another_incarnation_and_rubbish_are(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    write_progress(fleet.board, replace(PROGRESS, incarnation="AROABEFORE", generation=99))
    assert write_progress(fleet.board, PROGRESS)
    fleet.board.write(keys.progress(FLEET), b"rubbish", expect=ANY)
    assert write_progress(fleet.board, PROGRESS)
    assert fleet.progress == PROGRESS


def test_writers_at_once_end_with_the_latest_generation(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    threads = [
        threading.Thread(target=write_progress, args=(fleet.board, replace(PROGRESS, generation=number)))
        for number in (5, 9, 2, 7, 1, 8, 3, 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fleet.progress is not None
    assert fleet.progress.generation == 9


def test_each_generation_goes_on_with_the_account_of_the_one_before_it(tmp_path: Path) -> None:
    board = open_board(f"file://{tmp_path}")

    def said(generation: int, at: float, step: int) -> Progress:
        return Progress("f", "inc", generation, "i-1", at, step=step)

    first = ProgressWriter(board)
    assert first.write(said(1, 60.0, 10), Account(0.0, working=50.0, restart=10.0, first=0, high=10))
    second, account = ProgressWriter(board), Account(65.0, working=10.0, first=8, high=12)
    for _ in range(2):  # its own word is not the one before it
        assert second.write(said(2, 75.0, 12), account)
    assert second.written is not None
    assert (second.written.useful_seconds, second.written.recomputed_seconds) == (55.0, 5.0)
    assert (second.written.waiting_seconds, second.written.restart_seconds) == (5.0, 10.0)
    assert not first.write(said(1, 80.0, 11), Account(0.0)), "fenced"
    other = ProgressWriter(board)
    assert other.write(replace(said(3, 90.0, 1), incarnation="another"), Account(85.0, working=5.0, first=0, high=1))
    assert other.written is not None
    assert other.written.waiting_seconds == 0.0, "the account of another incarnation is not continued"
