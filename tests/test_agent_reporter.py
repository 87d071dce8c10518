from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent_support import FLEET, PREFIX, Fleet, a_node, write_config
from spotkeeper_agent.config import load_config
from spotkeeper_agent.goodput import Account
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.outbox import Outbox
from spotkeeper_agent.reporter import Reporter
from spotkeeper_ledger import keys, run_dir
from spotkeeper_ledger.run_dir import LocalProgress


class Desk:
    """A reporter with a clock that the test turns, and everything that it has sent."""

    def __init__(self, tmp_path: Path) -> None:
        self.fleet, self.now, self.run_dir = Fleet(tmp_path), 0.0, tmp_path / "run"
        self.run_dir.mkdir()
        config = load_config(write_config(tmp_path, self.fleet, command="train", command_version="3"))
        self._outbox = Outbox()
        self._outbox.start()
        self.reporter = Reporter(config, a_node(), self.fleet.board, self._outbox, clock=lambda: self.now)

    def settle(self) -> None:
        assert self._outbox.flush(10)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_report_is_sent_when_it_is_new_or_due(desk: Desk) -> None:
    report = desk.reporter.blank_report()
    seen = []
    for seconds, one in [(0.0, report), (0.9, report), (1.0, report), (1.1, replace(report, notice_id="x"))]:
        desk.now = seconds
        desk.reporter.report(one)
        desk.settle()
        seen.append(desk.fleet.report("i-1"))
    first, repeated, due, changed = seen
    assert first is not None
    assert due is not None
    assert changed is not None
    assert repeated == first
    assert due.at > first.at
    assert changed.notice_id == "x"
    assert (first.node, first.boot_id, first.command_version) == ("i-1", "b", "3")
    assert abs(first.at - time.time()) < 10


def test_progress_is_the_jobs_own_and_a_new_checkpoint_is_told_at_once(desk: Desk) -> None:
    progress = desk.reporter.blank_progress(2)
    desk.reporter.progress(progress)
    desk.settle()
    assert desk.fleet.progress is None, "the job has not said anything yet"
    steps = []
    for seconds, local in [
        (0.0, LocalProgress(step=1, at=1.0, generation=2)),
        (0.1, LocalProgress(step=2, at=1.0, generation=2)),
        (0.2, LocalProgress(step=3, at=1.0, generation=2, published_step=3)),
        (1.3, LocalProgress(step=4, at=1.0, generation=2, published_step=3)),
    ]:
        desk.now = seconds
        run_dir.write(desk.run_dir, local)
        desk.reporter.progress(progress)
        desk.settle()
        assert desk.fleet.progress is not None
        steps.append(desk.fleet.progress.step)
    assert steps == [1, 1, 3, 4]


def test_last_words_are_sent_at_a_notice_at_an_exit_and_once_a_minute_if_they_are_new(desk: Desk) -> None:
    key = keys.log(FLEET, f"{PREFIX}i-1")
    report, said = desk.reporter.blank_report(), "one\n"
    shipped = []
    for seconds, changes, words in [
        (0.0, {}, "one\n"),
        (1.0, {}, "two\n"),  # nothing has happened
        (2.0, {"notice_id": "i-1:leaving"}, "three\n"),
        (3.0, {"notice_id": "i-1:leaving", "exit_code": 75}, "four\n"),
        (62.9, {"notice_id": "i-1:leaving", "exit_code": 75}, "five\n"),
        (63.1, {"notice_id": "i-1:leaving", "exit_code": 75}, "six\n"),
    ]:
        desk.now, said = seconds, words
        desk.reporter.output(lambda: said, replace(report, **changes))  # noqa: B023 - called at once
        desk.settle()
        found = desk.fleet.board.read(key)
        shipped.append(found.body.decode() if found else None)
    assert shipped == ["one\n", "one\n", "three\n", "four\n", "four\n", "six\n"]
    before = desk.fleet.board.read(key)
    desk.now = 1000.0
    desk.reporter.output(lambda: "six\n", replace(report, notice_id="i-1:leaving", exit_code=75))
    desk.settle()
    after = desk.fleet.board.read(key)
    assert before and after
    assert before.version == after.version, "the same words are not written again"


def test_the_account_of_the_job_is_told_with_its_progress(desk: Desk) -> None:
    assert desk.reporter.goodput() == {"goodput": None}
    run_dir.write(desk.run_dir, LocalProgress(step=5, at=1.0, generation=1))
    desk.reporter.progress(desk.reporter.blank_progress(1), Account(50.0, working=9.0, restart=1.0, first=0, high=5))
    desk.settle()
    assert desk.fleet.progress is not None
    assert desk.fleet.progress.goodput is not None
    assert desk.fleet.progress.goodput.fraction == 0.9
    assert desk.reporter.goodput()["goodput"] == 0.9
    assert desk.reporter.goodput()["restart_seconds"] == 1.0


def test_the_end_is_told_even_of_a_job_that_never_said_anything(desk: Desk) -> None:
    desk.reporter.progress(replace(desk.reporter.blank_progress(1), state="finished", exit_code=0))
    desk.settle()
    assert desk.fleet.progress is not None
    assert (desk.fleet.progress.state, desk.fleet.progress.exit_code) == ("finished", 0)


def test_a_notice_goes_into_the_nodes_own_folder(desk: Desk) -> None:
    heard = Moment(1000.0, 5.0)
    desk.reporter.notice(Notice("i-1:leaving", "drain", "signal", 999.0, heard, Moment(1060.0, 65.0), heard))
    desk.settle()
    notice = desk.fleet.notice("i-1")
    assert notice is not None
    assert (notice.kind, notice.heard_at, notice.deadline, notice.source) == ("drain", 1000.0, 1060.0, "signal")
