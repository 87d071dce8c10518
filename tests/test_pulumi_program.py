"""The harness that runs Pulumi programs without an engine, against the SDK that is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from spotkeeper_lab.pulumi_program import run_program


class Echo(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.inputs.get("refuse"):
            raise ValueError("refused")
        return None if args.inputs.get("unknown") else f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise NotImplementedError(args.token)


class Thing(pulumi.CustomResource):
    def __init__(self, name: str, **inputs: Any) -> None:
        super().__init__("test:index:Thing", name, inputs)


def run(program: Any, **options: Any) -> Any:
    return run_program(program, mocks.MockMonitor(Echo()), project="p", stack="s", **options)


def test_exports_are_values_and_resources_are_registered() -> None:
    def program() -> None:
        thing = Thing("one")
        pulumi.export("id", thing.id)
        pulumi.export("where", f"{pulumi.get_project()}/{pulumi.get_stack()}")
        pulumi.export("key", pulumi.Config("p").require("key"))

    done = run(program, config_values={"p:key": "value"})
    assert done.exports == {"id": "one-id", "where": "p/s", "key": "value"}
    assert [urn.split("::")[-1] for urn in done.monitor.resources] == ["one"]


def test_a_preview_leaves_unknown_what_is_not_made_yet() -> None:
    done = run(lambda: pulumi.export("id", Thing("one", unknown=True).id), preview=True)
    assert isinstance(done.exports["id"], pulumi.output.Unknown)


def test_an_error_in_an_apply_is_raised_and_the_next_run_is_clean() -> None:
    def fail(_: str) -> None:
        raise RuntimeError("in an apply")

    with pytest.raises(RuntimeError, match="in an apply"):
        run(lambda: Thing("one").id.apply(fail))
    assert run(lambda: pulumi.export("id", Thing("two").id)).exports == {"id": "two-id"}


def test_a_later_run_in_another_thread_knows_nothing_of_the_one_before() -> None:
    def program() -> None:
        pulumi.export("key", pulumi.Config("p").get("key"))
        pulumi.export("id", Thing("same").id)

    first = run(program, config_values={"p:key": "value"})
    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        second = elsewhere.submit(run, program).result()
    assert first.exports == {"key": "value", "id": "same-id"}
    assert second.exports == {"key": None, "id": "same-id"}
    assert [*second.monitor.resources] == [*first.monitor.resources]


def test_what_a_mock_refuses_is_raised() -> None:
    with pytest.raises(ValueError, match="refused"):
        run(lambda: Thing("one", refuse=True))


def test_a_program_may_be_a_file(tmp_path: Any) -> None:
    file = tmp_path / "__main__.py"
    file.write_text("import pulumi\npulumi.export('name', __name__)\n")
    assert run(file).exports == {"name": "__main__"}
