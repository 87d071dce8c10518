"""What training processes wrote about themselves: where each generation went on from, and how far it came. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

FILE = "trainer.jsonl"
"""Name of the file in a node's run directory: one JSON object a line, each with ``event``."""


def parse(text: str) -> list[dict[str, Any]]:
    """Return the events of one file; a last line that was cut off by the end of its process is left out."""
    events = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def resume_steps(nodes: Iterable[Iterable[dict[str, Any]]]) -> dict[int, int]:
    """Return the step that each generation first went on from."""
    starts = [event for events in nodes for event in events if event.get("event") == "start"]
    return {event["generation"]: event["resume_step"] for event in reversed(starts)}


def resumed(nodes: Iterable[Iterable[dict[str, Any]]]) -> dict[int, frozenset[int]]:
    """Return the steps that the ranks of each generation went on from."""
    return _by_generation((event["generation"], event["resume_step"]) for event in _of(nodes, "start"))


def stopped(nodes: Iterable[Iterable[dict[str, Any]]]) -> dict[int, frozenset[int]]:
    """Return the steps at which the ranks of each generation stopped for a notice, or were done."""
    return _by_generation((event["generation"], event["step"]) for event in _of(nodes, "stop", "finish"))


def _of(nodes: Iterable[Iterable[dict[str, Any]]], *names: str) -> list[dict[str, Any]]:
    return [event for events in nodes for event in events if event.get("event") in names]


def _by_generation(pairs: Iterable[tuple[int, int]]) -> dict[int, frozenset[int]]:
    found: dict[int, frozenset[int]] = {}
    for generation, step in pairs:
        found[generation] = found.get(generation, frozenset()) | {step}
    return found


def refused_at(events: Iterable[dict[str, Any]]) -> float | None:
    """Return when a node was first refused to publish a checkpoint, because a later generation runs the job."""
    return next((event["at"] for event in events if event.get("event") == "fenced"), None)


def last_steps(nodes: Iterable[Iterable[dict[str, Any]]]) -> dict[int, int]:
    """Return the step at which each generation stopped in order; one that was killed is not among them."""
    steps: dict[int, int] = {}
    for events in nodes:
        generation = None
        for event in events:
            if event.get("event") == "start":
                generation = event["generation"]
            elif generation is not None and isinstance(event.get("step"), int):
                steps[generation] = event["step"]
    return steps
