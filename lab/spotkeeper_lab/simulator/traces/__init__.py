"""Readers of public spot traces. Each takes what a value means, ``convention``, because files of both kinds look alike.

What a trace tells is that a node was to be had at a moment, mostly from probes that launch and let go again. None tells
when a notice came, and none tells of nodes that were held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spotkeeper_lab.simulator.market import Market
from spotkeeper_lab.simulator.traces.documents import (
    read_archive,
    read_counts,
    read_lifetimes,
    read_on_demand_price,
    read_prices,
)
from spotkeeper_lab.simulator.traces.series import CONVENTIONS, Convention, Series, TraceError, market, text_of
from spotkeeper_lab.simulator.traces.tables import read_availability, read_events

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Series",
    "TraceError",
    "market",
    "read_archive",
    "read_availability",
    "read_counts",
    "read_events",
    "read_lifetimes",
    "read_market",
    "read_on_demand_price",
    "read_prices",
    "read_series",
]


def read_series(path: Path, *, convention: Convention) -> Series:
    """Read a file of one pool, whichever of the formats it has."""
    if path.suffix == ".json":
        return read_counts(path, convention=convention)
    if path.suffix != ".csv":
        raise TraceError(f"{path}: name: was {path.name!r}, expected one that ends with .csv or .json")
    first = text_of(path).partition("\n")[0]
    return read_availability(path, convention=convention) if first.startswith("date") else read_events(path)


def read_market(
    paths: Sequence[Path],
    *,
    convention: Convention,
    prices: Path | None = None,
    spot_price: float | None = None,
    on_demand_price: float | None = None,
    room: int = 1,
) -> Market:
    """Read files of one pool each as a market.

    Args:
        paths: The files; pools are called as they are.
        convention: What a value means.
        prices: A file of prices by pool, tick by tick.
        spot_price: Dollars a node and hour where there are no others.
        on_demand_price: Dollars a node and hour, where neither file says so.
        room: How many nodes one node of the trace stands for: a probe for one node says nothing of more.

    Raises:
        TraceError: A file cannot be used, or prices are missing.
        MarketError: Two files have the same name.
    """
    series = [read_series(path, convention=convention) for path in paths]
    if prices is not None:
        by_pool = read_prices(prices)
        told = read_on_demand_price(prices)
        series = [
            replace(one, prices=by_pool.get(one.pool, one.prices), on_demand_price=one.on_demand_price or told)
            for one in series
        ]
        for one in series:
            if one.prices is not None and len(one.prices) < len(one.counts):
                raise TraceError(
                    f"{prices}: {one.pool}: was {len(one.prices)} prices, expected {len(one.counts)}, as many as values"
                )
    name = paths[0].stem if len(paths) == 1 else paths[0].resolve().parent.name
    made = market(name, series, spot_price=spot_price, on_demand_price=on_demand_price)
    return replace(made, counts=made.counts * room)
