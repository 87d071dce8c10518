"""The picture of a comparison: what each policy costs over all starts, and the course of one run, as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spotkeeper_lab.picture import FAINT, IDLE, INK, LIGHT, PAPER, SAVED, STRONG, WARNED
from spotkeeper_lab.simulator.comparison import Comparison
from spotkeeper_lab.simulator.job import HOUR
from spotkeeper_lab.simulator.runs import Runs
from spotkeeper_lab.simulator.tables import job_text
from spotkeeper_lab.timeline import BACKUP, SPOT

if TYPE_CHECKING:  # drawing is needed once, at the end, and takes a second to import
    from matplotlib.axes import Axes

ROW = 0.44
"""Inches for a policy."""


def draw(found: Comparison, path: Path) -> None:
    """Write the picture of ``found`` to ``path``, whose folder has to exist.

    The run that is shown is the followed one of the first policy; without one the picture has no second part.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - see above
    from matplotlib.figure import Figure  # noqa: PLC0415

    followed = [runs for runs in found.runs if runs.moments]
    costs = ROW * (len(found.runs) + 1)
    courses = [ROW * 0.85 * max(1, len(followed)), 1.7] if followed else []
    heights = [costs, *courses]
    gaps = 0.95 * (1 if followed else 0) + 1.75
    total = sum(heights) + gaps
    figure = Figure(figsize=(12, total), facecolor=PAPER, dpi=130)
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.30 / total, job_text(found.job), fontsize=15, weight="bold", color=INK, va="center")
    market = found.windows.market
    what = f"{market.name}: {', '.join(market.pools[:5])}{' …' if len(market.pools) > 5 else ''}"
    figure.text(
        0.012, 1 - 0.58 / total, f"{what}; {len(found.windows)} starts", fontsize=10.5, color=FAINT, va="center"
    )
    bottom = 1 - (0.95 + costs) / total
    left, width = 0.15, 0.72
    _costs(figure.add_axes((left, bottom, width, costs / total)), found)
    if followed:
        top = bottom - 0.95 / total
        lanes = figure.add_axes((left, top - courses[0] / total, width, courses[0] / total))
        progress = figure.add_axes((left, top - (sum(courses) + 0.1) / total, width, courses[1] / total), sharex=lanes)
        _lanes(lanes, followed)
        _progress(progress, followed, found)
    figure.savefig(path, facecolor=PAPER)


def _plain(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(IDLE)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    axes.grid(axis="x", color=IDLE, linewidth=0.6)
    axes.set_axisbelow(True)


def _costs(axes: Axes, found: Comparison) -> None:
    """Every run is a dot; the bar spans p5 to p95, the mark is the mean."""
    _plain(axes)
    jitter = np.random.default_rng(0)
    for row, (runs, summary) in enumerate(zip(found.runs, found.summaries, strict=True)):
        late = runs.late
        offsets = row + jitter.uniform(-0.26, 0.26, len(runs.cost))
        axes.scatter(runs.cost[~late], offsets[~late], s=5, color=STRONG[SPOT], alpha=0.22, linewidths=0)
        axes.scatter(runs.cost[late], offsets[late], s=5, color=WARNED, alpha=0.3, linewidths=0)
        axes.plot([summary.p5, summary.p95], [row, row], color=INK, linewidth=1.6, solid_capstyle="butt")
        axes.plot(summary.mean, row, marker="D", markersize=7, color=INK, markeredgecolor=PAPER, zorder=5)
        note = f"${summary.mean:,.0f}" + (f", {summary.late} late" if summary.late else "")
        axes.annotate(
            note, (1, row), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            ha="left", va="center", fontsize=9, color=WARNED if summary.late else INK,
        )  # fmt: skip
    axes.axvline(found.on_demand, color=STRONG[BACKUP], linewidth=1.2, linestyle=(0, (4, 3)))
    lines = [(found.on_demand, "on-demand alone", STRONG[BACKUP])]
    if found.least is not None:
        lines.append((float(found.least.mean()), "optimum, mean", SAVED))
        axes.axvline(lines[-1][0], color=SAVED, linewidth=1.2, linestyle=(0, (4, 3)))
    most = max(float(runs.cost.max()) for runs in found.runs)
    for at, text, color in lines:
        side = "right" if at > 0.75 * most else "left"
        axes.annotate(
            f" {text} ${at:,.0f}", (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", fontsize=8, color=color, va="bottom", ha=side,
        )  # fmt: skip
    axes.set_yticks(range(len(found.runs)), [runs.policy for runs in found.runs])
    axes.set_ylim(len(found.runs) - 0.4, -0.6)
    axes.set_xlim(0, max(most, found.on_demand) * 1.06)
    for label in axes.get_yticklabels():
        label.set_color(INK)
    axes.set_xlabel(
        "dollars a run: a dot each, red where it was late; line p5 to p95, mark mean", color=FAINT, fontsize=9
    )


def _lanes(axes: Axes, followed: list[Runs]) -> None:
    """What each policy's job ran on in the run that is shown; what it was paid for and did not use is light."""
    _plain(axes)
    for row, runs in enumerate(followed):
        for moment in runs.moments:
            used = moment.spot + moment.on_demand
            kind = SPOT if moment.spot >= moment.on_demand else BACKUP
            start, stands = moment.at / HOUR, moment.stands / HOUR
            paid = moment.spot_held + moment.on_demand_held
            if used and moment.seconds > moment.stands:
                span = (start + stands, moment.seconds / HOUR - stands)
                axes.broken_barh([span], (row - 0.3, 0.6), facecolors=STRONG[kind])
            if paid and stands > 0:
                held = SPOT if moment.spot_held >= moment.on_demand_held else BACKUP
                axes.broken_barh([(start, stands)], (row - 0.3, 0.6), facecolors=LIGHT[held])
    axes.set_yticks(range(len(followed)), [runs.policy for runs in followed])
    axes.set_ylim(len(followed) - 0.4, -0.6)
    for label in axes.get_yticklabels():
        label.set_color(INK)
    axes.tick_params(labelbottom=False)
    from matplotlib.patches import Patch  # noqa: PLC0415

    entries = [
        Patch(color=STRONG[SPOT], label="works on spot"),
        Patch(color=STRONG[BACKUP], label="works on on-demand"),
        Patch(color=LIGHT[SPOT], label="starts on spot"),
        Patch(color=LIGHT[BACKUP], label="starts on on-demand"),
    ]
    axes.legend(
        handles=entries, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize=8,
        labelcolor=INK, handlelength=1.1, columnspacing=1.3, borderaxespad=0.2,
    )  # fmt: skip
    axes.set_title("One run, the same start for all", loc="left", fontsize=10, color=INK)


def _progress(axes: Axes, followed: list[Runs], found: Comparison) -> None:
    _plain(axes)
    colors = [STRONG[SPOT], STRONG[BACKUP], SAVED, INK, WARNED, FAINT, "#7b5fc9", "#0d8ea0", "#a05a2c", "#5d7d1e"]
    for runs, color in zip(followed, colors, strict=False):
        times = [0.0, *((moment.at + moment.seconds) / HOUR for moment in runs.moments)]
        axes.plot(
            times,
            [0.0, *(moment.done / HOUR for moment in runs.moments)],
            color=color,
            linewidth=1.5,
            label=runs.policy,
        )
    deadline, work = found.job.deadline_seconds / HOUR, found.job.work_seconds / HOUR
    axes.plot([0, deadline], [0, work], color=IDLE, linewidth=1.2, zorder=0)
    axes.axvline(deadline, color=WARNED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate("deadline", (deadline, 0), xytext=(3, 3), textcoords="offset points", fontsize=8, color=WARNED)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, labelcolor=INK, handlelength=1.4
    )
    latest = max((runs.moments[-1].at + runs.moments[-1].seconds) / HOUR for runs in followed)
    axes.set_xlim(0, max(deadline * 1.08, min(latest, deadline * 1.5) * 1.08))
    axes.set_ylim(0, work * 1.08)
    axes.set_ylabel("hours of work done", color=FAINT, fontsize=9)
    axes.set_xlabel("hours since the start", color=FAINT, fontsize=9)
