"""Traces that are tables: availability by date, and nodes that are added and removed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from spotkeeper_lab.simulator.market import Counts
from spotkeeper_lab.simulator.traces.series import Convention, Series, TraceError, meant, refuse, text_of


def read_availability(path: Path, *, convention: Convention, pool: str | None = None) -> Series:
    """Read a CSV file of probes: a header ``date,availability``, then a line for each probe, evenly spaced.

    Ticks are the median time between two probes; a probe belongs to its place in the file, not to its date.

    Args:
        path: The file.
        convention: What a value means.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a table.
    """
    rows = list(csv.reader(io.StringIO(text_of(path))))
    if not rows or [name.strip() for name in rows[0]] != ["date", "availability"]:
        refuse(f"{path}", "line 1", ",".join(rows[0]) if rows else None, "the header date,availability")
    dates, values, places = [], [], []
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != 2:
            refuse(f"{path}", f"line {line}", ",".join(row), "two fields: date, availability")
        dates.append(_date(path, line, row[0]))
        values.append(_whole(path, line, row[1]))
        places.append(f"line {line}: availability")
    counts = meant(f"{path}", places, values, convention)
    gaps = np.diff(dates)
    if len(gaps) == 0 or (gaps <= 0).any():
        line = int(np.argmax(gaps <= 0)) + 3 if len(gaps) else 2
        refuse(f"{path}", f"line {line}: date", rows[line - 1][0], "a date after the one before")
    return Series(source=f"{path}", pool=pool or path.stem, tick_seconds=float(np.median(gaps)), counts=counts)


def read_events(path: Path, *, tick_seconds: float = 60.0, pool: str | None = None) -> Series:
    """Read a CSV file of events: ``milliseconds,add|remove,node`` in the order of time, without a header.

    It counts the nodes that are there at the beginning of each tick, events of that moment included.

    Args:
        path: The file.
        tick_seconds: How long ticks are to be.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a table, or a node is added twice or removed before it was added.
    """
    times: list[float] = []
    numbers: list[int] = []
    there: set[str] = set()
    for line, row in enumerate(csv.reader(io.StringIO(text_of(path))), start=1):
        if not row:
            continue
        at, kind, node = _event(path, line, row, times[-1] if times else 0.0)
        if (kind == "add") == (node in there):
            refuse(f"{path}", f"line {line}: node", node, "one that is not there" if kind == "add" else "one that is")
        (there.add if kind == "add" else there.remove)(node)
        times.append(at)
        numbers.append(len(there))
    if not times:
        raise TraceError(f"{path}: line 1: missing, expected milliseconds,add|remove,node")
    return Series(
        source=f"{path}",
        pool=pool or path.stem,
        tick_seconds=tick_seconds,
        counts=_sampled(times, numbers, tick_seconds),
    )


def _event(path: Path, line: int, row: Sequence[str], after: float) -> tuple[float, str, str]:
    if len(row) != 3:
        refuse(f"{path}", f"line {line}", ",".join(row), "three fields: milliseconds, add or remove, node")
    milliseconds = _whole(path, line, row[0], field="milliseconds")
    kind = row[1].strip()
    if kind not in {"add", "remove"}:
        refuse(f"{path}", f"line {line}: kind", kind, "add or remove")
    if type(milliseconds) is not int or milliseconds / 1000 < after:
        refuse(f"{path}", f"line {line}: milliseconds", milliseconds, f"{after * 1000:.0f} or more, the time before")
    return milliseconds / 1000, kind, row[2].strip()


def _sampled(times: Sequence[float], numbers: Sequence[int], tick_seconds: float) -> Counts:
    ticks = np.arange(0.0, times[-1] + tick_seconds, tick_seconds)
    index = np.searchsorted(np.array(times), ticks, side="right") - 1
    return np.where(index >= 0, np.array(numbers, dtype=np.int64)[np.maximum(index, 0)], 0)


def _date(path: Path, line: int, text: str) -> float:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        refuse(f"{path}", f"line {line}: date", text, "a date such as 2023-02-15 22:08:16")


def _whole(path: Path, line: int, text: str, field: str = "availability") -> int:
    try:
        return int(text)
    except ValueError:
        refuse(f"{path}", f"line {line}: {field}", text, "a whole number")
