"""Traces that are tables: availability by date, nodes that are added and removed, how many nodes there were."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from spotkeeper_lab.simulator.market import Counts
from spotkeeper_lab.simulator.traces.series import (
    MOST,
    Convention,
    Series,
    TraceError,
    accepted,
    meant,
    refuse,
    text_of,
)

TICK_SECONDS = 60.0
"""How long ticks are of a file that says when something changed."""
LONGEST_SECONDS = 10 * 365 * 24 * 3600.0
"""How long such a file may be: more is another unit."""


def read_table(path: Path, *, convention: Convention, pool: str | None = None) -> Series:
    """Read a CSV file of one pool, whichever of the three kinds it is of: its first line tells.

    Raises:
        TraceError: It is of no such kind, or not as its kind has to be.
    """
    line, first = next(_rows(path), (1, []))
    if not first:
        raise TraceError(f"{path}: the file: is empty, expected a line for each probe, event or count")
    if first[0].strip() == "date":
        return read_availability(path, convention=convention, pool=pool)
    readers = {2: read_curve, 3: read_events}
    if len(first) not in readers:
        kinds = "date,availability (header), milliseconds,nodes or milliseconds,add|remove,node"
        refuse(f"{path}", f"line {line}", ",".join(first), kinds)
    return readers[len(first)](path, convention=convention, pool=pool)


def read_availability(path: Path, *, convention: Convention, pool: str | None = None) -> Series:
    """Read a CSV file of probes: a header ``date,availability``, then a line for each probe, evenly spaced.

    Ticks are the median time between two probes; a probe belongs to its place in the file, not to its date. Dates
    without a time zone are taken as UTC.

    Args:
        path: The file.
        convention: What a value means.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a table.
    """
    dates: list[float] = []
    values, places = [], []
    rows = _rows(path)
    line, header = next(rows, (1, []))
    if [name.strip() for name in header] != ["date", "availability"]:
        refuse(f"{path}", f"line {line}", ",".join(header), "the header date,availability")
    for line, row in rows:
        if len(row) != 2:
            refuse(f"{path}", f"line {line}", ",".join(row), "two fields: date, availability")
        dates.append(_date(path, line, row[0]))
        if len(dates) > 1 and dates[-1] <= dates[-2]:
            refuse(f"{path}", f"line {line}: date", row[0], "a date after the one before")
        values.append(_whole(path, line, row[1], "availability"))
        places.append(f"line {line}: availability")
    counts = meant(f"{path}", places, values, convention)
    if len(counts) < 2:
        refuse(f"{path}", "the file", f"{len(counts)} probes", "two at least: the time between them is a tick")
    return Series(
        source=f"{path}", pool=pool or path.stem, tick_seconds=float(np.median(np.diff(dates))), counts=counts
    )


def read_curve(
    path: Path, *, convention: Convention, tick_seconds: float = TICK_SECONDS, pool: str | None = None
) -> Series:
    """Read a CSV file of counts: ``milliseconds,nodes`` wherever the number of nodes changed, without a header.

    It tells the nodes that are there at the beginning of each tick; of several counts at a moment the last holds.

    Args:
        path: The file.
        convention: Has to be ``available``: such a file says how many nodes there were.
        tick_seconds: How long ticks are to be.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a table.
    """
    accepted(f"{path}", convention, "available")
    times: list[float] = []
    numbers: list[int] = []
    for line, row in _rows(path):
        if len(row) != 2:
            refuse(f"{path}", f"line {line}", ",".join(row), "two fields: milliseconds, nodes")
        times.append(_time(path, line, row[0], after=times))
        numbers.append(_whole(path, line, row[1], "nodes"))
        if not 0 <= numbers[-1] <= MOST:
            refuse(f"{path}", f"line {line}: nodes", numbers[-1], f"how many nodes there were, 0 to {MOST:,}")
    return _sampled(path, times, numbers, tick_seconds, pool)


def read_events(
    path: Path, *, convention: Convention, tick_seconds: float = TICK_SECONDS, pool: str | None = None
) -> Series:
    """Read a CSV file of events: ``milliseconds,add|remove,node`` in the order of time, without a header.

    It counts the nodes that are there at the beginning of each tick, events of that moment included.

    Args:
        path: The file.
        convention: Has to be ``available``: such a file says which nodes there were.
        tick_seconds: How long ticks are to be.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a table, or a node is added twice or removed before it was added.
    """
    accepted(f"{path}", convention, "available")
    times: list[float] = []
    numbers: list[int] = []
    there: set[str] = set()
    for line, row in _rows(path):
        if len(row) != 3:
            refuse(f"{path}", f"line {line}", ",".join(row), "three fields: milliseconds, add or remove, node")
        times.append(_time(path, line, row[0], after=times))
        kind, node = row[1].strip(), row[2].strip()
        if kind not in {"add", "remove"}:
            refuse(f"{path}", f"line {line}: kind", kind, "add or remove")
        if (kind == "add") == (node in there):
            refuse(f"{path}", f"line {line}: node", node, "one that is not there" if kind == "add" else "one that is")
        (there.add if kind == "add" else there.remove)(node)
        numbers.append(len(there))
    return _sampled(path, times, numbers, tick_seconds, pool)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, numbered from 1."""
    rows = csv.reader(io.StringIO(text_of(path)))
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        raise TraceError(f"{path}: line {rows.line_num}: not CSV: {error}") from None


def _sampled(
    path: Path, times: Sequence[float], numbers: Sequence[int], tick_seconds: float, pool: str | None
) -> Series:
    """Return how many nodes there were at the beginning of each tick, from the first moment on."""
    if not times:
        raise TraceError(f"{path}: the file: is empty, expected a line for each change")
    if times[-1] - times[0] > LONGEST_SECONDS:
        refuse(f"{path}", "milliseconds", 1000 * times[-1], "ten years after the first at most")
    ticks = np.arange(times[0], times[-1] + tick_seconds, tick_seconds)
    counts: Counts = np.array(numbers, dtype=np.int64)[np.searchsorted(np.array(times), ticks, side="right") - 1]
    return Series(source=f"{path}", pool=pool or path.stem, tick_seconds=tick_seconds, counts=counts)


def _time(path: Path, line: int, text: str, *, after: Sequence[float]) -> float:
    """Return the seconds of a moment that must not be before the last of ``after``."""
    milliseconds, least = _whole(path, line, text, "milliseconds"), 1000 * after[-1] if after else 0
    if milliseconds < least:
        refuse(f"{path}", f"line {line}: milliseconds", milliseconds, f"{least:.0f} or more, the time before")
    return milliseconds / 1000


def _date(path: Path, line: int, text: str) -> float:
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        refuse(f"{path}", f"line {line}: date", text, "a date such as 2023-02-15 22:08:16")
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _whole(path: Path, line: int, text: str, field: str) -> int:
    try:
        return int(text)
    except ValueError:
        refuse(f"{path}", f"line {line}: {field}", text, "a whole number")
