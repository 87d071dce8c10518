"""The report of a rehearsal in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.report import LOST_TO
from spotkeeper_lab.timeline import called, short

COLUMNS: Mapping[str, tuple[str, str]] = {
    "agent_heard_s": ("heard", "by the node's agent"),
    "checkpoint_confirmed_s": ("saved", "checkpoint confirmed"),
    "backup_requested_s": ("asked", "for on-demand"),
    "signalled_s": ("signal", "by the responder"),
    "backup_serving_s": ("serves", "the first on-demand node"),
    "reclaimed_s": ("gone", "the node"),
    "returned_to_spot_s": ("back", "on spot, no on-demand left above the base"),
}
"""Measurement of an interruption to the head of its column and what that means."""


FOLLOWED: Mapping[str, str] = {
    "taken_over_s": "job taken over",
    "backup_requested_s": "on-demand asked for",
    "publish_refused_s": "its checkpoint refused",
    "woken_s": "woken",
    "gone_s": "gone",
    "returned_to_spot_s": "back on spot",
}
"""Measurement of a node that was struck without a notice to what it means."""


FARES: Mapping[str, str] = {"calls": "made", "refused": "refused", "hung": "left without an answer"}
"""How calls fared that met a fault, in words."""


def headline(report: Mapping[str, Any]) -> str:
    """Return the most important numbers of a report in one line."""
    parts = [_notice(report["durations"]["notice_seconds"])]
    held = next((each for each in report["interruptions"] if each["held_job"] and each["kind"] == "interruption"), None)
    if held:
        parts += [
            f"{words} after {held[name]:.1f} s"
            for name, words in (
                ("checkpoint_confirmed_s", "checkpoint confirmed"),
                ("backup_requested_s", "backup asked for"),
                ("returned_to_spot_s", "back on spot"),
            )
            if held[name] is not None
        ]
    training = report["training"]
    if training and training["steps_lost"] is not None:
        parts.append(f"{training['steps_lost']} steps lost")
    return "  ·  ".join(parts)


def _notice(seconds: float) -> str:
    return f"notice {seconds:g} s" if seconds else "no notice"


def summary(report: Mapping[str, Any]) -> RenderableType:
    """Return what a reader wants to know at the end, for a console."""
    parts: list[RenderableType] = [Text(), _verdict(report)]
    if report["interruptions"]:
        parts.append(_interruptions(report))
    parts += [Text(_strike(each)) for each in report["strikes"]]
    if report["forgeries"]:
        parts.append(Text(_forgeries(report["forgeries"])))
    parts += [Text(_fault(each)) for each in report["faults"]]
    if report["launches_failed"]:
        parts.append(Text(f"Launches failed: {_counted(report['launches_failed'])}."))
    parts += [Text(_alarm(each)) for each in report["alarms"]]
    training = report["training"]
    if training:
        parts.append(Text(_training(training)))
    capacity, calls = report["capacity"], report[f"{report['cloud']}_calls"]
    if training and training.get("goodput"):
        parts.append(Text(_goodput(training["goodput"])))
    parts.append(
        Text(
            f"Capacity: {capacity['spot_node_s']:.0f} node-seconds of spot, "
            f"{capacity['on_demand_node_s']:.0f} of on-demand. "
            f"Calls: {calls['responder']} by the responder, {calls['agents']} by the agents."
        )
    )
    return Group(*parts)


def verdicts(reports: Sequence[Mapping[str, Any]]) -> Table:
    """Return what several rehearsals on one cloud came to, a line for each."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", caption_justify="left", caption_style="dim"
    )
    clouds = ", ".join(sorted({report["cloud"] for report in reports}))
    table.caption = f"On {clouds}. On-demand: node-seconds. Calls: the responder's. Steps may be lost without a notice."
    for head in ("scenario", "verdict", "seconds", "steps lost", "on-demand", "calls"):
        table.add_column(head, justify="left" if head in ("scenario", "verdict") else "right", no_wrap=True)
    for report in reports:
        training, broken = report["training"] or {}, len(report["broken_promises"])
        table.add_row(
            report["scenario"],
            Text("ok", style="green") if report["ok"] else Text(f"NOT ok: {broken} broken", style="bold red"),
            f"{report['seconds']:.0f}",
            "-" if training.get("steps_lost") is None else str(training["steps_lost"]),
            f"{report['capacity']['on_demand_node_s']:.0f}",
            str(report[f"{report['cloud']}_calls"]["responder"]),
        )
    return table


def _verdict(report: Mapping[str, Any]) -> Text:
    if report["ok"]:
        return Text(f"ok: every promise was kept ({report['seconds']:.0f} s)", style="bold green")
    broken = "\n".join(f"  - {sentence}" for sentence in report["broken_promises"])
    return Text(f"NOT ok:\n{broken}", style="bold red")


def _interruptions(report: Mapping[str, Any]) -> Table:
    notice = report["durations"]["notice_seconds"]
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", caption_justify="left", caption_style="dim"
    )
    meanings = "; ".join(f"{head}: {meaning}" for head, meaning in COLUMNS.values())
    since = "the node was taken back, which was said only as it happened"
    if notice:
        since = f"the notice, which was {notice:g} s"
    table.caption = f"Seconds after {since}. * held the job. {meanings[0].upper()}{meanings[1:]}."
    table.add_column("node", no_wrap=True)
    table.add_column("notice", no_wrap=True)
    for head, _ in COLUMNS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for each in report["interruptions"]:
        node = short(each["node"]) + (" *" if each["held_job"] else "")
        table.add_row(node, each["kind"], *("-" if each[name] is None else f"{each[name]:.1f}" for name in COLUMNS))
    return table


def _strike(strike: Mapping[str, Any]) -> str:
    """Say what became of a node that was struck without a notice, and how many seconds after that."""
    node = short(strike["node"]) + (" *" if strike["held_job"] else "")
    said = f"{node} was {strike['how']} {strike['started_s']:.1f} s after the start"
    followed = [f"{words} after {strike[name]:.1f} s" for name, words in FOLLOWED.items() if strike[name] is not None]
    if strike["steps_lost"] is not None:
        followed.append(f"{strike['steps_lost']} steps since its last checkpoint done again")
    return f"{said}: {', '.join(followed) or 'nothing came of it'}."


def _fault(fault: Mapping[str, Any]) -> str:
    """Say what was broken, from when to when, and what came of it."""
    until = "the end" if fault["to_s"] is None else f"{fault['to_s']:.1f} s"
    said = f"{fault['kind'].capitalize()} from {fault['from_s']:.1f} s to {until}"
    fares = [f"{_counted(fault[fare])} calls {words}" for fare, words in FARES.items() if fault.get(fare)]
    if fault.get("instead_of"):
        fares.append(f"the function died instead of calling {fault['instead_of']}")
    return f"{said}: {', '.join(fares) or 'nothing came of it'}."


def _counted(counts: Mapping[str, int]) -> str:
    return " and ".join(f"{number} ({name})" for name, number in counts.items())


def _alarm(alarm: Mapping[str, Any]) -> str:
    return f"Rang after {alarm['rang_s']:.1f} s: {alarm['name']} ({alarm['reason']})."


def _forgeries(forgeries: Mapping[str, Mapping[str, int]]) -> str:
    told = [f"{sum(outcomes.values())} {sort}" for sort, outcomes in forgeries.items()]
    total = {each: sum(outcomes[each] for outcomes in forgeries.values()) for each in ("written", "refused")}
    return (
        f"A hostile node tried to write {', '.join(told)} documents: {total['refused']} were refused by the cloud, "
        f"{total['written']} were written and ignored."
    )


def _goodput(goodput: Mapping[str, float]) -> str:
    lost = ", ".join(f"{goodput[name]:.1f} s {words}" for name, words in LOST_TO.items() if goodput[name] >= 0.05)
    useful = f"Goodput: {goodput['fraction']:.0%}, {goodput['useful_seconds']:.1f} s of useful steps"
    return f"{useful}; lost: {lost}." if lost else f"{useful}."


def _training(training: Mapping[str, Any]) -> str:
    resumed = (
        f"resumed on {called(training['resumed_on'])} from step {training['resume_step']}"
        if training["resumed"]
        else "not resumed"
    )
    if training["resumed"] and training["resumed_ranks"] > 1:
        resumed = f"resumed on {training['resumed_ranks']} nodes from step {training['resume_step']}"
    same = training["digest"] is not None and training["digest"] == training["uninterrupted_digest"]
    weights = "the same weights as" if same else "other weights than"
    compared = f"{weights} an uninterrupted run"
    if training["ranks"] > 1:
        compared = _compared(training)
    lost = "an unknown number of" if training["steps_lost"] is None else training["steps_lost"]
    return f"Training: {training['steps']} steps, {resumed}, {lost} steps lost, {compared}."


def _compared(training: Mapping[str, Any]) -> str:
    """Say what a training on several ranks has in common with one on a single rank."""
    same = training["samples"] is not None and training["samples"] == training["uninterrupted_samples"]
    if None in (training["accuracy"], training["uninterrupted_accuracy"]):
        return "no result to compare"
    accuracy = f"accuracy {training['accuracy']:.1%}, without any {training['uninterrupted_accuracy']:.1%}"
    return f"{'the same' if same else 'other'} samples in every step as without an interruption ({accuracy})"
