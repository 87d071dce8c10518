from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import Nodes
from agent_support import FLEET, PREFIX, wait_until
from spotkeeper_agent.cli import main
from spotkeeper_ledger import keys


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nodes, Path]]:
    with Nodes(tmp_path_factory.mktemp("cli")) as nodes:
        nodes.fleet.write_spec()
        started = nodes.start("i-1", "exec sleep 600")
        wait_until(lambda: nodes.fleet.holder() == "i-1")
        yield nodes, started.run_dir


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, taught in [
        (["--help"], ["exit codes", "75", "76", "notice.json", "spotkeeper-agent notice --kind"]),
        (["run", "--help"], ["--config FILE [-- COMMAND", "agent.json"]),
        (["notice", "--help"], ["--deadline", "Unix seconds", "--drill", "all but rebalance make the job stop"]),
        (["logs", "--help"], ["--ledger URI", "also one that is gone"]),
        (["doctor", "--help"], ["--config FILE", "--json"]),
        (["status", "--help"], ["--json", "$SPOTKEEPER_RUN_DIR"]),
    ]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        printed = " ".join(capsys.readouterr().out.split())
        for words in taught:
            assert words in printed


def test_status(node: tuple[Nodes, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTKEEPER_RUN_DIR", str(node[1]))
    assert main(["status", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["node"], said["role"], said["generation"], said["notice"]) == ("i-1", "holder", 1, None)
    assert (said["life_cycle"], said["zone"], said["fleet"]) == ("spot", "eu-west-1b", FLEET)
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "role            holder" in lines
    assert "notice          -" in lines
    assert "goodput" in said


def test_what_the_job_said_last_is_shown_and_found_in_the_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Nodes(tmp_path) as nodes:
        nodes.fleet.write_spec()
        node = nodes.start("i-1", "for n in 1 2 3; do echo line $n; done; echo oops >&2; exit 3", max_restarts=0)
        wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason == "failed")
        assert main(["logs", "--run-dir", str(node.run_dir), "--lines", "2"]) == 0
        assert capsys.readouterr().out == "line 3\noops\n"
        from_ledger = ["logs", "--ledger", nodes.fleet.uri, "--fleet", FLEET, "--node"]
        wait_until(lambda: main([*from_ledger, "i-1"]) == 0)
        shown = capsys.readouterr().out.splitlines()
        assert shown == ["# i-1, generation 1, start 1", "line 1", "line 2", "line 3", "oops"]
        assert (node.folder / "log").read_text().count("line 2\n") == 1, "in the agent's own output as before"
        assert main([*from_ledger, "i-9"]) == 1
        assert "i-9 has put none into" in capsys.readouterr().err
        assert main(from_ledger[:3]) == 2
        assert main(["logs", "--ledger", "gopher://x", "--fleet", FLEET, "--node", "i-1"]) == 1


def test_words_are_kept_to_the_node_where_that_is_asked_for(tmp_path: Path) -> None:
    with Nodes(tmp_path) as nodes:
        nodes.fleet.write_spec()
        nodes.start("i-1", "echo secret; exit 3", max_restarts=0, log_seconds=0)
        wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason == "failed")
        wait_until(lambda: (p := nodes.fleet.progress) and p.state == "failed")
        assert nodes.fleet.board.read(keys.log(FLEET, f"{PREFIX}i-1")) is None


def test_a_notice_for_others_is_not_heard(node: tuple[Nodes, Path], capsys: pytest.CaptureFixture[str]) -> None:
    nodes, run_dir = node
    for meant in (["--nodes", "i-2,i-3"], ["--fleet", "another", "--nodes", "all"]):
        assert main(["notice", "--kind", "drain", "--deadline", "none", *meant, "--run-dir", str(run_dir)]) == 0
        assert "not meant, nothing done" in capsys.readouterr().out
    assert nodes.fleet.notice("i-1") is None


def test_a_notice_is_heard_and_told_on(node: tuple[Nodes, Path], capsys: pytest.CaptureFixture[str]) -> None:
    nodes, run_dir = node
    deadline = int(time.time()) + 60
    arguments = ["--kind", "interruption", "--deadline", str(deadline), "--fleet", FLEET, "--nodes", "all", "--drill"]
    assert main(["notice", *arguments, "--run-dir", str(run_dir)]) == 0
    assert capsys.readouterr().out == "i-1: heard\n"
    notice = wait_until(lambda: nodes.fleet.notice("i-1"))
    assert (notice.kind, notice.deadline, notice.drill, notice.source) == ("interruption", deadline, True, "command")


def test_where_no_agent_is_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--run-dir", str(tmp_path)]) == 1
    assert "no agent answers" in capsys.readouterr().err
    assert main(["notice", "--kind", "drain", "--run-dir", str(tmp_path)]) == 1


def test_what_cannot_be_used_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["status", "--", "echo", "hello"]) == 2
    assert "only `run` takes a command" in capsys.readouterr().err
    for arguments in (["notice", "--kind", "levitation"], ["notice", "--kind", "drain", "--deadline", "nan"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_a_command_on_the_command_line_is_run(tmp_path: Path) -> None:
    with Nodes(tmp_path) as nodes:
        nodes.fleet.write_spec()
        nodes.start("i-1", "exit 1", after=["--", "touch", str(tmp_path / "a file with spaces")])
        wait_until(lambda: (p := nodes.fleet.progress) and p.state == "finished")
        assert (tmp_path / "a file with spaces").exists()
