from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from checkpoint_support import begun
from saver_support import gated, loaded
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice
from spotkeeper_training import CheckpointGuard, Saver, StaleGeneration, from_parts
from spotkeeper_training.pending import Pace

LEAVING = LocalNotice("i-1:leaving", "interruption", leaving=True, at=1000.0)
REBALANCE = LocalNotice("i-1:rebalance", "rebalance", leaving=False, at=900.0)


class Node:
    """A run directory, a store whose uploads can be held back, and a guard that saves behind training's back."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.folder, self.now = tmp_path / "run", 0.0
        self.folder.mkdir()
        self.uri = f"file://{tmp_path / 'store'}"
        self.store, self.gate = gated(tmp_path / "store")
        self.saver = Saver(self.store)
        self.guard = CheckpointGuard(
            self.store,
            saver=self.saver,
            save_interval_seconds=100.0,
            folder=self.folder,
            clock=lambda: self.now,
            **options,
        )

    def notice(self, notice: LocalNotice, left: float | None = None) -> None:
        at = {} if left is None else {"deadline": time.time() + left}
        run_dir.write(self.folder, replace(notice, **at))  # type: ignore[arg-type]

    def save(self, step: int) -> bool:
        assert self.guard.should_save(step)
        return self.guard.save(step, state(step))

    @property
    def confirmed(self) -> tuple[int, str] | None:
        found = run_dir.read(self.folder, Confirmation)
        return (found.step, found.notice_id) if found else None

    @property
    def published(self) -> int:
        return int(from_parts(loaded(self.store))["step"])

    def let_through(self) -> None:
        self.gate.open.set()
        last = self.saver.last
        assert last is not None
        assert last.wait(30)

    def slow(self) -> None:
        """Have it remember that a save takes 20 s."""
        pace = Pace()
        pace.add(10**6, 20.0)
        self.saver._publishing = pace


def state(step: int) -> dict[str, Any]:
    return {"model": {"w": numpy.full(1000, step)}, "step": step}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_at_the_interval_training_goes_on_and_the_checkpoint_is_confirmed_when_it_is_published(node: Node) -> None:
    node.now = 100.0
    node.gate.shut()
    assert node.save(1)
    node.now = 300.0
    assert not node.guard.should_save(2)  # one is under way: the interval does not make training wait
    assert node.confirmed is None
    node.let_through()
    assert not node.guard.should_save(3)
    assert node.confirmed == (1, "")
    node.now = 400.0
    assert node.save(4)
    node.let_through()
    assert not node.guard.should_stop
    assert node.confirmed == (4, "")


def test_a_rebalance_is_answered_by_the_save_that_is_under_way(node: Node) -> None:
    node.now = 100.0
    node.gate.shut()
    node.save(1)
    node.notice(REBALANCE)
    assert not node.guard.should_save(2)
    assert node.confirmed is None
    node.let_through()
    assert not node.guard.should_save(3)
    assert node.confirmed == (1, REBALANCE.notice_id)


def test_when_the_node_will_go_the_save_is_confirmed_only_when_it_is_published(node: Node) -> None:
    node.notice(LEAVING, left=60)
    node.gate.shut()
    seen: list[object] = []

    def upload() -> None:
        assert node.gate.reached.wait(30)
        seen.append(node.confirmed)
        node.gate.open.set()

    helper = threading.Thread(target=upload)
    helper.start()
    assert node.save(1)
    helper.join()
    assert seen == [None]
    assert node.confirmed == (1, LEAVING.notice_id)
    assert node.guard.should_stop
    assert node.published == 1


def test_what_is_under_way_for_this_very_step_is_not_copied_again(node: Node) -> None:
    node.now = 100.0
    node.gate.shut()
    node.save(1)
    node.notice(LEAVING, left=60)
    threading.Timer(0.1, node.gate.open.set).start()
    first = node.saver.last
    assert node.save(1)
    assert node.saver.last is first
    assert node.confirmed == (1, LEAVING.notice_id)
    assert node.guard.should_stop


def test_what_does_not_fit_is_not_begun_and_the_checkpoint_before_stands(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.now = 100.0
    node.save(1)
    node.let_through()
    node.slow()
    node.notice(LEAVING, left=5)
    assert not node.save(2)
    assert "step 2 is not saved: it would take 20." in caplog.text
    assert node.confirmed == (1, LEAVING.notice_id)
    assert node.guard.should_stop
    assert node.published == 1


def test_what_was_under_way_may_still_be_published_where_another_does_not_fit(node: Node) -> None:
    node.now = 100.0
    node.gate.shut()
    node.save(1)
    assert node.gate.reached.wait(30)
    node.slow()
    node.notice(LEAVING, left=15)
    threading.Timer(0.1, node.gate.open.set).start()
    assert not node.save(2)
    assert node.confirmed == (1, LEAVING.notice_id)
    assert node.guard.should_stop


def test_what_was_published_a_moment_before_is_what_stands(node: Node) -> None:
    node.now = 100.0
    node.save(1)
    node.let_through()  # and the guard was not asked since
    node.slow()
    node.notice(LEAVING, left=5)
    assert not node.guard.save(2, state(2))
    assert node.confirmed == (1, LEAVING.notice_id)


def test_a_store_that_is_away_is_asked_again(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.now = 100.0
    node.gate.failing = True
    node.gate.shut()
    assert node.save(1)
    node.let_through()
    assert not node.guard.should_save(2)
    assert "the last save was not published (Unavailable: the bucket is away)" in caplog.text
    assert node.confirmed is None
    node.gate.failing = False
    node.now = 109.0
    assert not node.guard.should_save(3)
    node.now = 111.0
    assert node.save(4)
    node.let_through()
    assert not node.guard.should_save(5)
    assert node.confirmed == (4, "")


def test_a_store_that_is_away_under_a_notice_is_asked_again_soon(node: Node) -> None:
    node.notice(LEAVING, left=60)
    node.gate.failing = True
    assert not node.save(1)
    assert not node.guard.should_stop
    node.gate.failing = False
    node.now += 0.6
    assert node.save(1)
    assert node.confirmed == (1, LEAVING.notice_id)


@pytest.mark.parametrize("call", ["should_save", "should_stop", "save"])
def test_a_later_generation_stops_training_at_the_next_call(node: Node, call: str) -> None:
    node.now = 100.0
    begun(node.uri, 2)
    node.gate.shut()
    node.save(1)
    node.let_through()
    with pytest.raises(StaleGeneration) as stopped:
        if call == "should_save":
            node.guard.should_save(2)
        elif call == "save":
            node.guard.save(2, state(2))
        else:
            _ = node.guard.should_stop
    assert stopped.value.code == 76
    assert node.confirmed is None


@pytest.mark.parametrize(("bounds", "least"), [({}, 600.0), ({"save_interval_bounds": (200.0, 900.0)}, 200.0)])
def test_the_interval_follows_from_how_long_saves_take(tmp_path: Path, bounds: dict[str, Any], least: float) -> None:
    node = Node(tmp_path, mean_spell_seconds=3600.0, notice_seconds=0.0, **bounds)
    node.now = 100.0
    node.save(1)
    node.let_through()
    assert not node.guard.should_save(2)
    node.now = 99.0 + least  # a save of milliseconds: the lower bound
    assert not node.guard.should_save(3)
    node.now = 101.0 + least
    assert node.guard.should_save(4)


def test_without_a_deadline_it_waits_until_it_is_published(node: Node) -> None:
    node.notice(LEAVING)
    assert node.guard.seconds_left() == math.inf
    node.gate.shut()
    threading.Timer(0.1, node.gate.open.set).start()
    assert node.save(1)
    assert node.guard.should_stop
