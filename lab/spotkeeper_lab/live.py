"""What a rehearsal shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.news import GROUPS, sentence
from spotkeeper_lab.situation import NodeState, Situation
from spotkeeper_lab.timeline import called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spotkeeper_lab.local import Moment

NEWEST = 6
"""Sentences below the table."""
COLORS = {"spot": "dodger_blue1", "backup": "dark_orange"}


class View(Protocol):
    """Somebody who watches."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def say(self, text: str) -> None:
        """Show what the rehearsal does itself."""

    def show(self, now: Situation, moments: Sequence[Moment], waiting_for: str) -> None:
        """Show a situation, all moments so far, and what the scenario waits for."""


class Lines:
    """A line for everything that happens, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_at: float | None = None
        self._told = 0
        self._generation = 0

    def __enter__(self) -> Self:
        """Nothing has to be begun."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing has to be ended."""

    def say(self, text: str) -> None:
        """Print ``text``."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, now: Situation, moments: Sequence[Moment], waiting_for: str) -> None:  # noqa: ARG002 - too much for a log
        """Print what has happened since the last call."""
        self._started_at = self._started_at or (moments[0].at if moments else now.at)
        for moment in moments[self._told :]:
            if text := sentence(moment):
                self.say(f"{moment.at - self._started_at:6.1f} s  {text}")
        self._told = len(moments)
        if now.generation != self._generation and now.held:
            self._generation = now.generation
            run = "run" if now.others else "runs"
            told = f"{', '.join(map(called, now.members))}  {run} the job (generation {now.generation})"
            self.say(f"{now.at - self._started_at:6.1f} s  {told}")


class LiveTable:
    """A table of the nodes that is drawn over and over."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._started_at: float | None = None
        self._live = Live(Text(title), console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the table goes, what was said stays."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print ``text`` above the table."""
        self._live.console.print(text, highlight=False, markup=False)

    def show(self, now: Situation, moments: Sequence[Moment], waiting_for: str) -> None:
        """Draw the table."""
        self._started_at = self._started_at or (moments[0].at if moments else now.at)
        self._live.update(draw(now, moments, title=self._title, started_at=self._started_at, waiting_for=waiting_for))


def draw(now: Situation, moments: Sequence[Moment], *, title: str, started_at: float, waiting_for: str) -> Group:
    """Return the table of a situation, with the job above it and the newest sentences below."""
    nodes = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("group", "node", "does", "age"):
        nodes.add_column(column, justify="right" if column == "age" else "left")
    for node in sorted(now.nodes, key=lambda each: (each.launched_at, each.node)):
        does, style = doing(node, now)
        kind = Text(GROUPS.get(node.group, node.group), style=COLORS.get(node.group, ""))
        nodes.add_row(kind, called(node.node), Text(does, style=style), f"{max(0.0, now.at - node.launched_at):.0f} s")
    told = [(moment, text) for moment in moments if (text := sentence(moment))][-NEWEST:]
    news = [Text(f"{moment.at - started_at:6.1f} s  {text}", style="dim", no_wrap=True) for moment, text in told]
    head = Text.assemble((title, "bold"), f"   {now.at - started_at:.0f} s   ", (f"next: {waiting_for}", "dim"))
    return Group(head, _job(now), _sizes(now), Text(), nodes, Text(), *news)


def doing(node: NodeState, now: Situation) -> tuple[str, str]:
    """Return what a node does, and in which style it is shown."""
    holds = node.node in now.members and now.generation_state == "running"
    if node.leaving:
        return (f"{node.notice}: saving" if holds else f"{node.notice}: leaving"), "bold red"
    if holds:
        return ("runs the job" if not node.notice else f"runs the job, after a {node.notice} notice"), "bold green"
    return ("spare" if node.serving else "starting"), "" if node.serving else "dim"


def _job(now: Situation) -> Table | Text:
    if now.total is None or now.step is None:
        return Text(f"job: {now.job_state or 'not started'}")
    line = Table.grid(padding=(0, 2))
    saved = "" if now.published_step is None else f"saved at {now.published_step}"
    line.add_row(
        "job",
        ProgressBar(total=now.total, completed=now.step, width=40),
        f"step {now.step} of {now.total}",
        saved,
        now.job_state,
    )
    return line


def _sizes(now: Situation) -> Text:
    parts = []
    for group, desired in (("spot", now.spot_desired), ("backup", now.backup_desired)):
        parts.append((f"{GROUPS[group]} {len(now.serving(group))} serving of {desired} asked for", COLORS[group]))
    return Text("   ").join(Text(text, style=style) for text, style in parts)
