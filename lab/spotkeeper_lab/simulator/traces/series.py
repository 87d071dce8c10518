"""What one trace file says about one pool, and the checks that all readers share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from spotkeeper_lab.simulator.market import Counts, Floats, Market

Convention = Literal["available", "preempted"]
"""What a value means: how many nodes were to be had, or 1 that a node was not. Files of both kinds look the same."""
CONVENTIONS: tuple[Convention, ...] = ("available", "preempted")


class TraceError(ValueError):
    """A trace cannot be used; the message names file, line or place, field, value and what is expected."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Series:
    """One pool over time."""

    source: str
    """The file, for errors."""
    pool: str
    tick_seconds: float
    counts: Counts
    """How many nodes were to be had, shape ``(ticks,)``."""
    prices: Floats | None = None
    """Dollars a node and hour, shape ``(ticks,)``; ``None`` where the file has none."""
    on_demand_price: float | None = None


def market(
    name: str, series: Sequence[Series], *, spot_price: float | None = None, on_demand_price: float | None = None
) -> Market:
    """Return the market of some pools, as long as the shortest.

    Args:
        name: What it is to be called.
        series: One for each pool.
        spot_price: Dollars a node and hour where a file has no prices.
        on_demand_price: Dollars a node and hour where no file says so.

    Raises:
        TraceError: Ticks differ, or prices are neither in the files nor given.
        MarketError: Two files have a pool of the same name.
    """
    first = series[0]
    for other in series:
        if other.tick_seconds != first.tick_seconds:
            refuse(other.source, "tick", other.tick_seconds, f"{first.tick_seconds} s, as in {first.source}")
        if other.prices is None and spot_price is None:
            refuse(other.source, "prices", None, "prices in the file, a file of prices, or a spot price")
    told = [other.on_demand_price for other in series if other.on_demand_price is not None]
    price = on_demand_price if on_demand_price is not None else next(iter(told), None)
    if price is None:
        refuse(first.source, "on_demand_price", None, "one in the file, or an on-demand price")
    ticks = min(len(other.counts) for other in series)
    flat = np.full(ticks, spot_price if spot_price is not None else np.nan)
    return Market(
        name=name,
        tick_seconds=first.tick_seconds,
        pools=tuple(other.pool for other in series),
        counts=np.stack([other.counts[:ticks] for other in series]),
        prices=np.stack([flat if other.prices is None else other.prices[:ticks] for other in series]),
        on_demand_price=price,
    )


def meant(source: str, place: Sequence[str] | str, values: Sequence[Any], convention: Convention) -> Counts:
    """Return how many nodes were to be had, from the values of a file.

    Args:
        source: The file, for errors.
        place: Where each value is, or the name of the list that holds them.
        values: The file's.
        convention: What they mean.
    """
    if convention not in CONVENTIONS:
        raise TraceError(f"convention: was {convention!r}, expected {' or '.join(CONVENTIONS)}")
    array = np.array(values) if values else np.zeros(0)
    whole = array.dtype.kind in "iu" and array.ndim == 1
    most = 1 if convention == "preempted" else np.inf
    if not whole or not ((array >= 0) & (array <= most)).all():
        expected = "0 or 1 (1: preempted)" if convention == "preempted" else "how many nodes were available"
        for number, value in enumerate(values):
            if type(value) is not int or not 0 <= value <= most:
                where = f"{place}[{number}]" if isinstance(place, str) else place[number]
                refuse(source, where, value, expected)
    if not len(array):
        refuse(source, place if isinstance(place, str) else "the file", None, "at least one value")
    return np.asarray(1 - array if convention == "preempted" else array, dtype=np.int64)


def numbers(source: str, place: str, values: Any, *, length: int | None = None) -> Floats:
    """Return a list of prices."""
    if not isinstance(values, list) or not values:
        refuse(source, place, values, "a list of prices")
    for number, value in enumerate(values):
        if type(value) not in {int, float} or not 0 <= value < float("inf"):
            refuse(source, f"{place}[{number}]", value, "a price, 0 or more")
    if length is not None and len(values) < length:
        refuse(source, place, f"{len(values)} prices", f"{length}, one for each value")
    return np.asarray(values[:length], dtype=np.float64)


def positive(source: str, place: str, value: Any) -> float:
    """Return a number that has to be more than 0."""
    if type(value) not in {int, float} or not 0 < value < float("inf"):
        refuse(source, place, value, "a number, more than 0")
    return float(value)


def text_of(path: Path) -> str:
    """Return what is in a file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise TraceError(f"{path}: cannot be read: {reason}") from None


def json_of(source: str, text: str | bytes) -> Any:
    """Return what a JSON text says."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TraceError(f"{source}: line {error.lineno}: not JSON: {error.msg}") from None


def refuse(source: str, place: str, was: Any, expected: str) -> NoReturn:
    """Raise :class:`TraceError`."""
    shown = "missing" if was is None else f"was {was!r}"
    raise TraceError(f"{source}: {place}: {shown}, expected {expected}")
