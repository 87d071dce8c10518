"""The picture of a rehearsal: a lane per node, the job's steps and the sizes of both groups over time, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spotkeeper_lab.timeline import BACKUP, FROZEN, SPOT, Life, Notice, Timeline, alive, last, short

if TYPE_CHECKING:  # drawing is needed once, at the end, and takes a second to import
    from matplotlib.axes import Axes

INK, FAINT, PAPER = "#1d2733", "#8a97a6", "#ffffff"
STRONG = {SPOT: "#1f77d0", BACKUP: "#ef8a17"}
LIGHT = {SPOT: "#c9e0f7", BACKUP: "#fbdcb2"}
IDLE, WARNED, SAVED = "#e3e7ec", "#d62839", "#119d65"
NAMES = {SPOT: "spot", BACKUP: "on-demand"}
LANE_INCHES, HALF_LANE = 0.4, 0.32
CHARACTER_WIDTH = 0.0064
"""Of a lane's label, as a share of the picture's width."""


def draw(timeline: Timeline, path: Path, *, title: str, subtitle: str = "") -> None:
    """Write the picture of ``timeline`` to ``path``.

    Args:
        timeline: What happened.
        path: The PNG to write; its folder has to exist.
        title: First line.
        subtitle: Second line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - see above
    from matplotlib.figure import Figure  # noqa: PLC0415

    lives = sorted(timeline.lives, key=lambda life: (life.launched_at, life.group == BACKUP, life.node))
    lanes = max(1, len(lives)) * LANE_INCHES + 0.3
    heights = [lanes, 1.5, 0.95]
    margin = 2.1
    figure = Figure(figsize=(12, sum(heights) + margin), facecolor=PAPER, dpi=130)
    FigureCanvasAgg(figure)
    top = 1 - 1.0 / (sum(heights) + margin)
    bottom = 0.82 / (sum(heights) + margin)
    axes: Sequence[Axes] = figure.subplots(
        3,
        1,
        sharex=True,
        gridspec_kw={
            "height_ratios": heights,
            "hspace": 0.12,
            "left": max(0.15, 0.03 + CHARACTER_WIDTH * max((len(_lane_label(life)) for life in lives), default=0)),
            "right": 0.975,
            "top": top,
            "bottom": bottom,
        },
    )
    figure.text(0.012, 1 - 0.32 / (sum(heights) + margin), title, fontsize=15, weight="bold", color=INK, va="center")
    figure.text(0.012, 1 - 0.62 / (sum(heights) + margin), subtitle, fontsize=10.5, color=FAINT, va="center")
    for each in axes:
        _plain(each)
    _lanes(axes[0], timeline, lives)
    _steps(axes[1], timeline)
    _sizes(axes[2], timeline)
    axes[0].set_xlim(0, timeline.ended_at - timeline.started_at)
    axes[2].set_xlabel("seconds since the fleet was created", color=FAINT, fontsize=9)
    _events(axes, timeline)
    figure.savefig(path, facecolor=PAPER)


def _plain(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(IDLE)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    axes.grid(axis="x", color=IDLE, linewidth=0.6)
    axes.set_axisbelow(True)


def _lanes(axes: Axes, timeline: Timeline, lives: Sequence[Life]) -> None:
    for lane, life in enumerate(lives):
        _life(axes, timeline, life, lane)
    axes.set_ylim(len(lives) - 0.45, -0.75)
    axes.set_yticks(range(len(lives)), [_lane_label(life) for life in lives], family="monospace")
    for label, life in zip(axes.get_yticklabels(), lives, strict=True):
        label.set_color(STRONG[life.group])
    _legend(axes)


def _lane_label(life: Life) -> str:
    return f"{NAMES[life.group]}  {short(life.node)}"


def _life(axes: Axes, timeline: Timeline, life: Life, lane: int) -> None:
    start = timeline.started_at

    def bar(begin: float, end: float, color: str, edge: str = "none") -> None:
        span = (begin - start, max(end - begin, 0.05))
        axes.broken_barh([span], (lane - HALF_LANE, 2 * HALF_LANE), facecolors=color, edgecolors=edge)

    ended = life.ended_at or timeline.ended_at
    serving = min(life.serving_at or ended, ended)
    bar(life.launched_at, serving, IDLE)
    bar(serving, ended, LIGHT[life.group])
    for holding in timeline.holdings:
        if life.node in holding.nodes:
            edge = PAPER if holding.others else "none"  # who goes on with others shows where the next generation begins
            bar(holding.start, min(holding.end, ended), STRONG[life.group], edge)
    for strike in (each for each in timeline.strikes if each.node == life.node and each.how == FROZEN):
        bar(strike.at, strike.until or ended, IDLE)
    for notice in (each for each in timeline.notices if each.node == life.node):
        held_until = max([each.end for each in timeline.holdings if life.node in each.nodes], default=notice.at)
        if notice.kind != "rebalance" and max(notice.at, held_until) < ended:
            bar(max(notice.at, held_until), ended, IDLE)
        _notice(axes, timeline, notice, ended, lane)
    if life.reclaimed:
        axes.plot(
            ended - start, lane, marker="X", markersize=9, color=WARNED, markeredgecolor=PAPER, clip_on=False, zorder=5
        )
    elif life.ended_at is not None:
        axes.plot(ended - start, lane, marker="|", markersize=15, markeredgewidth=2.4, color=FAINT, zorder=5)


def _notice(axes: Axes, timeline: Timeline, notice: Notice, ended: float, lane: int) -> None:
    start, at = timeline.started_at, notice.at
    until = ended if notice.kind != "rebalance" else min(ended, notice.confirmed_at or at)
    bottom = lane + HALF_LANE - 0.09
    axes.broken_barh(
        [(at - start, until - at)], (bottom, 0.09), facecolors=WARNED if notice.injected else FAINT, zorder=4
    )
    color = WARNED if notice.injected else FAINT
    axes.plot(
        at - start, lane - HALF_LANE - 0.06, marker="v", markersize=8, color=color, markeredgecolor=PAPER, zorder=6
    )
    if notice.confirmed_at is not None and notice.confirmed_step is not None:
        x = notice.confirmed_at - start
        axes.plot(x, lane, marker="D", markersize=7.5, color=SAVED, markeredgecolor=PAPER, zorder=6)


def _legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    def mark(shape: str, color: str, label: str) -> Line2D:
        return Line2D(
            [], [], linestyle="", marker=shape, color=color, markersize=7.5, markeredgecolor=PAPER, label=label
        )

    entries = [
        Patch(color=STRONG[SPOT], label="runs the job (spot)"),
        Patch(color=LIGHT[SPOT], label="spare (spot)"),
        Patch(color=STRONG[BACKUP], label="runs the job (on-demand)"),
        Patch(color=LIGHT[BACKUP], label="spare (on-demand)"),
        Patch(color=IDLE, label="starting, leaving, frozen"),
        mark("v", WARNED, "notice"),
        mark("D", SAVED, "checkpoint confirmed"),
        mark("X", WARNED, "reclaimed, dead"),
        mark("v", FAINT, "drain"),
    ]
    axes.figure.legend(
        handles=entries,
        loc="lower center",
        ncols=len(entries),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=1.1,
        columnspacing=1.3,
    )


def _steps(axes: Axes, timeline: Timeline) -> None:
    start = timeline.started_at
    for holding in timeline.holdings:
        inside = [(at - start, step) for at, step in timeline.steps if holding.start <= at <= holding.end]
        if holding.resume_step is not None:
            inside.insert(0, (holding.start - start, holding.resume_step))
            axes.plot(
                holding.start - start,
                holding.resume_step,
                marker="o",
                markersize=5,
                color=STRONG[holding.group],
                zorder=5,
            )
        axes.plot(
            [x for x, _ in inside],
            [y for _, y in inside],
            color=STRONG[holding.group],
            linewidth=2.2,
            solid_capstyle="round",
        )
    axes.scatter(
        [at - start for at, _ in timeline.saved],
        [step for _, step in timeline.saved],
        marker="D",
        s=16,
        color=SAVED,
        zorder=4,
    )
    axes.set_ylabel("step", color=FAINT, fontsize=9)
    paced = last(timeline.steps, timeline.full_speed_at) if timeline.full_speed_at is not None else None
    axes.set_ylim(
        0, 1.25 * paced if paced else None
    )  # the part at full speed leaves the panel rather than flatten the rest


def _sizes(axes: Axes, timeline: Timeline) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    start = timeline.started_at
    changes = sorted(
        {timeline.started_at, timeline.ended_at}
        | {at for series in timeline.desired.values() for at, _ in series}
        | {at for life in timeline.lives for at in (life.launched_at, life.ended_at) if at is not None}
    )
    times = [at - start for at in changes]
    running = {group: [alive(timeline.lives, group, at) for at in changes] for group in (SPOT, BACKUP)}
    axes.stackplot(times, running[SPOT], running[BACKUP], step="post", colors=[LIGHT[SPOT], LIGHT[BACKUP]])
    for group in (SPOT, BACKUP):
        asked = [timeline.size(group, at) for at in changes]
        axes.step(times, asked, where="post", color=STRONG[group], linewidth=1.8)
    axes.set_ylabel("nodes", color=FAINT, fontsize=9)
    axes.set_ylim(
        0, max([1, *(spot + backup for spot, backup in zip(running[SPOT], running[BACKUP], strict=True))]) + 0.4
    )
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.text(
        1,
        1.02,
        "areas: running   lines: asked for",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=7.5,
        color=FAINT,
    )


def _events(axes: Sequence[Axes], timeline: Timeline) -> None:
    """Vertical lines through all panels for what the fleet as a whole did."""
    blows = [blow for blow in timeline.blows if not isinstance(blow, Notice) or blow.deadline is not None]
    marks = [
        ("on-demand asked for", [blow.backup_requested_at for blow in blows], STRONG[BACKUP]),
        ("back on spot", [blow.returned_at for blow in blows], STRONG[SPOT]),
        ("job finished", [timeline.finished_at], SAVED),
    ]
    placed: list[tuple[float, float, int]] = []
    for label, times, color in marks:
        for at in sorted({time for time in times if time is not None}):
            x = at - timeline.started_at
            for each in axes:
                each.axvline(x, color=color, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
            _label(axes[0], label, x, color, placed)


def _label(axes: Axes, label: str, x: float, color: str, placed: list[tuple[float, float, int]]) -> None:
    """Write above a line what it means, where no other label is, and within the picture."""
    left, right = axes.get_xlim()
    width = len(label) * 0.0075 * (right - left)
    begin = min(x, right - width)
    height = next(
        row
        for row in range(3)
        if all(row != taken or begin > end or begin + width < start for start, end, taken in placed)
    )
    placed.append((begin, begin + width, height))
    axes.annotate(
        label, (begin, 1), xycoords=("data", "axes fraction"), xytext=(3, 2 + 10 * height), textcoords="offset points",
        fontsize=8, color=color, va="bottom",
    )  # fmt: skip
