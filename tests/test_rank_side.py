from __future__ import annotations

import logging
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from rank_support import GENERATION, LEAVING, REBALANCE, Clock, RunDir
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import (
    ARMED,
    ARMING,
    COMMIT,
    COVERED,
    DONE,
    FAILED,
    GO,
    PASSED,
    PROMISED,
    READY,
    SAVED,
    SAVING,
    UNSAVED,
    Agreement,
    LocalNotice,
)
from spotkeeper_training.agreement import ANSWERED, GO_ON, RELEASED, SAVE, Boundary
from spotkeeper_training.rank_side import LONELY_SECONDS, VERDICT_SECONDS, WAIT_SECONDS, RankSide


class Rank:
    """Rank 1 of 2, in a run directory and with a clock of the test's."""

    def __init__(self, folder: Path) -> None:
        self.node, self.clock = RunDir(folder), Clock()
        self.busy: list[str] = []
        self.side = self.made()

    def made(self, **options: Any) -> RankSide:
        return RankSide(self.node.folder, 1, 2, GENERATION, clock=self.clock, **options)

    def at(
        self,
        step: int,
        notice: LocalNotice | None = REBALANCE,
        *,
        due: bool = False,
        seconds: float = math.inf,
        then: Agreement | None = None,
    ) -> str:
        """Come to a boundary; ``then`` is what the agent says once this rank waits there."""

        def busy(word: str) -> None:
            self.busy.append(word)
            if word and then is not None:
                run_dir.write(self.node.folder, then)

        return self.side.boundary(Boundary(step, notice=notice, due=due), seconds=seconds, busy=busy)

    def promised(self, stop_step: int = 5, notice: LocalNotice = REBALANCE) -> Agreement:
        """Have it promise at step 2; returns the ``go`` of that round, which the agent has not said yet."""
        assert self.at(1, notice) == GO_ON
        asked = self.node.say(COMMIT, 1, notice, stop_step=stop_step)
        assert self.at(2, notice) == GO_ON
        assert self.told == (PROMISED, 1)
        return Agreement(**{**vars(asked), "stage": GO})

    def saving(self, notice: LocalNotice = REBALANCE) -> Agreement:
        """Have it begin the save of round 1, after step 5."""
        go = self.promised(5, notice)
        assert self.at(5, notice, then=go) == SAVE
        assert self.side.begin(5) == go
        return go

    @property
    def told(self) -> tuple[str, int]:
        return self.node.told()


@pytest.fixture
def rank(tmp_path: Path) -> Rank:
    return Rank(tmp_path / "run")


def test_it_says_who_it_is_when_it_is_made_and_has_nothing_to_look_at(rank: Rank) -> None:
    rank.side = rank.made(step=40, rate=lambda: 2.5)
    said = rank.node.state()
    assert (said.rank, said.world_size, said.generation, said.attempt) == (1, 2, GENERATION, 0)
    assert (said.stage, said.step, said.round, said.stop_step, said.steps_per_second) == (READY, 40, 0, None, 2.5)
    assert (said.pid, said.started) == (os.getpid(), run_dir.process_started(os.getpid()))
    assert (said.notice_id, said.leaving) == ("", False)
    assert (rank.side.open, rank.side.agreed, rank.side.previous) == (False, None, 40)


def test_a_rank_that_starts_anew_knows_the_round_that_is_over(rank: Rank) -> None:
    rank.node.say(DONE, 7, REBALANCE)
    rank.side = rank.made()
    assert rank.told == (READY, 7)
    assert rank.at(1) == GO_ON, "what was saved before it came answers nothing for it"
    assert rank.told == (ARMED, 7)


@pytest.mark.parametrize(("notice", "due"), [(LEAVING, False), (REBALANCE, False), (None, True)])
def test_a_rank_that_has_something_to_save_for_arms_and_says_where_it_is(
    rank: Rank, notice: LocalNotice | None, due: bool
) -> None:
    assert rank.at(6, notice, due=due) == GO_ON
    said = rank.node.state()
    assert (said.stage, said.step, said.stop_step) == (ARMED, 6, None)
    assert (said.notice_id, said.leaving) == ((notice.notice_id, notice.leaving) if notice else ("", False))
    assert rank.side.open
    assert rank.at(7, notice, due=due) == GO_ON
    assert rank.node.state().step == 7, "the agent has to know how far an armed rank is"
    assert rank.busy == []


def test_a_notice_that_is_over_disarms(rank: Rank) -> None:
    rank.at(1)
    assert rank.at(2, None) == GO_ON
    assert rank.told == (READY, 0)
    assert not rank.side.open


def test_it_promises_goes_on_to_the_stop_step_and_saves_there_once_all_have_promised(rank: Rank) -> None:
    go = rank.promised(5)
    assert rank.node.state().stop_step == 5
    assert [rank.at(step) for step in (3, 4)] == [GO_ON, GO_ON]
    assert rank.busy == []
    assert rank.at(5, then=go) == SAVE
    assert rank.busy == ["agreeing", ""]
    assert (rank.side.agreed, rank.side.read) == (go, go)
    assert rank.side.open
    assert rank.side.begin(5) == go
    assert (rank.side.agreed, rank.side.open) == (None, False)
    assert rank.told == (SAVING, 1)
    assert rank.node.state().saved_round == 0
    rank.side.saved(5, go)
    assert (rank.told, rank.node.state().saved_round) == ((SAVED, 1), 1)
    assert rank.side.begin(6) is None, "the next save is nobody's turn"
    assert rank.told == (SAVED, 1)


def test_where_all_have_promised_already_nobody_waits(rank: Rank) -> None:
    go = rank.promised(5)
    run_dir.write(rank.node.folder, go)
    assert [rank.at(step) for step in (4, 5)] == [GO_ON, SAVE]
    assert rank.busy == []


@pytest.mark.parametrize(
    ("previous", "step", "stage"), [(4, 5, PROMISED), (4, 9, PROMISED), (5, 6, PASSED), (6, 9, PASSED)]
)
def test_it_promises_only_if_the_boundary_before_was_short_of_the_stop_step(
    rank: Rank, previous: int, step: int, stage: str
) -> None:
    """A rank that comes from the stop step itself could have saved there, and another one may have promised to."""
    rank.at(previous)
    asked = rank.node.say(COMMIT, 1, REBALANCE, stop_step=5)
    go = Agreement(**{**vars(asked), "stage": GO})
    assert rank.at(step, then=go) == (SAVE if stage == PROMISED else GO_ON)
    assert rank.told == (stage, 1)
    assert rank.busy == (["agreeing", ""] if stage == PROMISED else [])


def test_a_rank_that_has_passed_is_asked_for_the_next_stop_step(rank: Rank) -> None:
    rank.at(5)
    rank.node.say(COMMIT, 1, REBALANCE, stop_step=5)
    assert rank.at(6) == GO_ON
    assert (rank.told, rank.node.state().stop_step) == ((PASSED, 1), None)
    assert rank.at(7) == GO_ON
    assert rank.node.state().step == 7
    go = Agreement(**{**vars(rank.node.say(COMMIT, 2, REBALANCE, stop_step=9)), "stage": GO})
    assert rank.at(8) == GO_ON
    assert (rank.told, rank.node.state().stop_step) == ((PROMISED, 2), 9)
    assert rank.at(9, then=go) == SAVE


def test_one_that_waits_is_asked_for_a_later_stop_step_and_goes_on_to_that(rank: Rank) -> None:
    rank.promised(5)
    later = Agreement(GENERATION, COMMIT, 2, 0.0, stop_step=8, notice_id=REBALANCE.notice_id)
    assert rank.at(5, then=later) == GO_ON
    assert (rank.told, rank.node.state().stop_step) == ((PROMISED, 2), 8)
    assert [rank.at(step) for step in (6, 7)] == [GO_ON, GO_ON]
    assert rank.at(8, then=Agreement(**{**vars(later), "stage": GO})) == SAVE


def test_a_go_of_another_round_is_not_its_go(rank: Rank) -> None:
    rank.promised(5)
    rank.node.say(GO, 0, REBALANCE, stop_step=5)
    assert rank.at(5, seconds=3) == GO_ON
    assert rank.told == (PASSED, 1)


@pytest.mark.parametrize(("seconds", "waits"), [(7.0, 7.0), (math.inf, WAIT_SECONDS)])
def test_it_waits_no_longer_than_it_may_and_says_so(
    rank: Rank, caplog: pytest.LogCaptureFixture, seconds: float, waits: float
) -> None:
    rank.promised(5)
    began = rank.clock.now
    assert rank.at(5, seconds=seconds) == GO_ON
    assert waits <= rank.clock.now - began < waits + 10
    assert "step 5: not all ranks have promised to save here in time; going on" in caplog.text
    assert (rank.told, rank.node.state().stop_step) == ((PASSED, 1), None)
    assert rank.busy == ["agreeing", ""]
    run_dir.write(rank.node.folder, Agreement(GENERATION, GO, 1, 0.0, stop_step=5, notice_id=REBALANCE.notice_id))
    assert rank.at(6) == GO_ON, "its promise is void: a go that comes now is not obeyed at another step"
    assert rank.side.agreed is None


@pytest.mark.parametrize("stage", [FAILED, ARMING])
def test_what_fails_releases_the_promise_and_tells_why(
    rank: Rank, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    rank.promised(5)
    over = Agreement(GENERATION, stage, 1, 0.0, reason="gone while agreeing: rank 0")
    assert rank.at(5, then=over) == RELEASED
    assert "step 5: the ranks do not save together (gone while agreeing: rank 0); training goes on" in caplog.text
    assert rank.told == (ARMED, 1)
    assert rank.side.agreed is None


def test_a_promise_that_others_saved_for_is_answered(rank: Rank) -> None:
    rank.promised(5)
    rank.node.say(DONE, 1, REBALANCE)
    assert rank.at(3) == ANSWERED
    assert rank.told == (READY, 1)
    assert not rank.side.open


@pytest.mark.parametrize(
    ("done_for", "notice", "outcome"),
    [
        (REBALANCE, REBALANCE, ANSWERED),
        (LEAVING, REBALANCE, ANSWERED),
        (LEAVING, LEAVING, ANSWERED),
        (REBALANCE, LEAVING, GO_ON),
        (None, REBALANCE, GO_ON),
    ],
)
def test_a_save_without_this_rank_answers_what_it_was_made_for(
    rank: Rank, done_for: LocalNotice | None, notice: LocalNotice, outcome: str
) -> None:
    rank.at(1, notice)
    rank.node.say(DONE, 1, done_for)
    assert rank.at(2, notice) == outcome
    assert rank.told == (READY if outcome == ANSWERED else ARMED, 1)


@pytest.mark.parametrize("change", [{"generation": GENERATION + 1}, {"attempt": 1}])
def test_an_agreement_of_another_start_of_the_job_is_none(rank: Rank, change: dict[str, int]) -> None:
    rank.at(1)
    rank.node.say(COMMIT, 1, REBALANCE, stop_step=5, **change)
    assert rank.at(2) == GO_ON
    assert (rank.told, rank.side.read) == ((ARMED, 0), None)


def test_one_that_was_to_save_and_did_not_says_so_at_the_next_boundary(rank: Rank) -> None:
    go = rank.promised(5)
    assert rank.at(5, then=go) == SAVE
    assert rank.at(6) == GO_ON
    assert rank.told == (ARMED, 1), "armed for this round again: the agent takes that for a save that failed"
    assert rank.side.agreed is None
    assert rank.side.begin(6) is None


@pytest.mark.parametrize(
    ("stage", "round_", "published"),
    [(DONE, 1, True), (FAILED, 1, False), (ARMING, 1, False), (DONE, 2, False), (COMMIT, 2, False), (FAILED, 2, False)],
)
def test_after_a_save_that_failed_here_it_hears_what_became_of_the_others(
    rank: Rank, stage: str, round_: int, published: bool
) -> None:
    go = rank.saving()
    began = rank.clock.now
    rank.clock.after(3, lambda: rank.node.say(stage, round_, REBALANCE, stop_step=5))
    assert rank.side.unsaved(5, go, 20.0) is published
    assert rank.clock.now - began < 5, "and no longer than until it knows"
    assert rank.told == (UNSAVED, 1)
    assert rank.side.read is not None
    assert (rank.side.read.stage, rank.side.read.round) == (stage, round_), "it has waited for that"


@pytest.mark.parametrize(("seconds", "waits"), [(0.0, 0.0), (7.0, 7.0), (math.inf, VERDICT_SECONDS)])
def test_without_a_verdict_in_time_nothing_counts_as_published(rank: Rank, seconds: float, waits: float) -> None:
    go = rank.saving()
    began = rank.clock.now
    assert rank.side.unsaved(5, go, seconds) is False
    assert waits <= rank.clock.now - began < waits + 5
    assert rank.told == (UNSAVED, 1)


def test_a_verdict_that_comes_after_that_answers_at_a_boundary(rank: Rank) -> None:
    go = rank.saving()
    assert rank.side.unsaved(5, go, 0.0) is False
    assert rank.at(6) == GO_ON
    assert rank.told == (ARMED, 1)
    rank.node.say(DONE, 1, REBALANCE)
    assert rank.at(7) == ANSWERED
    assert rank.told == (READY, 1)


def test_a_save_that_has_failed_and_is_published_later_all_the_same_is_saved(rank: Rank) -> None:
    go = rank.saving()
    rank.side.unsaved(5, go, 0.0)
    rank.side.saved(5, go)
    assert rank.told == (SAVED, 1)


def test_one_that_has_armed_again_stays_armed_and_yet_tells_what_is_published(rank: Rank) -> None:
    go = rank.saving()
    rank.at(6, LEAVING)
    assert rank.told == (ARMED, 1)
    rank.side.saved(5, go)
    assert (rank.told, rank.node.state().saved_round) == ((ARMED, 1), 1)
    rank.at(7, LEAVING)
    assert rank.node.state().saved_round == 1, "the agent may not have looked yet"
    rank.node.say(DONE, 1, REBALANCE)
    assert rank.side.unsaved(5, go, 20.0) is False
    assert rank.told == (ARMED, 1)
    assert rank.node.state().notice_id == LEAVING.notice_id


def test_a_failure_of_an_earlier_round_does_not_end_a_save_of_a_later_one(rank: Rank) -> None:
    first = rank.saving()
    rank.at(6, LEAVING)
    second = Agreement(**{**vars(rank.node.say(COMMIT, 2, LEAVING, stop_step=8)), "stage": GO})
    assert rank.at(7, LEAVING) == GO_ON
    assert rank.at(8, LEAVING, then=second) == SAVE
    assert rank.side.begin(8) == second
    assert rank.side.unsaved(8, first, 20.0) is False
    assert rank.told == (SAVING, 2)
    rank.side.saved(8, first)
    assert (rank.told, rank.node.state().saved_round) == ((SAVING, 2), 1)


def test_rank_0_says_that_the_last_checkpoint_answers_a_notice(rank: Rank) -> None:
    rank.side.covered(4, REBALANCE)
    said = rank.node.state()
    assert (said.stage, said.round, said.step, said.notice_id) == (COVERED, 0, 4, REBALANCE.notice_id)
    assert not rank.side.open
    rank.node.say(ARMING, 3, LEAVING)
    rank.side.covered(5, REBALANCE)
    assert rank.told == (COVERED, 3)
    rank.node.say(GO, 4, LEAVING, stop_step=9)
    rank.side.covered(6, LEAVING)
    assert rank.told == (COVERED, 3), "a round that is not over is not known to it"


def test_that_no_agent_answers_is_said_once(rank: Rank, caplog: pytest.LogCaptureFixture) -> None:
    rank.clock.tick, rank.clock.now = 0.0, 1000.0
    rank.at(1)
    rank.clock.now += LONELY_SECONDS - 1
    rank.at(2)
    assert caplog.text == ""
    rank.clock.now += 1
    rank.at(3)
    rank.at(4)
    assert caplog.text.count("no agent answers") == 1


def test_an_agent_that_has_answered_is_there(rank: Rank, caplog: pytest.LogCaptureFixture) -> None:
    rank.node.say(ARMING, 0, REBALANCE)
    rank.at(1)
    rank.clock.now += 2 * LONELY_SECONDS
    rank.at(2)
    assert "no agent answers" not in caplog.text


def test_a_promise_that_nobody_can_read_is_not_kept(rank: Rank, caplog: pytest.LogCaptureFixture) -> None:
    rank.at(1)
    rank.node.say(COMMIT, 1, REBALANCE, stop_step=5)
    shutil.rmtree(rank.node.folder / "ranks")
    with caplog.at_level(logging.WARNING):
        assert rank.at(2) == GO_ON
    assert "cannot be written" in caplog.text
    run_dir.write(rank.node.folder, Agreement(GENERATION, FAILED, 1, 0.0))
    (rank.node.folder / "ranks").mkdir()
    assert rank.at(3) == GO_ON, "and so there was nothing to be released from"
    assert rank.told == (ARMED, 1)


def test_a_promise_is_given_as_soon_as_it_can_be_written(rank: Rank) -> None:
    rank.at(1)
    go = Agreement(**{**vars(rank.node.say(COMMIT, 1, REBALANCE, stop_step=5)), "stage": GO})
    shutil.rmtree(rank.node.folder / "ranks")
    rank.at(2)
    (rank.node.folder / "ranks").mkdir()
    assert rank.at(3) == GO_ON
    assert rank.told == (PROMISED, 1)
    assert rank.at(5, then=go) == SAVE
