"""Results in words and tables. Pure."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.simulator.comparison import Comparison
from spotkeeper_lab.simulator.job import HOUR, Job
from spotkeeper_lab.simulator.market import Market
from spotkeeper_lab.simulator.runs import Summary

UNFINISHED = "not done when its window ended: what it had cost by then counts, which is too little"


def comparison(found: Comparison) -> RenderableType:
    """Return a table with a line for each policy, and what it stands on."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    heads = ["policy", "mean $", "p5 to p95", "saving", "late", "dearer", "od h", "spot h"]
    for head in [*heads, *(["vs best"] if found.least is not None else [])]:
        table.add_column(head, justify="left" if head == "policy" else "right", no_wrap=True)
    for summary in found.summaries:
        table.add_row(*_line(summary, found.least is not None))
    parts: list[RenderableType] = [Text(headline(found), style="bold"), Text(" ")]
    parts += [table, Text(" "), Text(legend(found), style="dim")]
    return Group(*parts)


def headline(found: Comparison) -> str:
    """Return the question in a line."""
    name = found.windows.market.name
    return f"{job_text(found.job)}, {len(found.windows)} starts in {name}; on-demand alone ${found.on_demand:,.2f}"


def job_text(job: Job) -> str:
    """Return a job in a few words."""
    nodes = f"{job.nodes} node{'s' if job.nodes > 1 else ''}"
    if not job.gang:
        nodes = f"{job.least} to {nodes}"
    base = f", {job.base} always on-demand" if job.base else ""
    return f"{job.work_seconds / HOUR:g} h of work by {job.deadline_seconds / HOUR:g} h on {nodes}{base}"


def legend(found: Comparison) -> str:
    """Return what the columns mean, and what some lines lack."""
    text = (
        "Costs in dollars for a run, all included: starts, double nodes, notices, work done twice. saving: of the "
        "on-demand cost, mean. late: runs that missed the deadline. dearer: runs that cost more than on-demand alone. "
        "od h, spot h: node-hours paid, mean."
    )
    if found.least is not None:
        text += " vs best: above what a run costs at least whose future is known."
    if any(summary.unfinished for summary in found.summaries):
        text += f" *: some runs were {UNFINISHED}."
    return text


def supply(market: Market) -> RenderableType:
    """Return a table of a market's pools."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    paced = any(rate != 1 for rate in market.rates)
    heads = ["pool", "available", "room", "mean $/h", "least", "most", "below on-demand", *(["rate"] if paced else [])]
    for head in heads:
        table.add_column(head, justify="left" if head == "pool" else "right", no_wrap=True)
    for row, pool in enumerate(market.pools):
        counts, prices = market.counts[row], market.prices[row]
        table.add_row(
            pool,
            f"{(counts > 0).mean():.0%}",
            f"{counts.max()}",
            f"{prices.mean():.3f}",
            f"{prices.min():.3f}",
            f"{prices.max():.3f}",
            f"{1 - prices.mean() / market.on_demand_price:.0%}",
            *([f"{market.rates[row]:g}"] if paced else []),
        )
    return table


def money(dollars: float) -> str:
    """Return dollars, with cents where they are few."""
    return f"{dollars:,.2f}" if dollars < 100 else f"{dollars:,.0f}"


def _line(summary: Summary, bound: bool) -> list[RenderableType]:
    star = "*" if summary.unfinished else ""
    cells: list[RenderableType] = [
        summary.policy,
        money(summary.mean),
        f"{summary.p5:,.0f} to {summary.p95:,.0f}",
        f"{summary.saving:.0%}",
        Text(f"{summary.late}/{summary.windows}{star}", style="red" if summary.late else ""),
        Text(f"{summary.dearer}", style="yellow" if summary.dearer else ""),
        f"{summary.on_demand_hours:.1f}",
        f"{summary.spot_hours:.1f}",
    ]
    if bound:
        told = summary.above_optimum is not None and not summary.late  # what is late may be cheaper than the optimum
        cells.append(f"{summary.above_optimum:+.0%}" if told else "-")
    return cells
