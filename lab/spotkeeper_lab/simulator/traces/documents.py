"""Traces that are JSON: counts of a pool, and prices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spotkeeper_lab.simulator.traces.series import (
    Convention,
    Prices,
    Series,
    TraceError,
    json_of,
    meant,
    numbers,
    positive,
    refuse,
    text_of,
)


def read_counts(path: Path, *, convention: Convention, pool: str | None = None) -> Series:
    """Read ``{"metadata": {"gap_seconds": …}, "data": […], "prices": […]}``; ``prices`` may be missing.

    Args:
        path: The file.
        convention: What a value of ``data`` means.
        pool: Name of the pool (default: the file's name without its ending).

    Raises:
        TraceError: The file is not such a document.
    """
    return counts_of(f"{path}", text_of(path), convention, pool or path.stem)


def counts_of(source: str, text: str | bytes, convention: Convention, pool: str) -> Series:
    """Return what a document says that :func:`read_counts` reads."""
    told = json_of(source, text)
    if not isinstance(told, dict) or not isinstance(told.get("data"), list):
        refuse(
            source,
            "data",
            told.get("data") if isinstance(told, dict) else told,
            "a list of values, unless these are lifetimes",
        )
    metadata: Any = told.get("metadata", told)
    metadata = metadata if isinstance(metadata, dict) else {}
    counts = meant(source, "data", told["data"], convention)
    prices = numbers(source, "prices", told["prices"], length=len(counts)) if "prices" in told else None
    return Series(
        source=source,
        pool=pool,
        tick_seconds=positive(source, "metadata.gap_seconds", metadata.get("gap_seconds")),
        counts=counts,
        prices=prices,
        start=metadata.get("start_time"),
    )


def read_prices(paths: Sequence[Path]) -> dict[str, Prices]:
    """Read files of prices, dollars for a node and hour by pool.

    A file has a list of prices for each pool, tick by tick, or one price that never changes:
    ``{"<pool>": […], "<pool>": 0.9}``. Or it is named for its pool and holds
    ``{"prices": […], "gap_seconds": …, "price_info": {"on_demand_price": …}}``, the last two if it likes.

    Raises:
        TraceError: A file is neither, or two have prices of one pool.
    """
    found: dict[str, Prices] = {}
    for path in paths:
        told = json_of(f"{path}", text_of(path))
        if not isinstance(told, dict) or not told:
            refuse(f"{path}", "the file", told, "an object of prices")
        for pool, prices in _own(path, told) if "prices" in told else _by_pool(path, told):
            if pool in found:
                raise TraceError(f"{path}: {pool}: is priced in {found[pool].source} too, expected one of them")
            found[pool] = prices
    return found


def read_rates(path: Path) -> dict[str, float]:
    """Read how fast nodes are, relative to on-demand ones: ``{"<pool or type>": 0.6, …}``.

    Raises:
        TraceError: The file is not such a document.
    """
    told = json_of(f"{path}", text_of(path))
    if not isinstance(told, dict) or not told:
        refuse(f"{path}", "the file", told, "an object of rates")
    return {name: positive(f"{path}", name, rate) for name, rate in told.items()}


def _own(path: Path, told: dict[str, Any]) -> list[tuple[str, Prices]]:
    """Return the prices of the pool that a file is named for."""
    info = told.get("price_info")
    on_demand = info.get("on_demand_price") if isinstance(info, dict) else None
    gap = told.get("gap_seconds")
    prices = Prices(
        source=f"{path}",
        dollars=numbers(f"{path}", "prices", told["prices"]),
        tick_seconds=None if gap is None else positive(f"{path}", "gap_seconds", gap),
        on_demand_price=None if on_demand is None else positive(f"{path}", "price_info.on_demand_price", on_demand),
    )
    return [(path.stem, prices)]


def _by_pool(path: Path, told: dict[str, Any]) -> list[tuple[str, Prices]]:
    """Return the prices of each pool of a file; a number is a price that never changes."""
    flat = {pool: type(values) in {int, float} for pool, values in told.items()}
    read = {pool: numbers(f"{path}", pool, [values] if flat[pool] else values) for pool, values in told.items()}
    return [
        (pool, Prices(source=f"{path}", dollars=read[pool].reshape(()) if flat[pool] else read[pool])) for pool in read
    ]
