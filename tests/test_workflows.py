"""Workflows: what may run with which rights, and their scripts, run as they stand there.

``make lint`` checks their form (check-jsonschema) and what they let others do (zizmor); here is what no linter knows.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from test_review_command import DANGEROUS, HARMLESS

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / ".github/workflows").glob("*.yml"), *(ROOT / ".github/actions").glob("*/action.yml")])
TEXTS = {path.stem if path.stem != "action" else path.parent.name: path.read_text("utf-8") for path in FILES}
FLOWS: dict[str, Any] = {name: yaml.load(text, yaml.BaseLoader) for name, text in TEXTS.items()}  # "on" stays a word
WORKFLOWS = {name: flow for name, flow in FLOWS.items() if "jobs" in flow}
JOBS = {f"{name}/{job}": body for name, flow in WORKFLOWS.items() for job, body in flow["jobs"].items()}
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""How GitHub runs a script with ``shell: bash``."""


def script(steps: list[dict[str, Any]], begins: str) -> str:
    [found] = [step["run"] for step in steps if step.get("name", "").startswith(begins)]
    return str(found)


def run(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), **environment}
    return subprocess.run([*SHELL, text], cwd=folder, env=env, capture_output=True, text=True, check=False)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def used() -> Iterator[tuple[str, str]]:
    for text in TEXTS.values():
        yield from re.findall(r"uses: (\S+)(.*)", text)


def test_every_action_is_pinned_by_commit_and_the_same_one_everywhere() -> None:
    pins: dict[str, str] = {}
    for action, comment in used():
        if action.startswith("$/"):
            assert (ROOT / action[2:]).exists(), action
            continue
        name, _, commit = action.partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", commit), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
        assert pins.setdefault(name, commit) == commit
    assert {"pulumi/actions", "aws-actions/configure-aws-credentials", "google-github-actions/auth"} < pins.keys()


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_nobody_has_rights_by_default_and_no_workflow_knows_a_secret(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert "pull_request_target" not in WORKFLOWS[name]["on"]
    assert re.findall(r"secrets\.\w+|secrets: inherit|access-key|credentials_json", TEXTS[name]) == []


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_that_can_have_credentials_cannot_write_to_the_repository(name: str) -> None:
    allowed = [
        {"contents": "read"},
        {"contents": "read", "id-token": "write"},
        {"pull-requests": "write"},
    ]
    assert JOBS[name]["permissions"] in allowed
    if "id-token" not in JOBS[name]["permissions"]:
        assert "set-up" not in json.dumps(JOBS[name])


def test_a_preview_and_a_deploy_have_environments_of_their_own() -> None:
    assert JOBS["preview/preview"]["environment"] == "${{ matrix.stack }}-preview"
    assert JOBS["deploy/up"]["environment"] == "${{ matrix.stack }}"
    assert "command: up" in TEXTS["deploy"]
    assert [name for name, text in TEXTS.items() if re.search(r"command: up|pulumi (up|destroy)", text)] == ["deploy"]


def test_two_deploys_of_a_stack_never_run_at_once_and_none_is_broken_off() -> None:
    up = JOBS["deploy/up"]
    assert up["concurrency"] == {"group": "spotkeeper-up-${{ matrix.stack }}", "cancel-in-progress": "false"}
    assert (up["needs"], int(up["timeout-minutes"])) == ("preview", 360)  # GitHub ends no job later
    assert "concurrency" not in WORKFLOWS["deploy"]
    assert WORKFLOWS["deploy"]["on"]["push"] == {"branches": ["main"]}


def test_a_fork_gets_no_preview() -> None:
    condition = JOBS["pull-request/preview"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    assert condition.count("&&") == 1
    assert "needs.preview.result != 'skipped'" in JOBS["pull-request/comment"]["if"]


def test_a_danger_is_accepted_for_the_commit_that_was_seen() -> None:
    gate = JOBS["pull-request/preview"]["with"]["fail-on"]
    assert gate.startswith("${{ github.event.action == 'labeled' && github.event.label.name == ")
    assert gate.endswith(" && 'never' || 'danger' }}")
    assert {"labeled", "synchronize"} < {*WORKFLOWS["pull-request"]["on"]["pull_request"]["types"]}


def test_installing_comes_before_credentials() -> None:
    steps = FLOWS["set-up"]["runs"]["steps"]
    order = [step.get("name") or step["uses"].partition("@")[0] for step in steps]
    assert order.index("Install") < order.index("aws-actions/configure-aws-credentials")
    assert order.index("Install") < order.index("google-github-actions/auth")


def test_the_command_line_of_pulumi_is_that_of_the_tested_library() -> None:
    [library] = re.findall(r"^pulumi==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    versions = [found for text in TEXTS.values() for found in re.findall(r"pulumi-version: (\S+)", text)]
    assert versions == [library] * 2


@pytest.mark.parametrize("caller", ["pull-request", "deploy"])
def test_callers_give_what_is_taken(caller: str) -> None:
    taken = FLOWS["preview"]["on"]["workflow_call"]["inputs"]
    assert WORKFLOWS[caller]["jobs"]["preview"]["with"].keys() <= taken.keys()
    given = FLOWS["set-up"]["inputs"].keys()
    for job in ("preview/preview", "deploy/up"):
        [step] = [step for step in JOBS[job]["steps"] if step.get("uses", "").endswith("set-up")]
        assert step["with"].keys() == given


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a ``spotkeeper`` that is this one and a ``pulumi`` that prints ``preview.json``."""
    paths = ":".join(str(ROOT / folder) for folder in ("lab", "ledger"))
    start = "from spotkeeper_lab.cli import main; raise SystemExit(main())"
    program(
        tmp_path / ".venv/bin/spotkeeper", f"#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} -c '{start}' \"$@\"\n"
    )
    program(tmp_path / "bin/pulumi", '#!/bin/sh\necho "$@" > called\ncat preview.json\nexit "${PREVIEW_EXIT:-0}"\n')
    return tmp_path


def reviewed(folder: Path, preview: str, **more: str) -> tuple[int, str]:
    (folder / "preview.json").write_text(preview, "utf-8")
    environment = {
        "STACK": "prod",
        "PLAN": "stacks/plan.prod.json",
        "FAIL_ON": "danger",
        "REVIEW": "out/review/prod.md",
        "RUNNER_TEMP": str(folder / "out"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **more,
    }
    done = run(script(JOBS["preview/preview"]["steps"], "Review"), folder, **environment)
    text = (folder / "out/review/prod.md").read_text("utf-8")
    assert (folder / "summary.md").read_text("utf-8") == text
    return done.returncode, text


def test_a_preview_is_reviewed_with_what_stays_the_same(checkout: Path) -> None:
    code, text = reviewed(checkout, HARMLESS)
    assert (code, text.startswith("### Spotkeeper: `prod`\n\n> [!NOTE]")) == (0, True)
    told = (checkout / "called").read_text("utf-8")
    assert told == "preview --json --show-sames --non-interactive --stack prod\n"


def test_a_danger_fails_the_preview_unless_it_was_accepted_and_is_told_either_way(checkout: Path) -> None:
    assert (reviewed(checkout, DANGEROUS)[0], "> [!CAUTION]" in (checkout / "summary.md").read_text()) == (1, True)
    (checkout / "summary.md").unlink()
    assert reviewed(checkout, DANGEROUS, FAIL_ON="never")[0] == 0


def test_a_preview_that_fails_is_told_as_such(checkout: Path) -> None:
    code, text = reviewed(checkout, "", PREVIEW_EXIT="255")
    assert (code, "**The preview failed**" in text) == (1, True)


GH = """#!/usr/bin/env python3
import json, sys, pathlib
kept = pathlib.Path("comments.json")
comments = json.loads(kept.read_text()) if kept.exists() else []
words = sys.argv[1:]
path = next(word for word in words if word.startswith("repos/"))
if "--method" not in words:
    print(json.dumps(comments))
else:
    body = pathlib.Path("body.md").read_text()
    if words[words.index("--method") + 1] == "POST":
        comments.append({"id": len(comments) + 1, "body": body, "user": {"type": "Bot"}})
    else:
        comments[int(path.rpartition("/")[2]) - 1]["body"] = body
    kept.write_text(json.dumps(comments))
"""


def test_each_stack_has_one_comment_which_is_kept_up(tmp_path: Path) -> None:
    program(tmp_path / "bin/gh", GH.replace("/usr/bin/env python3", sys.executable))
    program(tmp_path / "bin/jq", JQ.replace("/usr/bin/env python3", sys.executable))
    text = script(JOBS["pull-request/comment"]["steps"], "Write")
    names = {"COMMENTS": "repos/o/r/issues/7/comments", "COMMENT": "repos/o/r/issues/comments", "RUN": "https://run"}
    kept = tmp_path / "comments.json"
    person = {"id": 1, "body": "<!-- spotkeeper review: prod -->", "user": {"type": "User"}}
    kept.write_text(json.dumps([person]), "utf-8")
    (tmp_path / "reviews").mkdir()
    for content in ("first", "second"):
        for stack in ("prod", "test"):
            (tmp_path / f"reviews/{stack}.md").write_text(content, "utf-8")
        (tmp_path / "reviews/empty.md").touch()
        done = run(text, tmp_path, **names)
        assert (done.returncode, done.stderr) == (0, "")
    comments = json.loads(kept.read_text("utf-8"))
    assert comments[0] == person
    assert [comment["body"] for comment in comments[1:]] == [
        f"<!-- spotkeeper review: {stack} -->\nsecond\n[Every difference](https://run)\n" for stack in ("prod", "test")
    ]


JQ = """#!/usr/bin/env python3
import json, sys
marker = sys.argv[sys.argv.index("marker") + 1]
assert '.[] | select(.user.type == "Bot" and (.body | startswith($marker))) | .id' in sys.argv
for each in json.load(sys.stdin):
    if each["user"]["type"] == "Bot" and each["body"].startswith(marker):
        print(each["id"])
"""
"""jq, which the machines of GitHub have, as far as one filter goes."""

COMPLETE = {
    "ENVIRONMENT": "prod-preview",
    "PULUMI_BACKEND_URL": "s3://state",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
    "AWS_REGION_WANTED": "eu-west-1",
    "GCP_SERVICE_ACCOUNT": "a@p.iam.gserviceaccount.com",
    "GCP_WORKLOAD_IDENTITY_PROVIDER": "projects/1/x",
}


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ((), ""),
        (("AWS_ROLE_ARN", "AWS_REGION_WANTED"), ""),
        (("GCP_SERVICE_ACCOUNT", "GCP_WORKLOAD_IDENTITY_PROVIDER"), ""),
        (("PULUMI_BACKEND_URL",), "PULUMI_BACKEND_URL: is not set in the environment prod-preview"),
        (("AWS_ROLE_ARN", "GCP_SERVICE_ACCOUNT"), "AWS_ROLE_ARN or GCP_SERVICE_ACCOUNT: is not set"),
        (("AWS_REGION_WANTED",), "AWS_REGION: is not set"),
        (("GCP_WORKLOAD_IDENTITY_PROVIDER",), "GCP_WORKLOAD_IDENTITY_PROVIDER: is not set"),
    ],
)
def test_an_environment_that_is_not_set_up_is_named(tmp_path: Path, without: tuple[str, ...], told: str) -> None:
    given: Mapping[str, str] = {name: "" if name in without else value for name, value in COMPLETE.items()}
    done = run(script(FLOWS["set-up"]["runs"]["steps"], "Check"), tmp_path, **given)
    assert (done.returncode, told in done.stdout, bool(told)) == (int(bool(told)), True, bool(done.stdout))
