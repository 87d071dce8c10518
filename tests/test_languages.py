"""What docs/languages.md and the examples in other languages name is in the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "plugin/schema.json").read_text("utf-8"))
TOKEN = re.compile(r"[{}]|(?:(\w+)[^\S\n]*:)")


def block(language: str) -> str:
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / "docs/languages.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(found)


PROGRAMS = {
    "docs, typescript": ("typescript", block("typescript")),
    "docs, go": ("go", block("go")),
    "docs, yaml": ("yaml", block("yaml")),
    "examples, typescript": ("typescript", (ROOT / "examples/typescript/index.ts").read_text("utf-8")),
    "examples, yaml": ("yaml", (ROOT / "examples/yaml/Pulumi.yaml").read_text("utf-8")),
}
Declared = tuple[str, str, Mapping[str, Any]]
"""What a program calls the resource, its component, and the inputs, nested as they are."""


def bare(program: str) -> str:
    """Return a program without comments and what is in strings."""
    program = re.sub(r'"[^"\n]*"|`[^`\n]*`', '""', program)
    return re.sub(r"//[^\n]*", "", program)


def names(literal: str) -> dict[str, Any]:
    """Return the names in an object literal that begins with its brace, each with those in it."""
    found: list[dict[str, Any]] = []
    name = ""
    for token in TOKEN.finditer(literal):
        if token.group() == "{":
            found.append({})
            if len(found) > 1:
                found[-2][name] = found[-1]
        elif token.group() == "}":
            if len(found) == 1:
                return found[0]
            found.pop()
        else:
            name = token.group(1)
            found[-1][name] = None
    raise AssertionError(f"no end: {literal[:80]}")


def declared(language: str, program: str) -> Iterator[Declared]:
    if language == "yaml":
        for name, resource in yaml.safe_load(program)["resources"].items():
            package, _, component = resource["type"].partition(":")
            assert package == SCHEMA["name"]
            yield name, component, resource.get("properties", {})
        return
    program = bare(program)
    made = {
        "typescript": r"const (\w+) = new spotkeeper\.(\w+)\(\"\", ",
        "go": r"(\w+), err := spotkeeper\.New(\w+)\(ctx, \"\", &spotkeeper\.\2Args",
    }[language]
    for match in re.finditer(made, program):
        yield match[1], match[2], names(program[match.end() :])


def lower(name: str) -> str:
    return name[0].lower() + name[1:]


def check(given: Mapping[str, Any], properties: Mapping[str, Any], where: str) -> None:
    for name, inner in given.items():
        assert name in properties, f"{where}.{name}"
        reference = properties[name].get("$ref")
        if reference:
            check(inner, SCHEMA["types"][reference.removeprefix("#/types/")]["properties"], f"{where}.{name}")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_name_is_in_the_contract(program: str) -> None:
    language, text = PROGRAMS[program]
    found = list(declared(language, text))
    assert found
    for variable, component, inputs in found:
        contract = SCHEMA["resources"][f"spotkeeper:index:{component}"]
        given = {lower(name): inner for name, inner in inputs.items()} if language == "go" else inputs
        check(given, contract["inputProperties"], component)
        assert set(contract.get("requiredInputs", [])) <= set(given), component
        asked = re.findall(rf"(?<![\w.]){variable}\.(\w+)", bare(text) if language != "yaml" else text)
        outputs = {lower(name) for name in asked} if language == "go" else set(asked)
        assert outputs <= set(contract["properties"]), component


def test_a_name_that_is_not_there_is_found() -> None:
    (_, component, inputs), *_ = declared(
        "typescript", 'const a = new spotkeeper.AwsTrainingFleet("x", {timings: {hook: 1}});'
    )
    with pytest.raises(AssertionError, match=r"AwsTrainingFleet.timings.hook"):
        check(inputs, SCHEMA["resources"][f"spotkeeper:index:{component}"]["inputProperties"], component)


def test_the_tag_that_is_shown_is_of_this_version() -> None:
    shown = "\n".join((ROOT / page).read_text("utf-8") for page in ("docs/languages.md", "README.md", *PAGES))
    assert set(re.findall(r"/plugin@([\w.]+)", shown)) == {f"v{SCHEMA['version']}"}


PAGES = ("examples/typescript/Pulumi.yaml", "examples/yaml/Pulumi.yaml")


@pytest.mark.parametrize("page", PAGES)
def test_examples_use_the_plugin_that_is_beside_them(page: str) -> None:
    project = ROOT / page
    source = yaml.safe_load(project.read_text("utf-8"))["packages"]["spotkeeper"]
    assert (project.parent / source / "PulumiPlugin.yaml").exists()
