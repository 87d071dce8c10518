"""The status of fleets in words and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.operations.status import DeadlineStatus, FleetStatus, JobStatus, NoticeStatus
from spotkeeper_ledger import STOPPED, FailureRecord, Pause

TICK_LATE_SECONDS = 300.0
"""Age of the last tick from which on nobody looks after the fleets: the alarm ``no-tick`` rings then, too."""


def overview(statuses: Sequence[FleetStatus]) -> RenderableType:
    """Return a table with a line for each fleet."""
    if not statuses:
        return Text("There is no fleet in this ledger.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("fleet", "target", "spot", "on-demand", "missing", "job", "step", "last tick", "remarks"):
        words = head in ("fleet", "job", "remarks")
        table.add_column(head, justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for status in statuses:
        table.add_row(
            status.fleet,
            str(status.target),
            str(status.spot.serving),
            str(status.backup.serving),
            Text(str(status.shortfall), style="yellow" if status.shortfall else ""),
            status.job.state,
            _steps(status.job),
            _tick(status, ""),
            ", ".join(_remarks(status)),
        )
    return table


def details(status: FleetStatus, now: float) -> RenderableType:
    """Return everything about one fleet."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _lines(status, now):
        table.add_row(name, value)
    parts: list[RenderableType] = [Text(status.fleet, style="bold underline"), table]
    if status.notices:
        parts += [Text("Nodes under notice", style="bold"), _notices(status.notices)]
    if status.source == "ledger":
        parts.append(
            Text(
                f"These are the nodes that the last tick saw; those of now are not known: {status.problem}.",
                style="dim",
            )
        )
    return Group(*parts)


def _lines(status: FleetStatus, now: float) -> Iterator[tuple[str, RenderableType]]:
    yield "target", f"{status.target} nodes, {status.base} of them always on-demand, at most {status.maximum} on-demand"
    for name, group in (("spot", status.spot), ("on-demand", status.backup)):
        asked = "" if group.desired is None else f", {group.desired} asked for"
        yield name, f"{group.serving} serving of {count(group.nodes, 'node')}{asked}"
    lasting = "" if status.shortfall_seconds is None else f", for {span(status.shortfall_seconds)}"
    instead = f"; on-demand wanted for {status.deadline.on_demand}" if status.deadline and status.shortfall else ""
    yield "missing", f"{count(status.shortfall, 'spot node')}{lasting}{instead}"
    yield "last tick", _tick(status)
    if status.pause:
        yield "paused", paused(status.pause, now)
    yield "job", _job(status.job)
    if status.deadline:
        yield "deadline", _deadline(status.deadline)
    for name, failure in status.failures.items():
        yield f"failed: {name}", _failure(failure, now)
    limit = "no limit" if status.fallback_hours_limit is None else f"limit {status.fallback_hours_limit:g}"
    yield (
        "used",
        (
            f"{status.spot_hours:.1f} node-hours of spot, {status.on_demand_hours:.1f} of on-demand; "
            f"{status.fallback_hours:.1f} of these beyond the base ({limit})"
        ),
    )
    if status.outdated is not None:
        names = f": {', '.join(status.outdated)}" if status.outdated else ""
        yield "old template", f"{count(len(status.outdated), 'node')}{names}"


def _deadline(deadline: DeadlineStatus) -> Text:
    left = deadline.seconds_left
    when = f"in {span(left)}" if left >= 0 else f"{span(-left)} ago"
    slack = deadline.slack_seconds
    spare = f", {span(slack)} to spare" if slack is not None and slack > 0 and not deadline.ends_on_demand else ""
    how = "on-demand to the end" if deadline.ends_on_demand else deadline.reason
    found = f"{when}: {'on track' if deadline.on_track else 'at risk'}{spare}; {how}; cost {deadline.spent:.2f} so far"
    return Text(f"{found}; {deadline.problem}" if deadline.problem else found, style="red" if deadline.problem else "")


def paused(pause: Pause, now: float) -> str:
    """Return a pause in words."""
    why = f" ({pause.reason})" if pause.reason else ""
    return f"{'stopped' if pause.mode == STOPPED else 'held'} for {span(max(0.0, now - pause.at))}{why}"


def span(seconds: float) -> str:
    """Return a length of time in words, such as ``4 min``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, what: str) -> str:
    """Return a number of things, such as ``1 node`` or ``2 nodes``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tick(status: FleetStatus, ago: str = " ago") -> Text:
    age = status.tick_age_seconds
    if age is None:
        return Text("never", style="red")
    late = age >= TICK_LATE_SECONDS
    return Text(f"{span(age)}{ago}", style="red" if late else "")


def _steps(job: JobStatus) -> str:
    if job.step is None:
        return "-"
    return str(job.step) if job.total is None else f"{job.step}/{job.total}"


def _job(job: JobStatus) -> str:
    parts = [job.state]
    if job.node and job.state == "running":
        others = f" and {count(job.nodes - 1, 'other node')}" if job.nodes > 1 else ""
        parts.append(f"on {job.node}{others}, generation {job.generation}")
    if job.step is not None:
        parts.append(f"step {_steps(job)}")
    if job.checkpoint_step is not None:
        age = "" if job.checkpoint_age_seconds is None else f", {span(job.checkpoint_age_seconds)} ago"
        parts.append(f"last checkpoint at step {job.checkpoint_step}{age}")
    if job.goodput is not None:
        parts.append(f"{job.goodput:.0%} of its time useful")
    return "; ".join(parts)


def _failure(failure: FailureRecord, now: float) -> str:
    said = f": {failure.message}" if failure.message else ""
    return f"{failure.count} so far, the last {span(max(0.0, now - failure.last_at))} ago{said}"


def _remarks(status: FleetStatus) -> Iterator[str]:
    if status.pause:
        yield "stopped" if status.pause.mode == STOPPED else "held"
    if status.notices:
        yield f"{count(len(status.notices), 'node')} under notice"
    if status.fallback_hours_limit is not None and status.fallback_hours >= status.fallback_hours_limit:
        yield "on-demand limit reached"


def _notices(notices: Sequence[NoticeStatus]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("node", "kind", "stage", "goes in", "saved at step"):
        table.add_column(head)
    for notice in notices:
        left = notice.seconds_left
        table.add_row(
            notice.node,
            f"{notice.kind} (drill)" if notice.drill else notice.kind,
            notice.stage,
            "-" if left is None else "overdue" if left < 0 else span(left),
            "-" if notice.confirmed_step is None else str(notice.confirmed_step),
        )
    return table
