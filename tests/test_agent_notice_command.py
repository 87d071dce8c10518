"""The user's command for a notice: one that hangs, one that fails, one that writes without end."""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import Nodes, alive
from agent_support import wait_until
from spotkeeper_agent.notice_command import GRACE_SECONDS, NoticeCommand, environment
from spotkeeper_agent.notices import Moment, Notice

ENV = {"PATH": os.environ["PATH"]}


def notice(seconds: float | None, kind: str = "interruption", *, drill: bool = False) -> Notice:
    now = Moment.now()
    deadline = None if seconds is None else Moment(now.wall + seconds, now.boot + seconds)
    return Notice(f"i-1:{kind}", kind, "imds", now.wall, now, deadline, now if deadline else None, drill)


def later(seconds: float) -> Moment:
    now = Moment.now()
    return Moment(now.wall + seconds, now.boot + seconds)


def events(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return {line["event"]: line for line in lines}


class Heard:
    def __init__(self) -> None:
        self.notices: list[Notice] = []


def start(command: str, one: Notice, most: float = 300.0) -> tuple[NoticeCommand, Heard]:
    heard = Heard()
    return NoticeCommand(command, ENV, one, most, heard.notices.append), heard


def ended(running: NoticeCommand) -> None:
    wait_until(lambda: not running.running)


def test_it_is_told_what_there_is_to_know(tmp_path: Path) -> None:
    one = notice(100)
    running, heard = start(f"env >{tmp_path}/env", one)
    ended(running)
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert env["SPOTKEEPER_NOTICE_ID"] == "i-1:interruption"
    assert env["SPOTKEEPER_NOTICE_KIND"] == "interruption"
    assert env["SPOTKEEPER_NOTICE_LEAVING"] == "1"
    assert one.deadline is not None
    assert float(env["SPOTKEEPER_NOTICE_DEADLINE"]) == pytest.approx(one.deadline.wall, abs=0.01)
    assert 0 < float(env["SPOTKEEPER_NOTICE_SECONDS"]) <= 90, "until the job is told to stop"
    assert env["SPOTKEEPER_NOTICE_DRILL"] == "0"
    assert heard.notices == [one]
    mild = environment(notice(None, "rebalance", drill=True), 300.0)
    assert mild["SPOTKEEPER_NOTICE_LEAVING"] == "0"
    assert mild["SPOTKEEPER_NOTICE_DEADLINE"] == ""
    assert mild["SPOTKEEPER_NOTICE_SECONDS"] == "300.0"
    assert mild["SPOTKEEPER_NOTICE_DRILL"] == "1"


def test_one_that_fails_is_logged_with_its_last_words_and_confirms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    running, heard = start("echo no such bucket >&2; exit 3", notice(100))
    ended(running)
    said = events(capsys)["notice-command-exit"]
    assert (said["code"], said["output"], said["output_bytes"]) == (3, ["no such bucket"], 15)
    assert heard.notices == []


def test_one_that_hangs_is_stopped_in_time_even_if_it_ignores_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running, heard = start(f"trap '' TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.05; done", notice(100))
    pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    running.turn(None, later(89))
    assert "notice-command-too-slow" not in events(capsys)
    running.turn(None, later(91))
    assert alive(pid)
    running.turn(None, later(92 + GRACE_SECONDS))
    ended(running)
    assert not alive(pid)
    assert heard.notices == []
    assert events(capsys)["notice-command-exit"]["too_slow"] is True


def test_success_after_its_time_is_none(tmp_path: Path) -> None:
    running, heard = start(f"trap 'exit 0' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done", notice(100))
    wait_until((tmp_path / "ready").exists)
    running.turn(None, later(91))
    ended(running)
    assert heard.notices == []


@pytest.mark.parametrize(("known", "most", "left"), [(None, 300, 300), (100, 300, 90), (100, 20, 20), (10, 300, 9)])
def test_how_long_it_may_run(known: float | None, most: float, left: float) -> None:
    running, _ = start("exec sleep 600", notice(100), most)
    now = notice(known) if known else notice(None, "rebalance")
    assert running.seconds_left(now, Moment.now()) == pytest.approx(left, abs=1.0)
    running.kill()
    ended(running)


def test_a_deadline_that_comes_closer_stops_it_sooner() -> None:
    running, _ = start("exec sleep 600", notice(100))
    running.turn(notice(10), later(8))
    assert running.running
    running.turn(notice(10), later(9.5))
    ended(running)


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    running, heard = start(f"sleep 600 & echo $! >{tmp_path}/pid", notice(100))
    ended(running)
    assert not alive(int((tmp_path / "pid").read_text()))
    assert len(heard.notices) == 1


def test_one_that_writes_without_end_fills_neither_memory_nor_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    running, _ = start("exec head -c 2000000000 /dev/zero", notice(100))
    wait_until(lambda: not running.running, 60)
    said = events(capsys)["notice-command-exit"]
    assert said["output_bytes"] == 2_000_000_000
    assert len(json.dumps(said)) < 200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024, "KiB"
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_cannot_be_started_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no process is left")

    monkeypatch.setattr("subprocess.Popen", refuse)
    threads = threading.active_count()
    running, _ = start("true", notice(100))
    assert not running.running
    assert events(capsys)["notice-command-cannot-start"]["error"] == "no process is left"
    running.turn(None, later(1000))
    wait_until(lambda: threading.active_count() <= threads)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        started.fleet.write_spec()
        yield started


def test_its_success_confirms_for_a_job_that_has_no_guard(nodes: Nodes) -> None:
    saved = nodes.folder / "saved"
    node = nodes.start(
        "i-1",
        "exec sleep 600",
        lease_seconds=60,
        notice_command=f'kill -0 "$SPOTKEEPER_JOB_PID" && echo "$SPOTKEEPER_NOTICE_KIND" >{saved}',
        notice_command_confirms=True,
    )
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    wait_until(node.job_pid)
    spare = nodes.start("i-2", "exec sleep 600", lease_seconds=60)
    wait_until(lambda: nodes.fleet.report("i-2"))
    deadline = node.interrupt(60)
    wait_until(lambda: nodes.fleet.holder() == "i-2")
    assert time.time() < deadline - 30, "the deadline was not waited for"
    assert saved.read_text() == "interruption\n"
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    assert (report.exit_reason, report.confirmed_step) == ("notice", None)
    assert report.confirmed_at is not None
    assert report.notice_id == "i-1:leaving"
    assert not spare.logged("notice-command")


def test_while_it_saves_no_other_node_takes_over_even_if_the_job_is_gone(nodes: Nodes) -> None:
    go_on = nodes.folder / "go-on"
    node = nodes.start(
        "i-1",
        "trap 'exit 75' USR1; while :; do sleep 0.05; done",
        notice_signal="USR1",
        notice_command=f"while [ ! -e {go_on} ]; do sleep 0.05; done",
        notice_command_confirms=True,
    )
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    wait_until(node.job_pid)
    node.interrupt(60)
    wait_until(lambda: node.logged("job-exit"))
    seen = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.at > seen.at)
    assert nodes.fleet.holder() == "i-1"
    assert seen.confirmed_at is None
    go_on.touch()
    wait_until(lambda: (g := nodes.fleet.generation) and g.state == "ending")
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.confirmed_at)


def test_a_job_that_exits_with_0_after_the_signal_has_not_finished(nodes: Nodes) -> None:
    node = nodes.start("i-1", "trap 'exit 0' USR1; while :; do sleep 0.05; done", notice_signal="SIGUSR1")
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    wait_until(node.job_pid)
    node.interrupt(60)
    wait_until(lambda: (g := nodes.fleet.generation) and g.state == "ending")
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    assert (report.exit_code, report.exit_reason) == (0, "notice")
    assert node.logged("notice-signal")[0]["processes"] == 1
