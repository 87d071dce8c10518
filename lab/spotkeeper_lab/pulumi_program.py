"""Runs a whole Pulumi program with no engine: its resources go to mocks, its exports come back.

The SDK has public mocks for single resources only. What a program needs besides is reached through names of its
runtime that are not promised, so all of them are here, and a test runs this file against the installed SDK.
"""

import asyncio
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config, mocks, settings
from pulumi.runtime.stack import run_in_stack


@dataclass(frozen=True)
class Run:
    """What a program exported, and the monitor that saw its resources."""

    exports: Mapping[str, Any]
    """By name; what is not known in a preview is a :class:`pulumi.output.Unknown`."""
    monitor: mocks.MockMonitor


def run_program(
    program: Path | Callable[[], Any],
    monitor: mocks.MockMonitor,
    *,
    project: str,
    stack: str,
    config_values: Mapping[str, str] | None = None,
    preview: bool = False,
) -> Run:
    """Run a program to its end, every resource and output awaited.

    The SDK has one state for a whole process: runs may follow each other, in any thread, but must not overlap.

    Args:
        program: the program's file, or a function that declares resources.
        monitor: made of the mocks that create resources and answer invokes.
        project: name of the Pulumi project, which is also the namespace of its config keys.
        stack: name of the stack.
        config_values: configuration by full key (``project:key``); objects as JSON.
        preview: run as ``pulumi preview`` does, where outputs may stay unknown.

    Raises:
        Exception: whatever the program or a mock raised. Resources that were on their way by then have been created.
    """

    async def run() -> dict[str, Any]:
        _configure(monitor, project, stack, dict(config_values or {}), preview)
        exports: dict[str, Any] = {}

        def declare() -> None:
            if callable(program):
                program()
            else:
                runpy.run_path(str(program), run_name="__main__")
            root: Any = settings.get_root_resource()
            exports.update(root.outputs)

        await run_in_stack(declare)
        return {name: await _known(value) for name, value in exports.items()}

    try:
        return Run(asyncio.run(run()), monitor)
    finally:
        settings.set_root_resource(None)  # type: ignore[arg-type]  # what it is before the first program


def _configure(monitor: mocks.MockMonitor, project: str, stack: str, values: dict[str, str], preview: bool) -> None:
    features = set(monitor.GetDeploymentInfo(None).supportedFeatures)  # type: ignore[no-untyped-call]  # the SDK's
    settings.configure(
        mocks.MockSettings(  # type: ignore[no-untyped-call]  # the SDK's
            monitor=monitor,
            monitor_features=features,
            engine=mocks.MockEngine(None),
            project=project,
            stack=stack,
            dry_run=preview,
            organization="organization",
            callbacks=None,
        )
    )
    settings.SETTINGS.rpc_manager.clear()
    settings.SETTINGS.outputs.clear()
    settings.set_root_resource(None)  # type: ignore[arg-type]  # what it is before the first program
    config.set_all_config(values, [])


async def _known(value: Any) -> Any:
    return await pulumi.Output.from_input(value).future(with_unknowns=True)
