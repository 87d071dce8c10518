"""The report of a rehearsal in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.timeline import short

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


def headline(report: Mapping[str, Any]) -> str:
    """Return the most important numbers of a report in one line."""
    parts = [f"notice {report['durations']['notice_seconds']:g} s"]
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


def summary(report: Mapping[str, Any]) -> RenderableType:
    """Return what a reader wants to know at the end, for a console."""
    parts: list[RenderableType] = [Text(), _verdict(report), _interruptions(report)]
    training = report["training"]
    if training:
        parts.append(Text(_training(training)))
    capacity, calls = report["capacity"], report["aws_calls"]
    parts.append(
        Text(
            f"Capacity: {capacity['spot_node_s']:.0f} node-seconds of spot, "
            f"{capacity['on_demand_node_s']:.0f} of on-demand. "
            f"Calls: {calls['responder']} by the responder, {calls['agents']} by the agents."
        )
    )
    return Group(*parts)


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
    table.caption = (
        f"Seconds after the notice, which was {notice:g} s. * held the job. {meanings[0].upper()}{meanings[1:]}."
    )
    table.add_column("node", no_wrap=True)
    table.add_column("notice", no_wrap=True)
    for head, _ in COLUMNS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for each in report["interruptions"]:
        node = short(each["node"]) + (" *" if each["held_job"] else "")
        table.add_row(node, each["kind"], *("-" if each[name] is None else f"{each[name]:.1f}" for name in COLUMNS))
    return table


def _training(training: Mapping[str, Any]) -> str:
    resumed = (
        f"resumed on {training['resumed_on']} from step {training['resume_step']}"
        if training["resumed"]
        else "not resumed"
    )
    same = training["digest"] is not None and training["digest"] == training["uninterrupted_digest"]
    weights = "the same weights as" if same else "other weights than"
    lost = "an unknown number of" if training["steps_lost"] is None else training["steps_lost"]
    return f"Training: {training['steps']} steps, {resumed}, {lost} steps lost, {weights} an uninterrupted run."
