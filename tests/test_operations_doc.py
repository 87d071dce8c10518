"""Whoever is called finds in docs/operations.md what called them, and nothing there that is no longer so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spotkeeper.aws.alarms import ALARMS
from spotkeeper_lab.cli import _parser, main
from spotkeeper_lab.commands import COMMANDS
from spotkeeper_responder.wording import WORDINGS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
HEADINGS = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
SECTIONS = dict(re.findall(r"^### ([^\n]+)\n\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
NOT_ON_CALL = {"rehearse", "agent-zipapp", "simulate", "plan", "review"}
"""Commands that nobody who is called needs."""


def logged(folder: str, call: str) -> set[str]:
    """What the code of a folder can write into its log."""
    texts = [path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py")]
    found = {words for text in texts for words in re.findall(call, text)}
    assert found
    return found


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_has_its_section(alarm: str) -> None:
    assert len(SECTIONS[alarm]) > 150


@pytest.mark.parametrize("topic", sorted({topic for topic, _ in WORDINGS}))
def test_every_announcement_has_its_section(topic: str) -> None:
    assert SECTIONS[topic]


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - NOT_ON_CALL))
def test_every_command_has_its_section(command: str) -> None:
    assert SECTIONS[command]
    assert f"spotkeeper {command}" in PAGE
    assert f"`{command}`" in PAGE.partition("### ")[0]  # what permissions it needs


def test_no_section_is_left_over() -> None:
    assert set(SECTIONS) == {*ALARMS, *(topic for topic, _ in WORDINGS), *COMMANDS} - NOT_ON_CALL


def test_every_problem_that_the_function_logs_is_explained_and_nothing_else() -> None:
    told = set(re.findall(r"`([^`]+)`", PAGE.partition("## Lines worth")[2].partition("On a node")[0]))
    written = logged("lambdas/spotkeeper_responder", r'log\(\s*"(?:ERROR|WARNING)",\s*"([^"]+)"')
    assert written <= told
    assert {words for words in told if " " in words and "/" not in words} <= written


def test_every_event_of_the_agent_that_is_named_is_one() -> None:
    rows = PAGE.partition("| event | means |")[2].partition("## ")[0].splitlines()
    named = {word for row in rows for word in re.findall(r"`([a-z-]+)`", row.split("|")[1] if "|" in row else "")}
    assert len(named) > 10
    assert named <= logged("instance/spotkeeper_agent", r'log\(\s*(?:"[a-z-]+" if \w+ else )?"([a-z-]+)"') | {
        "lease-lost"
    }


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_options_that_are_shown_exist() -> None:
    shown = re.findall(r"^spotkeeper (\w+)([^#\n]*)", PAGE, re.MULTILINE)
    assert {command for command, _ in shown} == set(COMMANDS) - NOT_ON_CALL
    for command, rest in shown:
        arguments = [command, *re.sub(r'"[^"]*"', "text", rest).split()]
        assert _parser(arguments).parse_args(arguments).command == command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_its_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert left.value.code == 0
    assert len(told.splitlines()) > 10
    assert "exit codes: 0" in told
