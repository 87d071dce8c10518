"""``spotkeeper rehearse``: the whole system on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spotkeeper import InputError
from spotkeeper_lab import collection
from spotkeeper_lab import scenario as scenarios
from spotkeeper_lab.commands import BROKEN, OK, Refused
from spotkeeper_lab.durations import REAL
from spotkeeper_lab.jobs import TRAINERS
from spotkeeper_lab.reading import ScenarioError
from spotkeeper_lab.situation import CONDITIONS, TARGETS
from spotkeeper_lab.stages import CLOUDS, missing
from spotkeeper_lab.steps import ACTIONS
from spotkeeper_lab.summary import headline, summary, verdicts

DESCRIPTION = """\
Runs the real Pulumi program of stacks/ against a local cloud, starts a real agent and a real training for every node,
interrupts them as a scenario says, and proves from what happened that every promise was kept.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rehearse``."""
    parser.epilog = _epilog()
    add = parser.add_argument
    add("cloud", nargs="?", choices=CLOUDS, help="the cloud to rehearse on")
    add("--list", action="store_true", help="list the scenarios, of a cloud if it is named, and leave")
    add(
        "--scenario",
        default=scenarios.DEFAULT,
        metavar="NAME|FILE",
        help="a scenario of --list or a YAML file (default: %(default)s)",
    )
    add("--every", action="store_true", help="play every scenario that there is for the cloud, one after the other")
    add("--nodes", type=_count, metavar="N", help="how many nodes the fleet has (default: as the scenario says)")
    add("--trainer", choices=sorted(TRAINERS), default="digits", help="what the nodes run (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the report there; with --every, the list of them")
    add("--picture", type=Path, metavar="FILE", help="write the timeline there (default: out/<cloud>-<scenario>.png)")
    add(
        "--real-time",
        action="store_true",
        help="let everything take as long as in the cloud: the notice two minutes, the whole half an hour",
    )
    add("--keep", action="store_true", help="keep the working folder with all logs, and tell where it is")


def run(options: argparse.Namespace) -> int:
    """Rehearse, or list what can be rehearsed."""
    if options.list:
        return _list(options.cloud)
    if options.cloud is None:
        raise Refused(f"name a cloud ({' or '.join(CLOUDS)}), or use --list")
    if absent := missing(options.cloud):
        raise Refused(absent)
    if options.every and options.picture:
        raise Refused("picture: was given with --every, expected without: each scenario has its own")
    try:
        if options.every:
            return _rehearse_every(options)
        return _rehearse(scenario_of(options), options)
    except ScenarioError as error:
        raise Refused(str(error)) from None
    except InputError as error:
        raise Refused(f"the stack refuses what the scenario asks for: {error}") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped; every process that was started is gone.") from None


def _epilog() -> str:
    trainers = "\n".join(f"  {name:8}{text}" for name, text in sorted(TRAINERS.items()))
    conditions = "\n".join(f"  {name:22}{text}" for name, (text, _) in CONDITIONS.items())
    actions = "\n".join(f"  {name:15}{text}" for name, (text, _) in ACTIONS.items())
    targets = "\n".join(f"  {name:8}{text}" for name, (text, _) in TARGETS.items())
    example = textwrap.indent(scenarios.text(scenarios.DEFAULT), "  ")
    return textwrap.dedent("""\
        examples:
          spotkeeper rehearse aws
          spotkeeper rehearse aws --scenario storm --nodes 8 --json storm.json
          spotkeeper rehearse gcp --scenario ./my-scenario.yaml --keep
          spotkeeper rehearse gcp --every

        exit codes: 0 everything was proved; 1 a promise was broken or nothing was proved; 2 wrong input; 130 stopped
        with Ctrl-C
        """) + (
        f"\ntrainers:\n{trainers}\n\nA scenario is a YAML file such as this one:\n\n{example}\n"
        f"steps wait for (when):\n{conditions}\n\nsteps do (do):\n{actions}\n\nsteps aim at (target):\n{targets}\n"
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"was {value}, expected at least 1")
    return value


def _list(cloud: str | None) -> int:
    """Print the scenarios, and under each that is not for every cloud which one it is not for, and why."""
    table = Table.grid(padding=(0, 2))
    for name in scenarios.names():
        scenario = scenarios.load(name)
        table.add_row(f"[bold]{name}[/bold]", f"{scenario.description} [dim]({scenario.nodes} nodes)[/dim]")
        for each in CLOUDS if cloud is None else (cloud,):
            if why := scenario.refusal(each):
                table.add_row("", f"[dim]not on {each}: {why}[/dim]")
    Console(highlight=False).print(table)
    return OK


def scenario_of(options: argparse.Namespace) -> scenarios.Scenario:
    """Return the scenario that was asked for, with the changes that were asked for.

    Raises:
        ScenarioError: There is none, or it cannot be played on that cloud.
    """
    scenario = scenarios.load(options.scenario)
    if why := scenario.refusal(options.cloud):
        raise ScenarioError(f"scenario: was {scenario.name!r}, which cannot be played on {options.cloud}. {why}")
    if options.nodes:
        scenario = dataclasses.replace(scenario, nodes=options.nodes)
    if options.real_time:
        slower = REAL.step_seconds / scenario.durations.step_seconds
        trainer = dataclasses.replace(scenario.trainer, save_every=scenario.trainer.save_every * slower)
        scenario = dataclasses.replace(scenario, durations=REAL, trainer=trainer)
    return scenario


def _rehearse(scenario: scenarios.Scenario, options: argparse.Namespace) -> int:
    console = Console(highlight=False)
    report = _play(scenario, options, console, quiet=False)
    if options.json:
        _write(options.json, report)
    console.print(summary(report))
    console.print(f"Picture: {_picture(scenario, options)}")
    return OK if report["ok"] else BROKEN


def _rehearse_every(options: argparse.Namespace) -> int:
    """Play one scenario after the other, and say at the end what each came to."""
    console, reports = Console(highlight=False), []
    for name in scenarios.names(options.cloud):
        options.scenario = name
        report = _play(scenario_of(options), options, console, quiet=True)
        reports.append(report)
        if not report["ok"]:
            console.print(summary(report))
    if options.json:
        _write(options.json, reports)
    console.print(verdicts(reports))
    return OK if all(report["ok"] for report in reports) else BROKEN


def _play(
    scenario: scenarios.Scenario, options: argparse.Namespace, console: Console, *, quiet: bool
) -> dict[str, Any]:
    """Play a scenario, draw its picture, and return its report."""
    console.print(f"[bold]{scenario.name}[/bold]: {scenario.description}")
    with collection.paused():  # importing Pulumi's providers and the local cloud takes seconds
        from spotkeeper_lab.live import Lines, LiveTable  # noqa: PLC0415
        from spotkeeper_lab.picture import draw  # noqa: PLC0415
        from spotkeeper_lab.rehearsal import Rehearsal  # noqa: PLC0415

    work_dir = Path(tempfile.mkdtemp(prefix="spotkeeper-rehearsal-"))
    watched = Console(quiet=True) if quiet and not console.is_terminal else console
    try:
        with LiveTable(console, scenario.name) if console.is_terminal else Lines(watched) as view:
            outcome = Rehearsal(scenario, work_dir, view, cloud=options.cloud, trainer=options.trainer).run()
    finally:
        if options.keep:
            console.print(f"All files of the rehearsal are in {work_dir}")
        else:
            shutil.rmtree(work_dir, ignore_errors=True)
    picture, title = _picture(scenario, options), f"{scenario.name} on {options.cloud}: {scenario.description}"
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(outcome.timeline, picture, title=title, subtitle=headline(outcome.report))
    return outcome.report


def _picture(scenario: scenarios.Scenario, options: argparse.Namespace) -> Path:
    chosen: Path = options.picture or Path("out") / f"{options.cloud}-{scenario.name}.png"
    return chosen


def _write(path: Path, report: dict[str, Any] | list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
