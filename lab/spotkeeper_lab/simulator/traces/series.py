"""What one trace file says about one pool, and the checks that all readers share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from spotkeeper_lab.simulator.market import Counts, Floats, Market

Convention = Literal["available", "preempted", "lifetimes"]
"""What a value means: how many nodes were to be had; 1, that none was; for how many seconds a node lived. Files of the
first two kinds look the same."""
CONVENTIONS: tuple[Convention, ...] = ("available", "preempted", "lifetimes")
MOST = 1_000_000
"""The most nodes that a pool is believed to have had room for."""
SHOWN = 80
"""How many characters of a wrong value an error shows."""


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
    start: Any = None
    """When it begins, in the file's own words, where it says so."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prices:
    """What a node and hour of one pool cost."""

    source: str
    """The file, for errors."""
    dollars: Floats
    """Shape ``(ticks,)``, or ``()`` where the price never changes."""
    tick_seconds: float | None = None
    """Time from one price to the next, where the file says so."""
    on_demand_price: float | None = None

    def of(self, series: Series) -> Series:
        """Return ``series`` with these prices.

        Raises:
            TraceError: They are too few, or for ticks of another length.
        """
        ticks = len(series.counts)
        if self.tick_seconds not in {None, series.tick_seconds}:
            refuse(
                self.source, "gap_seconds", self.tick_seconds, f"{series.tick_seconds} s, as ticks of {series.source}"
            )
        if self.dollars.ndim and len(self.dollars) < ticks:
            refuse(self.source, series.pool, f"{len(self.dollars)} prices", f"{ticks}, as many as {series.source} has")
        dollars = self.dollars[:ticks] if self.dollars.ndim else np.full(ticks, self.dollars)
        return replace(series, prices=dollars, on_demand_price=series.on_demand_price or self.on_demand_price)


def market(
    name: str,
    series: Sequence[Series],
    *,
    spot_price: float | None = None,
    on_demand_price: float | None = None,
    room: int = 1,
) -> Market:
    """Return the market of some pools, as long as the shortest.

    Args:
        name: What it is to be called.
        series: One for each pool.
        spot_price: Dollars a node and hour where a file has no prices.
        on_demand_price: Dollars a node and hour where no file says so.
        room: How many nodes one node of the trace stands for.

    Raises:
        TraceError: Ticks differ, or prices are neither in the files nor given.
        MarketError: Two files have a pool of the same name.
    """
    first = series[0]
    for other in series:
        if other.tick_seconds != first.tick_seconds:
            refuse(other.source, "tick", other.tick_seconds, f"{first.tick_seconds} s, as in {first.source}")
        if other.prices is None and spot_price is None:
            refuse(other.source, "prices", None, f"prices of {other.pool}, in a file of prices too, or a spot price")
    told = [one for one in series if one.on_demand_price is not None]
    price = on_demand_price if on_demand_price is not None else told[0].on_demand_price if told else None
    if price is None:
        refuse(first.source, "on_demand_price", None, "one in a file of prices, or an on-demand price")
    for other in told:
        if on_demand_price is None and other.on_demand_price != price:
            refuse(
                other.source, "on_demand_price", other.on_demand_price, f"{price}, as of {told[0].pool}, or one given"
            )
    ticks = min(len(other.counts) for other in series)
    flat = np.full(ticks, spot_price if spot_price is not None else np.nan)
    return Market(
        name=name,
        tick_seconds=first.tick_seconds,
        pools=tuple(other.pool for other in series),
        counts=room * np.stack([other.counts[:ticks] for other in series]),
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
    accepted(source, convention, "available", "preempted")
    most, expected = MOST, f"how many nodes were available, 0 to {MOST:,}"
    if convention == "preempted":
        most, expected = 1, "0 or 1 (1: preempted)"
    for number, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= most:
            refuse(source, f"{place}[{number}]" if isinstance(place, str) else place[number], value, expected)
    if not values and isinstance(place, str):
        refuse(source, place, None, "at least one value")
    array = np.array(values, dtype=np.int64)
    return 1 - array if convention == "preempted" else array


def accepted(source: str, convention: str, *known: Convention) -> None:
    """Refuse a convention that a file of this kind cannot have."""
    if convention not in known:
        raise TraceError(f"{source}: convention: was {convention!r}, expected {' or '.join(known)} for such a file")


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
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise TraceError(f"{path}: cannot be read: {reason}") from None


def json_of(source: str, text: str | bytes) -> Any:
    """Return what a JSON text says."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TraceError(f"{source}: line {error.lineno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{source}: cannot be read: is not UTF-8") from None


def refuse(source: str, place: str, was: Any, expected: str) -> NoReturn:
    """Raise :class:`TraceError`."""
    shown = repr(was)
    was_what = "missing" if was is None else f"was {shown if len(shown) <= SHOWN else shown[:SHOWN] + ' …'}"
    raise TraceError(f"{source}: {place}: {was_what}, expected {expected}")
