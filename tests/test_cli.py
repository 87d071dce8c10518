from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from spotkeeper_lab import cli, commands, scenario, stages
from spotkeeper_lab.commands import rehearse

CALM = """
description: Nothing is interrupted.
nodes: 1
steps:
  - {when: fleet-serving, do: finish}
  - {when: job-finished, do: wait}
expect: {returned_to_spot: false}
"""


def test_the_list_names_every_scenario(capsys):
    assert cli.main(["rehearse", "--list"]) == commands.OK
    told = capsys.readouterr().out
    for name in scenario.names():
        assert name in told


def test_the_help_teaches_how_to_write_a_scenario(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["rehearse", "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    for word in ("training-mid-epoch", "send-events", "half", "exit codes", "--real-time", "returned-to-spot"):
        assert word in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rehearse", "aws", "--scenario", "hurricane"], "was 'hurricane', expected a YAML file or one of"),
        (["rehearse"], "name a cloud"),
        (["rehearse", "aws", "--nodes", "0"], "was 0, expected at least 1"),
        (["rehearse", "aws", "--nodes", "few"], "invalid"),
        (["rehearse", "azure"], "invalid choice"),
        (["rehearse", "aws", "--trainer", "gpt"], "invalid choice"),
    ],
)
def test_wrong_input_is_named(arguments, told, capsys):
    try:
        code = cli.main(arguments)
    except SystemExit as left:
        code = left.code
    assert code == commands.REFUSED
    assert told in capsys.readouterr().err


def test_what_is_not_installed_is_named_with_the_extra_that_has_it(monkeypatch, capsys):
    monkeypatch.setitem(stages._NEEDS, "gcp", ("gcp-lab", ("pulumi_aws", "no_such_package")))
    assert cli.main(["rehearse", "gcp"]) == commands.REFUSED
    assert "no_such_package is not installed, expected 'spotkeeper[gcp-lab]'" in capsys.readouterr().err


def test_what_the_stack_refuses_is_named_by_its_key(tmp_path, capsys):
    story = tmp_path / "odd.yaml"
    story.write_text("description: x\nfleet: {policy: nonsense}\nsteps: [{do: wait}]\n")
    assert cli.main(["rehearse", "aws", "--scenario", str(story)]) == commands.REFUSED
    assert "spotkeeper:policy: was 'nonsense', expected 'never'" in capsys.readouterr().err


def test_real_time_makes_everything_as_slow_as_in_the_cloud():
    arguments = ["rehearse", "aws", "--real-time"]
    played = rehearse.scenario_of(cli._parser(arguments).parse_args(arguments))
    assert played.durations.notice_seconds == 120
    assert played.trainer.save_every == 15 * scenario.load(scenario.DEFAULT).trainer.save_every


def test_a_rehearsal_that_proves_nothing_fails_and_leaves_its_report_and_picture(tmp_path, capsys):
    story = tmp_path / "calm.yaml"
    story.write_text(CALM)
    report, picture = tmp_path / "a" / "report.json", tmp_path / "b" / "picture.png"
    arguments = ["--scenario", str(story), "--nodes", "2", "--json", str(report), "--picture", str(picture)]
    assert cli.main(["rehearse", "aws", *arguments]) == commands.BROKEN
    written = json.loads(report.read_text())
    assert (written["ok"], written["scenario"], written["nodes"]) == (False, "calm", 2)
    assert written["broken_promises"] == ["nothing was proved: no node was interrupted"]
    assert written["training"]["finished"]
    assert imread(picture).shape[1] > 1000
    told = capsys.readouterr().out
    assert "NOT ok" in told
    assert "runs the job (generation 1)" in told


def test_ctrl_c_ends_every_process_that_was_started(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(
        [sys.executable, "-c", "import sys; from spotkeeper_lab.cli import main; sys.exit(main())", "rehearse", "aws"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "runs the job" in line:
            break
    started = processes_of(tmp_path)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert len(started) > 4, errors
    assert running.returncode == commands.INTERRUPTED
    assert "every process that was started is gone" in errors
    assert processes_of(tmp_path) == []
    assert list(tmp_path.glob("spotkeeper-rehearsal-*")) == []


def processes_of(folder: Path) -> list[str]:
    """Everything that runs with ``folder`` in its command line or environment, this process aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in seen and int(process.name) != os.getpid():
            found.append(seen.decode(errors="replace")[:200])
    return found
