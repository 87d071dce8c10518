"""Plays whole scenarios for tests."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from spotkeeper_lab import scenario
from spotkeeper_lab.live import Lines
from spotkeeper_lab.rehearsal import Outcome, Rehearsal


def play(name: str, work_dir: Path, *, within: float | None = None, **settings: Any) -> Outcome:
    """Play a scenario that comes with Spotkeeper.

    Args:
        name: its name.
        work_dir: an empty folder.
        within: how many seconds each of its steps may take.
        settings: ``nodes``, and whatever a rehearsal takes.
    """
    story = scenario.load(name)
    if "nodes" in settings:
        story = replace(story, nodes=settings.pop("nodes"))
    if within is not None:
        story = replace(story, steps=tuple(replace(step, within=within) for step in story.steps))
    return Rehearsal(story, work_dir, Lines(Console(file=io.StringIO())), **settings).run()
