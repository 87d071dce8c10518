"""Readers of public spot traces. Each takes what a value means, ``convention``, because files of both kinds look alike.

What a trace tells is that a node was to be had at a moment, mostly from probes that launch and let go again. None tells
when a notice came. Lifetimes tell of nodes that were held, and not when the next was to be had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spotkeeper_lab.simulator.market import Market
from spotkeeper_lab.simulator.traces.archive import read_archive
from spotkeeper_lab.simulator.traces.documents import read_counts, read_prices, read_rates
from spotkeeper_lab.simulator.traces.lifetimes import Draw, drawn_series, read_lifetimes
from spotkeeper_lab.simulator.traces.series import CONVENTIONS, Convention, Prices, Series, TraceError, market
from spotkeeper_lab.simulator.traces.tables import read_availability, read_curve, read_events, read_table

__all__ = [
    "CONVENTIONS",
    "FORMATS",
    "Convention",
    "Draw",
    "Prices",
    "Series",
    "TraceError",
    "is_archive",
    "market",
    "read_archive",
    "read_availability",
    "read_counts",
    "read_curve",
    "read_events",
    "read_lifetimes",
    "read_market",
    "read_prices",
    "read_rates",
    "read_series",
]

FORMATS: Mapping[str, str] = {
    "date,availability": "CSV with this header: a probe a line, evenly spaced",
    "milliseconds,nodes": "CSV without a header: how many nodes there were, wherever that changed",
    "milliseconds,add|remove,node": "CSV without a header: nodes that came and went",
    '{"metadata": {"gap_seconds": 300}, "data": [1, 4, …]}': 'JSON: a value a tick, and "prices", if it has them',
    "<pool>/…/<number>.json in a .tar.gz": "an archive of windows, each a file such as the one before",
    '{"<node>": {"time_in_sec": …, "instance_data": {"ZONE": …, "MACHINE_TYPE": …}}}': "JSON: how long nodes lived",
}
"""What is read, and how it is known: every file but an archive and lifetimes is one pool's, and named for it."""


def is_archive(path: Path) -> bool:
    """Return whether a file is read by :func:`read_archive`; one that is cut off, and one that is missing, too."""
    return ".tar" in path.suffixes or path.suffix == ".tgz"


def read_series(path: Path, *, convention: Convention) -> Series:
    """Read a file of one pool, whichever of :data:`FORMATS` it has.

    Raises:
        TraceError: It has none, or one that has not this convention.
    """
    if path.suffix == ".json":
        return read_counts(path, convention=convention)
    if path.suffix != ".csv":
        raise TraceError(f"{path}: name: was {path.name!r}, expected one that ends with .csv, .json or .tar.gz")
    return read_table(path, convention=convention)


def read_market(
    paths: Sequence[Path],
    *,
    convention: Convention,
    draw: Draw | None = None,
    prices: Sequence[Path] = (),
    spot_price: float | None = None,
    on_demand_price: float | None = None,
    room: int = 1,
) -> Market:
    """Read files as a market.

    Args:
        paths: The files, no archives; a pool is called as its file is.
        convention: What a value means.
        draw: Of lifetimes, how they become a market.
        prices: Files of prices by pool, see :func:`read_prices`.
        spot_price: Dollars a node and hour where there are no others.
        on_demand_price: Dollars a node and hour, where no file says so.
        room: How many nodes one node of the trace stands for: a probe for one node says nothing of more.

    Raises:
        TraceError: A file cannot be used, or prices are missing.
        MarketError: Two files have the same name.
    """
    series: list[Series] = []
    for path in paths:
        if draw is not None and path.suffix == ".json":
            series += drawn_series(path, convention=convention, draw=draw)
        else:
            series.append(read_series(path, convention=convention))
    by_pool = read_prices(prices)
    series = [by_pool[one.pool].of(one) if one.pool in by_pool else one for one in series]
    name = paths[0].stem if len(paths) == 1 else paths[0].resolve().parent.name
    return market(name, series, spot_price=spot_price, on_demand_price=on_demand_price, room=room)
