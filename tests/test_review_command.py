"""``spotkeeper review`` as a workflow calls it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spotkeeper_lab.cli import main

PREFIX = "urn:pulumi:prod::vision::"
FLEET = f"{PREFIX}spotkeeper:index:AwsTrainingFleet::resnet"


def preview(before: dict[str, Any], after: dict[str, Any]) -> str:
    states = ({"inputs": {"nodes": 4, **each}} for each in (before, after))
    step = {"op": "update", "urn": FLEET, **dict(zip(("oldState", "newState"), states, strict=True))}
    return json.dumps({"steps": [step]})


HARMLESS = preview({}, {"nodes": 6})
ORDERLY = preview({}, {"nodes": 2})
DANGEROUS = preview({"checkpointUri": "s3://a/b"}, {"checkpointUri": "s3://a/c"})


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(text: str, *arguments: str) -> tuple[int, str, str]:
        path = tmp_path / "preview.json"
        path.write_text(text, "utf-8")
        code = main(["review", str(path), *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("text", "gate", "code"),
    [
        (HARMLESS, "danger", 0),
        (HARMLESS, "interruption", 0),
        (ORDERLY, "danger", 0),
        (ORDERLY, "interruption", 1),
        (DANGEROUS, "danger", 1),
        (DANGEROUS, "interruption", 1),
        (DANGEROUS, "never", 0),
    ],
)
def test_the_gate_lets_through_what_is_less_grave(told: Any, text: str, gate: str, code: int) -> None:
    found, out, err = told(text, "--fail-on", gate)
    assert (found, err) == (code, "")
    assert out.startswith("### Spotkeeper: `vision/prod`")


def test_danger_is_what_fails_where_nobody_says(told: Any) -> None:
    assert (told(ORDERLY)[0], told(DANGEROUS)[0]) == (0, 1)


def test_a_preview_that_failed_fails_whatever_the_gate_is(told: Any) -> None:
    for text, arguments in ((HARMLESS, ("--preview-exit", "255")), ("", ()), ("{}", ())):
        code, out, _ = told(text, *arguments, "--fail-on", "never", "--stack", "prod")
        assert (code, "### Spotkeeper: `prod`" in out, "**The preview failed**" in out) == (1, True, True)


def test_it_reads_what_is_piped_into_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ORDERLY))
    assert main(["review"]) == 0
    assert "**2 nodes fewer** (`nodes` 4 → 2)" in capsys.readouterr().out


def test_nobody_is_kept_waiting_for_a_pipe_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert main(["review"]) == 2
    assert "expected a FILE, or what is piped" in capsys.readouterr().err


def test_programs_are_told_the_same(told: Any) -> None:
    code, out, _ = told(DANGEROUS, "--json")
    found = json.loads(out)
    assert (code, found["stack"], found["level"], found["failed"], found["gone"]) == (
        1,
        "vision/prod",
        "danger",
        [],
        [],
    )
    [section] = found["sections"]
    assert (section["fleet"], [each["level"] for each in section["findings"]]) == ("resnet", ["danger"])


def test_a_plan_s_figures_come_along(told: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    job = {"work_seconds": 144000.0, "deadline_seconds": 216000.0, "nodes": 4}
    tried = [{"saving": 0.5, "p5": 10.0, "p95": 20.0, "late": 1, "windows": 9}]
    more = {"market": {"name": "m"}, "choice": {"policy": "deadline"}, "on_demand_cost": 40.0}
    plan.write_text(json.dumps({"job": job, "tried": tried, **more}), "utf-8")
    deadline = {"hours": 60, "work_hours": 40, "on_demand_price": 3}
    out = told(preview({"deadline": deadline}, {"deadline": deadline, "onRebalance": "ignore"}), "--plan", str(plan))[1]
    assert "25% to 50% of what on-demand alone costs (p5 to p95), 50% saved on average, late in 1 of 9 tries" in out


@pytest.mark.parametrize(
    ("text", "arguments", "what"),
    [
        ("Previewing", (), "spotkeeper review: the preview: was no JSON document"),
        (HARMLESS, ("--plan", "nowhere.json"), "spotkeeper review: the plan: nowhere.json: "),
        (HARMLESS, ("--plan", __file__), "spotkeeper review: the plan: "),
    ],
)
def test_wrong_input_is_one_line_and_code_2(told: Any, text: str, arguments: tuple[str, ...], what: str) -> None:
    code, out, err = told(text, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(what)


def test_a_preview_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "nowhere.json"]) == 2
    assert capsys.readouterr().err.startswith("spotkeeper review: the preview: nowhere.json: ")


def test_it_needs_nothing_that_a_deploy_does_not_install() -> None:
    """The workflow installs the cloud's extra only: not the lab's libraries."""
    lines = (
        "import sys",
        "from spotkeeper_lab.cli import main",
        "code = main(['review', '--json'])",
        "found = {'boto3', 'numpy', 'pulumi', 'rich', 'yaml', 'moto'} & {*sys.modules}",
        "sys.exit(f'imported {found}' if found else code)",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], input=HARMLESS, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
