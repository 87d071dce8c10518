"""Pausing and resuming: the commands, and what the real responder makes of what they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from oncall_support import Ledger
from responder_support import FLEET, spec
from responder_world import World
from spotkeeper_lab.commands import waiting
from spotkeeper_lab.operations import pausing
from spotkeeper_lab.operations.account import open_account
from spotkeeper_ledger import ANY, HELD, STOPPED, Conflict, FleetLedger, Pause, dump, keys, load, open_board
from spotkeeper_ledger.board import Expected
from spotkeeper_ledger.folder import FolderBoard
from spotkeeper_responder import Tick


@pytest.fixture
def ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ledger:
    return Ledger.in_folder(tmp_path, capsys)


def settle(world: World, ticks: int = 6) -> None:
    """Let the responder tick, each time after every hook has run out."""
    for _ in range(ticks):
        world.sim().release()
        world.pass_time(700)
        world.respond(Tick())


def test_a_stopped_fleet_saves_goes_to_nothing_and_comes_back(ledger: Ledger, tmp_path: Path) -> None:
    world = World(tmp_path)
    said = ledger.run("pause", FLEET, "--reason", "price peak")
    assert (said.code, said.err) == (0, "")
    assert "At the responder's next tick" in said.out
    assert f"spotkeeper resume {FLEET}" in said.out
    world.respond(Tick())
    assert world.cloud.of("signal")  # the job is told to save before anybody goes
    assert len(world.spot()) == 4
    settle(world)
    sim = world.sim()
    assert (sim.spot.desired, sim.backup.desired, sim.spot.members, sim.backup.members) == (0, 0, {}, {})
    assert "stopped" in ledger.run("status").out
    assert "price peak" in ledger.run("status", FLEET).out
    said = ledger.run("resume", FLEET)
    assert "it was stopped for" in said.out
    assert "brought back to 4 nodes" in said.out
    settle(world)
    assert len(world.spot()) == 4


def test_hands_are_kept_off_a_held_fleet(ledger: Ledger, tmp_path: Path) -> None:
    world = World(tmp_path)
    assert "changes no size" in ledger.run("pause", FLEET, "--hold").out
    world.sim().lose(world.spot()[0])
    world.cloud.fleets[FLEET].spot_capacity = 0
    settle(world)
    assert not world.cloud.of("resize")
    assert not world.cloud.of("terminate")
    ledger.run("resume", FLEET)
    settle(world)
    assert world.cloud.of("resize")


def test_what_is_so_already_is_said_and_not_written(ledger: Ledger) -> None:
    ledger.fleet()
    ledger.run("pause", FLEET, "--reason", "first")
    before = ledger.ledger()
    said = ledger.run("pause", FLEET, "--reason", "second")
    assert (said.code, ledger.ledger()) == (0, before)
    assert "paused already: stopped for" in said.out
    assert "first" in said.out
    ledger.run("resume", FLEET)
    after = ledger.ledger()
    assert "is not paused" in ledger.run("resume", FLEET).out
    assert ledger.ledger() == after


def test_the_other_mode_replaces_a_pause(ledger: Ledger) -> None:
    ledger.fleet(pause=Pause(STOPPED, 1.0, "x"))
    assert ledger.run("pause", FLEET, "--hold", "--reason", "y").code == 0
    pause = ledger.ledger().pause
    assert pause is not None
    assert (pause.mode, pause.reason) == (HELD, "y")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_fleet_that_is_not_there_is_refused_and_those_that_are_named(ledger: Ledger, command: str) -> None:
    assert f"fleet: was '{FLEET}', and this ledger has no fleet" in ledger.run(command, FLEET).err
    ledger.fleet("vision")
    for name in ("vison", "../vision", "Vision"):
        said = ledger.run(command, name)
        assert (said.code, said.out) == (2, "")
        assert said.err == f"spotkeeper {command}: fleet: was {name!r}, expected one of vision\n"
    assert ledger.board.read(keys.ledger("vison")) is None


def test_a_job_that_is_over_does_not_start_again(ledger: Ledger) -> None:
    ledger.fleet(pause=Pause(STOPPED, 1.0), job_state="finished", job_ended_at=5.0)
    assert "its job is over: nothing will start" in ledger.run("resume", FLEET).out
    assert "its job is over: it goes to zero" in ledger.run("pause", FLEET).out


def test_a_responder_that_does_not_look_is_mentioned(ledger: Ledger) -> None:
    ledger.fleet(ticked_at=ledger.now - 3000)
    assert "no-tick" in ledger.run("pause", FLEET).out
    ledger.fleet("new", ticked_at=None)
    assert "has not looked at this fleet yet" in ledger.run("pause", "new").out


# ---------------------------------------------------------------- the write


def test_only_the_pause_is_changed(ledger: Ledger) -> None:
    ledger.fleet(extra={"from_a_newer_version": 1})
    before = ledger.ledger()
    change = pausing.pause(ledger.board, FLEET, HELD, "why", 5.0)
    assert (change.before, change.after) == (None, Pause(HELD, 5.0, "why"))
    assert ledger.ledger() == replace(before, pause=Pause(HELD, 5.0, "why"), revision=before.revision + 1)


def test_a_fleet_that_nobody_has_looked_at_yet_can_be_paused(ledger: Ledger) -> None:
    ledger.put(keys.spec(FLEET), spec())
    pausing.pause(ledger.board, FLEET, STOPPED, "", 5.0)
    written = ledger.ledger()
    assert (written.incarnation, written.revision, written.pause) == ("AROATEST", 1, Pause(STOPPED, 5.0))


def test_what_was_remembered_of_another_incarnation_is_not_taken_over(ledger: Ledger) -> None:
    ledger.fleet(incarnation="AROAOLD", pause=Pause(HELD, 1.0), revision=40)
    pausing.pause(ledger.board, FLEET, STOPPED, "", 5.0)
    written = ledger.ledger()
    assert (written.incarnation, written.revision, written.seen) == ("AROATEST", 41, {})


class Overtaken(FolderBoard):
    """Somebody else writes the ledger just before us, so many times."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.times = times

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        if self.times > 0:
            self.times -= 1
            found = self.read(key)
            assert found is not None
            other = load(FleetLedger, found.body)
            super().write(key, dump(replace(other, revision=other.revision + 1)), expect=ANY)
        return super().write(key, body, expect=expect)


def test_a_write_that_is_lost_is_decided_again(ledger: Ledger, tmp_path: Path) -> None:
    ledger.fleet()
    pausing.pause(Overtaken(tmp_path, 3), FLEET, HELD, "", 5.0)
    written = ledger.ledger()
    assert (written.revision, written.pause) == (7 + 3 + 1, Pause(HELD, 5.0))


def test_a_ledger_that_is_never_free_is_an_error_of_one_line(ledger: Ledger, tmp_path: Path) -> None:
    ledger.fleet()
    with pytest.raises(Conflict):
        pausing.pause(Overtaken(tmp_path, 1000), FLEET, HELD, "", 5.0)


# ---------------------------------------------------------------- waiting


def test_waiting_ends_when_the_last_node_is_gone(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    world = World(tmp_path)

    def respond() -> None:
        board = open_board(ledger.uri)
        while load(FleetLedger, board.read(keys.ledger(FLEET)).body).pause is None:  # type: ignore[union-attr]
            time.sleep(0.01)
        settle(world)

    responder = threading.Thread(target=respond)
    responder.start()
    said = ledger.run("pause", FLEET, "--wait")
    responder.join()
    assert said.code == 0
    assert "4 of 4 nodes serving" in said.err
    assert said.out.endswith("Done: 0 of 0 nodes serving.\n")
    assert world.sim().spot.members == {}


def test_a_ledger_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    assert waiting._look(open_account("s3://ledger", timeout=0.1), FLEET) is None
    assert "trying again" in waiting._progress(None)


def test_ctrl_c_ends_the_waiting_and_leaves_the_pause(ledger: Ledger) -> None:
    ledger.fleet()
    command = "import sys; from spotkeeper_lab.cli import main; sys.exit(main())"
    running = subprocess.Popen(
        [sys.executable, "-c", command, "pause", FLEET, "--wait", "--ledger", ledger.uri],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert running.stderr is not None
    assert "4 of 4 nodes serving" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (130, f"Stopped waiting. {FLEET} stays paused.\n")
    assert "is paused" in out
    assert ledger.ledger().pause is not None
