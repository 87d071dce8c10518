"""Traces that are JSON: counts of a pool, prices, an archive of windows, lifetimes of nodes."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from spotkeeper_lab.simulator.market import Floats, MarketError, Windows
from spotkeeper_lab.simulator.traces.series import (
    Convention,
    Series,
    TraceError,
    json_of,
    market,
    meant,
    numbers,
    positive,
    refuse,
    text_of,
)

_POOL = re.compile(r"[a-z]+(-[a-z]+)+-?\d[a-z0-9-]*_.+")
"""A folder that is named for a pool: ``<zone>_<type>``."""


def read_counts(path: Path, *, convention: Convention, pool: str | None = None) -> Series:
    """Read ``{"metadata": {"gap_seconds": …}, "data": […], "prices": […]}``; ``prices`` may be missing.

    Args:
        path: The file.
        convention: What a value of ``data`` means.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a document.
    """
    return _counts(f"{path}", text_of(path), convention, pool or path.stem)


def read_prices(path: Path) -> dict[str, Floats]:
    """Read prices by pool: ``{"<pool>": […], …}``, or of the pool that the file is named for: ``{"prices": […]}``.

    Raises:
        TraceError: The file is neither.
    """
    told = json_of(f"{path}", text_of(path))
    if not isinstance(told, dict) or not told:
        refuse(f"{path}", "the file", told, "an object of prices")
    if "prices" in told:
        return {path.stem: numbers(f"{path}", "prices", told["prices"])}
    return {pool: numbers(f"{path}", pool, values) for pool, values in told.items()}


def read_on_demand_price(path: Path) -> float | None:
    """Return ``price_info.on_demand_price`` of a file of prices, ``None`` where it does not say."""
    told = json_of(f"{path}", text_of(path))
    info = told.get("price_info") if isinstance(told, dict) else None
    price = info.get("on_demand_price") if isinstance(info, dict) else None
    return None if price is None else positive(f"{path}", "price_info.on_demand_price", price)


def read_archive(
    path: Path,
    *,
    convention: Convention,
    within: str = "",
    together: bool,
    spot_price: float | None = None,
    on_demand_price: float | None = None,
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

    Raises:
        TraceError: It is no archive, has no such member, pools have windows that others lack, or a member is not what
            it has to be.
    """
    found = _members(path, within, convention)
    names = sorted(found)
    order = sorted(found[names[0]])
    for name in names:
        if sorted(found[name]) != order:
            refuse(f"{path}", name, f"{len(found[name])} windows", f"those of {names[0]}: {len(order)}")
    rows = [[found[name][number] for name in names] for number in order]
    if not together:
        rows = [[found[name][number]] for name in names for number in order]
    ticks = min(len(series.counts) for row in rows for series in row)
    whole = [_glued(path, [row[place] for row in rows], ticks) for place in range(len(rows[0]))]
    labels = tuple(name for name in names for _ in order) if not together else ()
    try:
        glued = market(path.name.partition(".")[0], whole, spot_price=spot_price, on_demand_price=on_demand_price)
    except MarketError as error:
        raise TraceError(f"{path}: {error}") from None
    return Windows(market=glued, starts=np.arange(len(rows)) * ticks, ticks=ticks, labels=labels)


def read_lifetimes(path: Path, *, zone: str = "", machine_type: str = "") -> Floats:
    """Read how long nodes lived: ``{"<node>": {"time_in_sec": …, "instance_data": {"ZONE": …, …}}, …}``.

    Args:
        path: The file.
        zone: Only those of this zone.
        machine_type: Only those of this type.

    Returns:
        Seconds, shape ``(nodes,)``. What market they make is for
        :func:`spotkeeper_lab.simulator.synthetic.of_lifetimes` to say.

    Raises:
        TraceError: The file is not such a document, or has no such node.
    """
    told = json_of(f"{path}", text_of(path))
    if not isinstance(told, dict):
        refuse(f"{path}", "the file", told, "an object of nodes")
    lifetimes = []
    for node, record in told.items():
        data = record.get("instance_data") if isinstance(record, dict) else None
        if not isinstance(data, dict):
            refuse(f"{path}", f"{node}.instance_data", data, "an object with ZONE and MACHINE_TYPE")
        if zone in {"", data.get("ZONE")} and machine_type in {"", data.get("MACHINE_TYPE")}:
            lifetimes.append(positive(f"{path}", f"{node}.time_in_sec", record.get("time_in_sec")))
    if not lifetimes:
        refuse(f"{path}", "the file", None, f"nodes of zone {zone or 'any'} and type {machine_type or 'any'}")
    return np.array(lifetimes)


def _counts(source: str, text: str | bytes, convention: Convention, pool: str) -> Series:
    told = json_of(source, text)
    if not isinstance(told, dict) or not isinstance(told.get("data"), list):
        refuse(source, "data", told.get("data") if isinstance(told, dict) else told, "a list of values")
    metadata: Any = told.get("metadata", told)
    gap = metadata.get("gap_seconds") if isinstance(metadata, dict) else None
    counts = meant(source, "data", told["data"], convention)
    prices = numbers(source, "prices", told["prices"], length=len(counts)) if "prices" in told else None
    return Series(
        source=source,
        pool=pool,
        tick_seconds=positive(source, "metadata.gap_seconds", gap),
        counts=counts,
        prices=prices,
    )


def _members(path: Path, within: str, convention: Convention) -> Mapping[str, Mapping[int, Series]]:
    found: dict[str, dict[int, Series]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                named = re.fullmatch(r"(\d+)\.json", place.name)
                if not named or within not in member.name or not member.isfile():
                    continue
                held = archive.extractfile(member)
                pool = next((part for part in reversed(place.parts[:-1]) if _POOL.fullmatch(part)), place.parent.name)
                if held is not None:
                    series = _counts(f"{path}: {member.name}", held.read(), convention, pool)
                    found.setdefault(pool, {})[int(named.group(1))] = series
    except (OSError, tarfile.TarError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
    if not found:
        where = f" with {within} in their path" if within else ""
        refuse(f"{path}", "members", None, f"files <pool>/…/<number>.json{where}")
    return found


def _glued(path: Path, parts: Sequence[Series], ticks: int) -> Series:
    """Return windows one after the other."""
    first = parts[0]
    priced = [part.prices for part in parts if part.prices is not None]
    if priced and len(priced) != len(parts):
        refuse(f"{path}", "prices", f"{len(priced)} files with prices", f"{len(parts)}, or none")
    return Series(
        source=f"{path}",
        pool=first.pool,
        tick_seconds=first.tick_seconds,
        counts=np.concatenate([part.counts[:ticks] for part in parts]),
        prices=np.concatenate([prices[:ticks] for prices in priced]) if priced else None,
    )
