"""Checkpoints of a folder, and a job in bash that a real agent moves from one node to another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_process_support import Nodes
from agent_support import wait_until
from checkpoint_support import begun, resumed
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import EXIT_FENCED, Confirmation, LocalNotice
from spotkeeper_training.__main__ import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "bash"


def test_a_folder_is_saved_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = (tmp_path / "checkpoints").as_uri()
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "step").write_text("7")
    (out / "deep" / "model").write_bytes(os.urandom(3000))
    assert main(["save", "--step", "7", "--checkpoint", uri, str(out)]) == 0
    there = tmp_path / "there"
    there.mkdir()
    (there / "left.over").touch()
    assert main(["load", "--checkpoint", uri, str(there)]) == 0
    assert capsys.readouterr().out == "7\n"
    assert (there / "deep" / "model").read_bytes() == (out / "deep" / "model").read_bytes()
    assert not (there / "left.over").exists()


def test_the_first_run_finds_nothing_and_leaves_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "given").touch()
    assert main(["load", "--checkpoint", (tmp_path / "checkpoints").as_uri(), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "given").exists()


def test_a_save_confirms_to_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "step").write_text("7")
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv(run_dir.RUN_DIR, str(run))
    run_dir.write(run, LocalNotice("n-1", "interruption", leaving=True, at=1.0))
    checkpoints = (tmp_path / "checkpoints").as_uri()
    assert main(["save", "--step", "7", "--checkpoint", checkpoints, str(tmp_path)]) == 0
    confirmed = run_dir.read(run, Confirmation)
    assert confirmed is not None
    assert (confirmed.step, confirmed.notice_id) == (7, "n-1")


def test_what_goes_wrong_has_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(run_dir.CHECKPOINT_URI, raising=False)
    uri = (tmp_path / "checkpoints").as_uri()
    assert main(["save", str(tmp_path)]) == 2
    assert main(["save", "--checkpoint", uri, str(tmp_path / "nowhere")]) == 2
    begun(uri, generation=5)
    monkeypatch.setenv(run_dir.GENERATION, "4")
    with pytest.raises(SystemExit) as stale:
        main(["save", "--checkpoint", uri, str(tmp_path)])
    assert stale.value.code == EXIT_FENCED


def test_a_job_in_bash_goes_on_where_another_node_has_saved_it(tmp_path: Path) -> None:
    """The example, as it stands there."""
    with Nodes(tmp_path) as nodes:
        nodes.fleet.write_spec()
        wishes = {
            "command": f'cd {EXAMPLE} && export OUT="$SPOTKEEPER_RUN_DIR/out" && exec ./train.sh',
            "notice_command": f'cd {EXAMPLE} && OUT="$SPOTKEEPER_RUN_DIR/out" ./save.sh',
        }
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PACE": "0.05",
        }
        start = {"notice_command": wishes["notice_command"], "notice_command_confirms": True, "env": env}
        first = nodes.start("i-1", wishes["command"], **start)  # type: ignore[arg-type]
        wait_until(lambda: step(first.run_dir) > 5, seconds=45)
        second = nodes.start("i-2", wishes["command"], **start)  # type: ignore[arg-type]
        wait_until(lambda: nodes.fleet.report("i-2"))
        first.interrupt(60)
        wait_until(lambda: nodes.fleet.holder() == "i-2", seconds=45)
        saved = wait_until(lambda: (r := resumed(nodes.fleet.checkpoint_uri, 1000)) and r.step)
        wait_until(lambda: step(second.run_dir) > saved, seconds=45)
        said = (second.folder / "log").read_text()
        assert f"\n{saved}\n" in said, "it has told from which step it goes on"
        report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
        assert (report.exit_reason, report.confirmed_step) == ("notice", saved)


def step(folder: Path) -> int:
    try:
        return int((folder / "out" / "step").read_text())
    except (OSError, ValueError):
        return 0


def test_the_example_ends_with_its_result_saved(tmp_path: Path) -> None:
    uri = (tmp_path / "checkpoints").as_uri()
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        run_dir.CHECKPOINT_URI: uri,
        "OUT": str(tmp_path / "out"),
        "STEPS": "3",
        "PACE": "0",
    }
    subprocess.run([str(EXAMPLE / "train.sh")], cwd=EXAMPLE, env=env, check=True, timeout=60)
    found = resumed(uri, 1)
    assert found is not None
    assert found.step == 3
    assert json.loads(bytes(found.parts["files.json"])) == {"file-0": "step"}
