from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent_support import FaultyBoard
from checkpoint_support import put_behind
from spotkeeper_ledger import open_board, run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress
from spotkeeper_training import CheckpointGuard, CheckpointStore, StaleGeneration

PARTS = {"weights": b"w"}
LEAVING = LocalNotice("i-1:leaving", "interruption", leaving=True, at=1000.0)
REBALANCE = LocalNotice("i-1:rebalance", "rebalance", leaving=False, at=900.0)


class Node:
    """A run directory, a store and a clock that the test turns."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder, self.now, self.uri = tmp_path / "run", 0.0, (tmp_path / "checkpoints").as_uri()
        self.folder.mkdir()
        self.store = CheckpointStore(self.uri, generation=3)
        self.store.begin()

    def guard(self, gap: float = 60.0) -> CheckpointGuard:
        return CheckpointGuard(
            self.store,
            save_interval_seconds=100.0,
            save_gap_seconds=gap,
            folder=self.folder,
            clock=lambda: self.now,
        )

    def notice(self, notice: LocalNotice | None) -> None:
        if notice is None:
            run_dir.remove(self.folder, LocalNotice)
        else:
            run_dir.write(self.folder, notice)

    @property
    def confirmation(self) -> Confirmation | None:
        return run_dir.read(self.folder, Confirmation)

    @property
    def progress(self) -> LocalProgress:
        found = run_dir.read(self.folder, LocalProgress)
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_without_a_notice_it_saves_at_the_interval(node: Node) -> None:
    guard = node.guard()
    asked = []
    for step, node.now in [(1, 50.0), (2, 99.9), (3, 100.0), (3, 100.1), (4, 199.0), (5, 200.0)]:
        asked.append(guard.should_save(step))
        if asked[-1]:
            assert guard.save(step, PARTS)
    assert asked == [False, False, True, False, False, True]
    assert not guard.should_stop
    assert (guard.notice, guard.seconds_left()) == (None, math.inf)
    assert node.confirmation is not None
    assert (node.confirmation.step, node.confirmation.notice_id, node.confirmation.generation) == (5, "", 3)


def test_a_leaving_notice_saves_at_once_and_then_stops(node: Node) -> None:
    guard = node.guard()
    guard.save(10, PARTS)
    node.notice(LEAVING)
    assert not guard.should_stop
    assert guard.should_save(11), "whatever was saved a moment ago"
    assert guard.save(11, PARTS)
    assert guard.should_stop
    assert not guard.should_save(11)
    assert node.confirmation is not None
    assert (node.confirmation.step, node.confirmation.notice_id) == (11, "i-1:leaving")
    node.notice(replace(LEAVING, kind="scale-in", deadline=time.time() + 5))
    assert guard.should_stop, "a tighter deadline is the same notice"
    assert not guard.should_save(12)


def test_a_leaving_notice_without_a_step_since_the_last_save_needs_none(node: Node) -> None:
    guard = node.guard()
    guard.save(10, PARTS)
    node.notice(LEAVING)
    assert not guard.should_save(10)
    assert guard.should_stop
    assert node.confirmation is not None
    assert (node.confirmation.step, node.confirmation.notice_id) == (10, "i-1:leaving")


def test_a_notice_during_a_save_is_answered_by_the_next_one(node: Node) -> None:
    guard = node.guard()
    publish = node.store.publish

    def slow(step: int, parts: dict[str, bytes]) -> object:
        node.notice(LEAVING)
        return publish(step, parts)

    node.store.publish = slow  # type: ignore[method-assign, assignment]
    guard.save(10, PARTS)
    assert not guard.should_stop
    assert node.confirmation is not None
    assert node.confirmation.notice_id == ""
    assert guard.should_save(11)


def test_a_rebalance_is_saved_and_training_goes_on(node: Node) -> None:
    guard = node.guard()
    node.notice(REBALANCE)
    assert guard.should_save(7)
    guard.save(7, PARTS)
    assert not guard.should_stop
    assert not guard.should_save(8)
    assert node.confirmation is not None
    assert (node.confirmation.step, node.confirmation.notice_id) == (7, "i-1:rebalance")
    node.notice(LEAVING)
    assert guard.should_save(8), "leaving asks for another save"


def test_a_rebalance_soon_after_a_save_joins_it(node: Node) -> None:
    guard = node.guard(gap=60)
    guard.save(7, PARTS)
    node.now = 59.0
    node.notice(REBALANCE)
    assert not guard.should_save(8)
    assert node.confirmation is not None
    assert (node.confirmation.step, node.confirmation.notice_id) == (7, "i-1:rebalance")
    node.notice(None)
    node.now = 61.0
    node.notice(replace(REBALANCE, at=961.0))
    assert guard.should_save(9), "the next one comes too late for that"


def test_a_notice_before_the_first_step_is_answered_with_what_was_loaded(node: Node) -> None:
    node.store.publish(40, PARTS)
    node.notice(LEAVING)
    guard = node.guard()
    assert not guard.should_save(40)
    assert guard.should_stop
    assert node.confirmation is not None
    assert node.confirmation.step == 40


def test_a_store_that_is_away_does_not_stop_training(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    guard = node.guard()
    board = FaultyBoard(open_board(node.uri))
    put_behind(node.store, board)
    board.away = True
    node.now = 100.0
    assert guard.should_save(1)
    with caplog.at_level(logging.WARNING):
        assert not guard.save(1, PARTS)
    assert "training goes on" in caplog.text
    assert not guard.should_save(2), "not again at every step"
    node.now = 110.0
    assert guard.should_save(3)
    guard.save(3, PARTS)
    node.notice(LEAVING)
    assert not guard.should_save(4)
    node.now = 120.0
    assert guard.should_save(5)
    guard.save(5, PARTS)
    assert not guard.should_stop
    node.now = 120.6
    assert guard.should_save(6), "while time runs out it is asked more often"
    board.away = False
    assert guard.save(6, PARTS)
    assert guard.should_stop


def test_a_stale_generation_is_not_swallowed(node: Node) -> None:
    guard = node.guard()
    CheckpointStore(node.uri, generation=4).begin()
    with pytest.raises(StaleGeneration):
        guard.save(1, PARTS)
    assert node.confirmation is None


def test_time_left_is_that_of_the_boot_clock_where_it_is_the_same_boot(node: Node) -> None:
    guard = node.guard()
    boot, wall = run_dir.boot_time(), time.time()
    same = replace(LEAVING, deadline=wall + 7200, deadline_boottime=boot + 50, boot_id=run_dir.boot_id())
    node.notice(same)
    assert 49 < guard.seconds_left() <= 50
    node.notice(replace(same, boot_id="another", deadline=wall + 30))
    assert 29 < guard.seconds_left() <= 30
    node.notice(replace(same, deadline_boottime=boot - 5))
    assert guard.seconds_left() == 0


def test_a_damaged_notice_is_none(node: Node) -> None:
    guard = node.guard()
    (node.folder / "notice.json").write_text('{"notice_id": ')
    assert guard.notice is None
    assert not guard.should_save(1)
    node.notice(LEAVING)
    assert guard.should_save(1)


def test_progress_is_written_once_a_second_and_at_the_end(node: Node) -> None:
    guard = node.guard()
    seen = []
    for step, node.now in [(1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5), (5, 2.0), (6, 2.1)]:
        guard.report(step, 6)
        seen.append(node.progress.step)
    assert seen == [1, 1, 3, 3, 5, 6]
    assert (node.progress.total, node.progress.generation, node.progress.published_step) == (6, 3, None)
    assert node.progress.steps_per_second == pytest.approx(5 / 2.1)
    guard.save(6, PARTS)
    assert node.progress.published_step == 6
    assert node.progress.published_at == pytest.approx(time.time(), abs=10)


def test_saves_are_timed(node: Node) -> None:
    guard = node.guard()
    publish, seconds = node.store.publish, iter([1.0] * 18 + [5.0, 9.0])

    def timed(step: int, parts: dict[str, bytes]) -> object:
        node.now += next(seconds)
        return publish(step, parts)

    node.store.publish = timed  # type: ignore[method-assign, assignment]
    for step in range(20):
        guard.save(step, PARTS)
    assert node.progress.save_seconds_p95 == pytest.approx(5.0)


def test_without_an_agent_it_saves_at_the_interval_and_writes_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTKEEPER_RUN_DIR", raising=False)
    guard = CheckpointGuard(node.store, clock=lambda: node.now)
    guard.report(1, 10)
    assert not guard.should_save(1)
    node.now = 600.0
    assert guard.should_save(1)
    assert guard.save(1, PARTS)
    assert (guard.notice, guard.should_stop, guard.seconds_left()) == (None, False, math.inf)
    assert list(node.folder.iterdir()) == []


def test_run_directory_and_gap_come_from_the_agent(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTKEEPER_RUN_DIR", str(node.folder))
    monkeypatch.setenv("SPOTKEEPER_SAVE_GAP_SECONDS", "5")
    guard = CheckpointGuard(node.store, clock=lambda: node.now)
    guard.save(7, PARTS)
    node.notice(REBALANCE)
    node.now = 4.9
    assert not guard.should_save(8)
    node.notice(None)
    node.notice(replace(REBALANCE, at=905.0))
    node.now = 5.1
    assert guard.should_save(9)


def test_a_run_directory_that_is_gone_does_not_stop_training(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    guard = node.guard()
    node.folder.rmdir()
    guard.report(1, 2)
    assert guard.save(1, PARTS)
    assert not guard.should_save(2)
    assert "cannot be written" in caplog.text


def test_a_step_without_a_notice_costs_microseconds(node: Node) -> None:
    guard = CheckpointGuard(node.store, folder=node.folder)
    guard.report(0, 10**6)
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for step in range(1, 2001):
            guard.report(step, 10**6)
            guard.should_save(step)
            assert not guard.should_stop
        rounds.append((time.perf_counter() - started) / 2000)
    assert min(rounds) < 100e-6
