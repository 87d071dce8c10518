"""Run Command carries no command: whatever the declared document lets through, a shell does one thing only."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotkeeper.aws.notice_document import PARAMETERS
from spotkeeper_lab.local_aws.ssm import InvalidParameters, fill_in, scripts
from test_stack import run

AGENT = "/usr/local/bin/spotkeeper-agent"
GOOD = {"Fleet": "p-s-f", "Kind": "drain", "Deadline": "1764000000", "Nodes": "i-01234567,i-89abcdef"}
HOSTILE = [
    *" \t\n\r\0;&|<>()$`\\\"'#~*?[]{}!=%/.@",
    *("{{", "}}", "{{ Kind }}", "$()", "$(reboot)", "`reboot`", "${IFS}", "'; reboot; '", "\n reboot \n", " --drill"),
]


@pytest.fixture(scope="module")
def document() -> Mapping[str, Any]:
    """The document as the stack declares it."""
    declared: Mapping[str, Any] = json.loads(run().one("Document").inputs["content"])
    return declared


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A command that writes down how it was called: a line for each call, its arguments ended by NULs."""
    folder = tmp_path_factory.mktemp("node")
    agent = folder / "spotkeeper-agent"
    agent.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >>"$RECORD"\nprintf "\\n" >>"$RECORD"\n')
    agent.chmod(0o755)
    yield agent


def parameter(name: str) -> st.SearchStrategy[str]:
    """What could come for a parameter: what it is meant to take, that with something hostile in it, anything at all."""
    meant = st.from_regex(PARAMETERS[name][1])
    spoilt = st.tuples(meant, st.sampled_from(HOSTILE), st.integers(0, 200)).map(
        lambda t: t[0][: t[2]] + t[1] + t[0][t[2] :]
    )
    return st.one_of(meant, spoilt, st.text(), st.sampled_from(HOSTILE))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({name: parameter(name) for name in PARAMETERS}), st.sampled_from(sorted(PARAMETERS)))
def test_what_is_let_through_is_one_call_with_just_these_arguments(
    document: Mapping[str, Any], recorder: Path, texts: dict[str, str], alone: str
) -> None:
    for given_ in (texts, {**GOOD, alone: texts[alone]}):
        try:
            values = fill_in(document, {name: [text] for name, text in given_.items()})
        except InvalidParameters:
            continue
        ((script, _),) = scripts(document, values)
        words = [word for name, value in values.items() for word in (f"--{name.lower()}", value)]
        assert called(script, recorder) == [["notice", *words]]


def called(script: str, recorder: Path) -> list[list[str]]:
    """Run a script as Run Command does; return the arguments of each call of the agent; it must do nothing else."""
    record = recorder.with_name("record")
    record.write_text("")
    folder = recorder.with_name("work")
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        ["/bin/sh", "-c", script.replace(AGENT, str(recorder))],
        env={"RECORD": str(record), "PATH": "/nonexistent"},  # any other command would fail, and say so
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b""), script
    assert not list(folder.iterdir()), script
    return [call.split("\0") for call in record.read_text().split("\0\n")[:-1]]


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_shell_acts_on_is_let_through(document: Mapping[str, Any], name: str, hostile: str) -> None:
    good = GOOD[name]
    for value in (hostile, hostile + good, good[:2] + hostile + good[2:], good + hostile + good):
        with pytest.raises(InvalidParameters):
            fill_in(document, {**{key: [text] for key, text in GOOD.items()}, name: [value]})


def test_a_document_without_its_patterns_would_be_found_out(document: Mapping[str, Any], recorder: Path) -> None:
    bare = {**document, "parameters": {name: {"type": "String"} for name in PARAMETERS}}
    values = fill_in(bare, {**{key: [text] for key, text in GOOD.items()}, "Nodes": [f"all'; {AGENT} 'stop"]})
    ((script, _),) = scripts(bare, values)
    assert len(called(script, recorder)) == 2


def test_the_document_asks_for_nothing_but_its_four_parameters(document: Mapping[str, Any]) -> None:
    assert set(document["parameters"]) == set(PARAMETERS)
    assert all(re.fullmatch(r"\^.+\$", rules["allowedPattern"]) for rules in document["parameters"].values())
    assert [step["action"] for step in document["mainSteps"]] == ["aws:runShellScript"]
