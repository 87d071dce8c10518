"""What the documentation shows has to work as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pulumi_support import declare
from spotkeeper_lab import scenario

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_program_declares_a_fleet(tmp_path: Path, preview: bool) -> None:
    program = tmp_path / "__main__.py"
    program.write_text(blocks("README.md", "python")[0], "utf-8")
    declared = declare(program, preview=preview)
    assert len(declared.all("Group")) == 2
    assert "fleet" in declared.exports


def test_the_training_loop_compiles_and_names_what_there_is() -> None:
    loop = blocks("README.md", "python")[1]
    compile(loop, "README.md", "exec")
    exec(loop.splitlines()[0])  # the import line


def test_the_scenario_is_one(tmp_path: Path) -> None:
    file = tmp_path / "my-scenario.yaml"
    file.write_text(blocks("docs/scenarios.md", "yaml")[0], "utf-8")
    assert scenario.load(str(file)).nodes == 4


def test_faults_can_be_combined_as_shown() -> None:
    story = scenario.parse(f"description: faults\n{blocks('docs/scenarios.md', 'yaml')[1]}", "docs/scenarios.md")
    assert {"throttle", "crash", "dark", "refuse"} <= {step.do for step in story.steps}
    assert story.expect.alarms == ("quota",)


@pytest.mark.parametrize("page", ["README.md", *[str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")]])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
