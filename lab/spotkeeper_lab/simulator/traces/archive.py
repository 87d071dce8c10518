"""Traces that are archives: many windows of each of some pools, cut out of longer traces."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from spotkeeper_lab.simulator.market import MarketError, Windows
from spotkeeper_lab.simulator.traces.documents import counts_of
from spotkeeper_lab.simulator.traces.series import Convention, Series, TraceError, market, refuse

_POOL = re.compile(r"[a-z]+(-[a-z]+)+-?\d[a-z0-9-]*_.+")
"""A folder that is named for a pool: ``<zone>_<type>``."""


def read_archive(
    path: Path,
    *,
    convention: Convention,
    within: str = "",
    together: bool,
    spot_price: float | None = None,
    on_demand_price: float | None = None,
    room: int = 1,
) -> Windows:
    """Read a tar archive of windows: ``…/<pool>/…/<number>.json``, each as :func:`read_counts` has it.

    Files that macOS adds (``._*``) are left out.

    Args:
        path: The archive.
        convention: What a value means.
        within: Only members whose path has this in it.
        together: Whether windows of the same number are pools of one window; else each is a window of its own, and the
            pool is its label.
        spot_price: Dollars a node and hour where a file has no prices.
        on_demand_price: Dollars a node and hour.
        room: How many nodes one node of the trace stands for.

    Raises:
        TraceError: It is no archive or not a whole one, has no such member or two of one window, pools have windows
            that others lack, windows differ in length or, of the same number, in their start, or a member is not what
            it has to be.
    """
    found = _members(path, within, convention)
    names = sorted(found)
    order = sorted(found[names[0]])
    first = found[names[0]][order[0]]
    for name in names:
        if sorted(found[name]) != order:
            refuse(f"{path}", name, f"{len(found[name])} windows", f"those of {names[0]}: {len(order)}")
        for number in order:
            series, beside = found[name][number], found[names[0]][number]
            if len(series.counts) != len(first.counts):
                refuse(series.source, "data", f"{len(series.counts)} values", f"{len(first.counts)}, as {first.source}")
            if series.start != beside.start:
                refuse(series.source, "metadata.start_time", series.start, f"{beside.start!r}, as {beside.source}")
    glued = [_glued(path, [found[name][number] for number in order]) for name in names]
    try:
        whole = market(
            path.name.partition(".")[0], glued, spot_price=spot_price, on_demand_price=on_demand_price, room=room
        )
    except MarketError as error:
        raise TraceError(f"{path}: {error}") from None
    ticks = len(first.counts)
    windows = whole.windows(np.arange(len(order)) * ticks, ticks)
    return windows if together else windows.apart()


def _members(path: Path, within: str, convention: Convention) -> Mapping[str, Mapping[int, Series]]:
    found: dict[str, dict[int, Series]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                named = re.fullmatch(r"(\d+)\.json", place.name)
                held = archive.extractfile(member) if named and within in member.name and member.isfile() else None
                if named is None or held is None:
                    continue
                pool = next((part for part in reversed(place.parts[:-1]) if _POOL.fullmatch(part)), place.parent.name)
                series = counts_of(f"{path}: {member.name}", held.read(), convention, pool)
                windows, number = found.setdefault(pool, {}), int(named.group(1))
                if number in windows:
                    raise TraceError(
                        f"{series.source}: is window {number} of {pool}, as {windows[number].source} is; expected one: "
                        "say which with a part of the path (within)"
                    )
                windows[number] = series
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        reason = isinstance(error, OSError) and error.strerror
        raise TraceError(f"{path}: cannot be read: {reason or 'is no tar archive, or not a whole one'}") from None
    if not found:
        where = f" with {within} in their path" if within else ""
        refuse(f"{path}", "members", None, f"files <pool>/…/<number>.json{where}")
    return found


def _glued(path: Path, parts: Sequence[Series]) -> Series:
    """Return windows one after the other."""
    first = parts[0]
    priced = [part.prices for part in parts if part.prices is not None]
    if priced and len(priced) != len(parts):
        refuse(f"{path}", f"{first.pool}: prices", f"{len(priced)} files with prices", f"{len(parts)}, or none")
    for part in parts:
        if part.tick_seconds != first.tick_seconds:
            refuse(part.source, "metadata.gap_seconds", part.tick_seconds, f"{first.tick_seconds}, as {first.source}")
    return Series(
        source=f"{path}",
        pool=first.pool,
        tick_seconds=first.tick_seconds,
        counts=np.concatenate([part.counts for part in parts]),
        prices=np.concatenate(priced) if priced else None,
    )
