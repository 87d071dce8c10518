from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rank_support import GENERATION, LEAVING, REBALANCE, Clock, RunDir
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import (
    ARMED,
    COMMIT,
    COVERED,
    DONE,
    FAILED,
    GO,
    PROMISED,
    READY,
    SAVED,
    SAVING,
    UNSAVED,
    Agreement,
    LocalNotice,
)
from spotkeeper_training import CheckpointStore
from spotkeeper_training.agreement import ANSWERED, GO_ON, SAVE, Boundary
from spotkeeper_training.rank_side import RankSide
from spotkeeper_training.together import Together, open_together


class Rank:
    """Rank 1 of 2 that saves with the others, in a run directory and with a clock of the test's."""

    def __init__(self, folder: Path) -> None:
        self.node, self.clock = RunDir(folder), Clock()
        self.side = RankSide(self.node.folder, 1, 2, GENERATION, clock=self.clock)
        self.together = Together(self.side)

    def at(self, step: int, notice: LocalNotice | None = REBALANCE, *, due: bool = False) -> str:
        return self.together.at(Boundary(step, notice=notice, due=due), lambda: math.inf, lambda _: None)

    def turn(self, agreed_for: LocalNotice | None, *, seen: LocalNotice | None = None, due: bool = False) -> Agreement:
        """Bring it to its turn to save after step 5; returns what was agreed."""
        self.at(1, seen, due=due)
        asked = self.node.say(COMMIT, 1, agreed_for, stop_step=5)
        assert self.at(2, seen, due=due) == GO_ON
        assert self.told == (PROMISED, 1)
        run_dir.write(self.node.folder, Agreement(**{**vars(asked), "stage": GO}))
        assert self.at(5, seen, due=due) == SAVE
        assert self.together.open
        return Agreement(**{**vars(asked), "stage": GO})

    @property
    def told(self) -> tuple[str, int]:
        return self.node.told()


@pytest.fixture
def rank(tmp_path: Path) -> Rank:
    return Rank(tmp_path / "run")


def test_without_a_reason_nothing_is_read_or_written_and_the_boundary_is_remembered(rank: Rank) -> None:
    before = (rank.node.folder / "ranks" / "1.json").stat()
    rank.node.say(COMMIT, 1, REBALANCE, stop_step=5)
    assert [rank.at(step, None) for step in (1, 2, 9)] == [GO_ON] * 3
    assert (rank.node.folder / "ranks" / "1.json").stat() == before
    assert rank.side.read is None
    assert rank.side.previous == 9
    assert not rank.together.open


@pytest.mark.parametrize("reason", [{"notice": REBALANCE}, {"notice": None, "due": True}])
def test_with_a_reason_it_arms_and_looks_from_then_on(rank: Rank, reason: dict[str, Any]) -> None:
    assert rank.at(3, **reason) == GO_ON
    assert rank.told == (ARMED, 0)
    assert rank.together.open
    assert rank.at(4, None) == GO_ON, "open: it looks although it has no reason any more"
    assert rank.told == (READY, 0)
    assert not rank.together.open


@pytest.mark.parametrize(("notice", "stops"), [(LEAVING, True), (REBALANCE, False)])
def test_all_stop_after_the_save_for_a_node_that_goes_and_after_no_other(
    rank: Rank, notice: LocalNotice, stops: bool
) -> None:
    rank.turn(notice, seen=notice)
    assert rank.together.begin(5, notice) == notice
    assert rank.told == (SAVING, 1)
    assert not rank.together.stops, "not before it is published"
    assert rank.together.published(notice) == notice
    assert rank.together.stops is stops
    assert rank.told == (SAVING, 1), "said only once it is confirmed to the agent"
    rank.together.confirmed(5)
    assert rank.told == (SAVED, 1)


@pytest.mark.parametrize(("notice", "stops"), [(LEAVING, True), (REBALANCE, False)])
def test_a_rank_that_hears_of_the_others_save_stops_as_they_do(rank: Rank, notice: LocalNotice, stops: bool) -> None:
    rank.at(1, notice)
    rank.node.say(DONE, 1, notice)
    assert rank.at(2, notice) == ANSWERED
    assert rank.together.stops is stops


def test_what_fails_stops_nobody(rank: Rank) -> None:
    rank.at(1, LEAVING)
    rank.node.say(FAILED, 1, LEAVING)
    assert rank.at(2, LEAVING) == GO_ON
    assert not rank.together.stops


@pytest.mark.parametrize(
    ("agreed_for", "own", "answered"),
    [
        (None, REBALANCE, None),
        (REBALANCE, None, None),
        (REBALANCE, REBALANCE, REBALANCE),
        (REBALANCE, LEAVING, None),
        (LEAVING, REBALANCE, REBALANCE),
        (LEAVING, LEAVING, LEAVING),
    ],
)
def test_a_save_answers_of_this_nodes_notices_what_was_agreed_on(
    rank: Rank, agreed_for: LocalNotice | None, own: LocalNotice | None, answered: LocalNotice | None
) -> None:
    rank.turn(agreed_for, seen=own or REBALANCE)
    assert rank.together.begin(5, own) == answered
    assert rank.together.published(own) == answered
    assert rank.together.stops is (agreed_for is LEAVING)


def test_a_save_for_another_node_that_goes_is_pressing_here_as_well(rank: Rank) -> None:
    """The notice of that node is not this one's; that all ranks leave after the save is."""
    agreed = rank.turn(LEAVING, due=True)
    assert agreed.leaving
    notice = rank.together.begin(5, None)
    assert notice is not None
    assert (notice.notice_id, notice.leaving, notice.deadline) == (LEAVING.notice_id, True, None)
    assert rank.together.published(None) is None, "there is nothing here to confirm it for"
    assert rank.together.stops


def test_a_save_that_nobody_agreed_on_is_this_ranks_own(rank: Rank) -> None:
    assert rank.together.begin(5, LEAVING) is None
    assert rank.together.published(LEAVING) is None
    rank.together.confirmed(5)
    assert rank.told == (READY, 0)
    assert not rank.together.not_saved(5, 30.0)
    assert rank.told == (READY, 0)
    assert not rank.together.stops


@pytest.mark.parametrize(("stage", "published"), [(DONE, True), (FAILED, False)])
def test_where_training_waits_for_the_save_a_failure_waits_for_the_verdict(
    rank: Rank, stage: str, published: bool
) -> None:
    agreed = rank.turn(LEAVING, seen=LEAVING)
    rank.together.begin(5, LEAVING)
    rank.clock.after(3, lambda: rank.node.say(stage, 1, LEAVING, stop_step=5))
    assert rank.together.not_saved(5, 20.0) is published
    assert rank.told == (UNSAVED, 1)
    assert agreed.leaving
    # What is published is confirmed as any other; of what has failed nothing is left in hand.
    assert rank.together.published(LEAVING) == (LEAVING if published else None)
    assert rank.together.stops is published
    rank.together.confirmed(5)
    assert rank.told == (SAVED if published else UNSAVED, 1)


def test_behind_training_a_failure_is_told_and_nobody_waits(rank: Rank) -> None:
    rank.turn(REBALANCE, seen=REBALANCE)
    rank.together.begin(5, REBALANCE)
    rank.together.begun()
    began = rank.clock.now
    assert not rank.together.not_saved(5, 20.0)
    assert rank.clock.now - began < 10
    assert rank.told == (UNSAVED, 1)
    assert rank.together.published(REBALANCE) is None
    assert not rank.together.stops


def test_behind_training_a_verdict_that_is_there_already_counts(rank: Rank) -> None:
    rank.turn(LEAVING, seen=LEAVING)
    rank.together.begin(5, LEAVING)
    rank.together.begun()
    rank.node.say(DONE, 1, LEAVING, stop_step=5)
    assert rank.together.not_saved(5, 20.0)
    assert rank.together.published(LEAVING) == LEAVING
    assert rank.together.stops


def test_the_save_after_one_behind_is_waited_for_again(rank: Rank) -> None:
    rank.turn(REBALANCE, seen=REBALANCE)
    rank.together.begin(5, REBALANCE)
    rank.together.begun()
    rank.together.published(REBALANCE)
    rank.together.confirmed(5)
    rank.at(6, LEAVING)
    asked = rank.node.say(COMMIT, 2, LEAVING, stop_step=8)
    assert rank.at(7, LEAVING) == GO_ON
    run_dir.write(rank.node.folder, Agreement(**{**vars(asked), "stage": GO}))
    assert rank.at(8, LEAVING) == SAVE
    rank.together.begin(8, LEAVING)
    rank.clock.after(3, lambda: rank.node.say(DONE, 2, LEAVING, stop_step=8))
    assert rank.together.not_saved(8, 20.0)


def test_rank_0_says_what_is_covered(tmp_path: Path) -> None:
    node = RunDir(tmp_path / "run")
    together = Together(RankSide(node.folder, 0, 2, GENERATION))
    together.covered(4, REBALANCE)
    said = node.state(0)
    assert (said.stage, said.step, said.notice_id) == (COVERED, 4, REBALANCE.notice_id)


def test_without_an_agent_nothing_is_agreed_and_each_save_is_its_own() -> None:
    together = Together(None)
    for reason in (Boundary(1), Boundary(2, notice=LEAVING), Boundary(3, due=True)):
        assert together.at(reason, lambda: math.inf, lambda _: None) == GO_ON
    together.covered(4, LEAVING)
    assert together.begin(5, LEAVING) is None
    together.begun()
    assert together.published(LEAVING) is None
    together.confirmed(5)
    assert not together.not_saved(5, 30.0)
    assert (together.open, together.stops) == (False, False)


def opened(tmp_path: Path, ranks: int, folder: Path | None, *, counts_steps: bool = False) -> Together | None:
    store = CheckpointStore((tmp_path / "store").as_uri(), generation=GENERATION, rank=ranks - 1, world_size=ranks)
    clock: Callable[[], float] = time.monotonic
    return open_together(store, folder, counts_steps=counts_steps, rate=lambda: 1.5, clock=clock)


def test_one_rank_needs_nobody(tmp_path: Path) -> None:
    node = RunDir(tmp_path / "run")
    assert opened(tmp_path, 1, node.folder) is None
    assert list((node.folder / "ranks").iterdir()) == []


def test_several_ranks_meet_in_the_run_directory(tmp_path: Path) -> None:
    node = RunDir(tmp_path / "run")
    assert opened(tmp_path, 3, node.folder) is not None
    said = node.state(2)
    assert (said.rank, said.world_size, said.generation, said.steps_per_second) == (2, 3, GENERATION, 1.5)
    assert (said.stage, said.step) == (READY, 0)


def test_several_ranks_without_an_agent_have_to_count_steps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save_interval_steps: was not given, expected with 2 ranks and no agent"):
        opened(tmp_path, 2, None)
    together = opened(tmp_path, 2, None, counts_steps=True)
    assert together is not None
    assert not together.open
