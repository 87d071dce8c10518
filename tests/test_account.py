from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from rank_support import LEAVING
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalProgress
from spotkeeper_training.account import Account


class Told:
    """An account in a folder, with a clock that the test turns."""

    def __init__(self, folder: Path, *, silent: bool = False, step: int | None = None) -> None:
        self.folder, self.now = folder, 100.0
        self.account = Account(folder, 3, silent=silent, step=step, clock=lambda: self.now)

    @property
    def progress(self) -> LocalProgress:
        found = run_dir.read(self.folder, LocalProgress)
        assert found is not None
        return found

    @property
    def confirmation(self) -> Confirmation | None:
        return run_dir.read(self.folder, Confirmation)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_steps_are_told_once_a_second_and_at_the_end(told: Told) -> None:
    seen = []
    for step, told.now in [(1, 100.0), (2, 100.9), (3, 101.0), (4, 101.9), (5, 101.95)]:
        told.account.report(step, 5)
        seen.append(told.progress.step)
    assert seen == [1, 1, 3, 3, 5]
    assert (told.progress.total, told.progress.generation) == (5, 3)
    assert told.account.step == 5


def test_the_rate_is_that_of_the_steps_told_of(told: Told) -> None:
    assert told.account.rate() is None
    for step, told.now in [(10, 100.0), (30, 110.0)]:
        told.account.report(step, None)
    assert told.account.rate() == told.progress.steps_per_second == 2.0
    for step in range(1, 70):  # what is long ago counts no more
        told.now += 1.0
        told.account.report(30 + 5 * step, None)
    assert told.account.rate() == 5.0


def test_what_holds_training_up_is_told_at_once(told: Told) -> None:
    told.account.report(1, None)
    told.account.busy("saving")
    assert (told.progress.busy, told.progress.step) == ("saving", 1)
    told.account.held_up(1.5)
    told.account.held_up(0.5)
    told.account.busy("")
    assert (told.progress.busy, told.progress.saving_seconds) == ("", 2.0)


def test_a_published_checkpoint_is_told_with_how_long_saves_take(told: Told) -> None:
    assert told.account.usual_save_seconds is None
    for step, seconds in [(10, 3.0), (20, 1.0), (30, None), (40, 8.0)]:
        told.account.published(step, seconds)
    assert told.account.usual_save_seconds == 3.0
    told.account.write()
    assert (told.progress.step, told.progress.published_step, told.progress.save_seconds_p95) == (40, 40, 8.0)
    assert told.progress.published_at == pytest.approx(time.time(), abs=60)
    told.account.report(50, None)
    told.account.published(45, 1.0)
    assert (told.account.step, told.account.published_step) == (50, 45), "one that was published behind training"


def test_what_was_loaded_may_be_confirmed_and_nothing_where_there_is_nothing(tmp_path: Path, told: Told) -> None:
    told.account.confirm(LEAVING)
    assert told.confirmation is None
    again = Told(tmp_path, step=7)
    again.account.confirm(LEAVING)
    assert again.confirmation is not None
    assert (again.confirmation.step, again.confirmation.notice_id, again.confirmation.generation) == (
        7,
        LEAVING.notice_id,
        3,
    )
    again.account.published(9, 1.0)
    again.account.confirm(None)
    assert again.confirmation is not None
    assert (again.confirmation.step, again.confirmation.notice_id) == (9, "")


def test_one_rank_speaks_for_all(tmp_path: Path) -> None:
    other = Told(tmp_path, silent=True, step=7)
    other.account.report(8, 10)
    other.account.busy("saving")
    other.account.confirm(LEAVING)
    assert list(tmp_path.iterdir()) == []
    assert other.account.step == 8
    other.now += 4
    other.account.report(10, 10)
    assert other.account.rate() == 0.5, "which its part in the agreement needs all the same"


def test_a_run_directory_that_is_gone_is_told_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = Told(tmp_path / "run", step=1)
    told.folder.mkdir()
    shutil.rmtree(told.folder)
    told.account.report(1, None)
    told.account.confirm(None)
    assert caplog.text.count("cannot be written") == 2


def test_without_an_agent_there_is_nobody_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    account = Account(None, 0, silent=False, step=1, clock=lambda: 0.0)
    account.report(2, 3)
    account.confirm(LEAVING)
    account.busy("")
    assert caplog.text == ""
