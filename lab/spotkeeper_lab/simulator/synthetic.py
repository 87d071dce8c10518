"""Markets drawn from published statistics, so that nothing has to be downloaded. The same seed, the same market.

A pool is up for a while and down for a while. How long, on average, is published; that spells are heavy-tailed, too
(many short ones, some very long): they are drawn from log-normal distributions with those means. Prices move slowly
between the least and the most that were published for the zone. Pools are drawn independently of each other, which real
zones of one region are not quite: where several zones are short at once, a real market is worse than this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spotkeeper_lab.simulator.job import HOUR
from spotkeeper_lab.simulator.market import Counts, Floats, Market, MarketError

SPREAD = 1.0
"""Standard deviation of a spell's logarithm: a tenth of the spells then holds about 40 % of the time."""
PRICE_HOURS = 24.0
"""In about how many hours a price forgets what it was."""


@dataclass(frozen=True, kw_only=True)
class Spells:
    """Statistics of one pool."""

    pool: str
    up_hours: float
    """How long there is room, mean."""
    down_hours: float
    """How long there is none, mean; 0: there is always room."""
    low: float
    """Least spot price, dollars a node and hour."""
    high: float
    nodes: int = 1
    """How many nodes there is room for when there is room."""
    partial: float = 0.0
    """How often, of the times that there is room, there is room only for some of them."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        needs = {
            "up_hours": (self.up_hours > 0, "more than 0"),
            "down_hours": (self.down_hours >= 0, "0 or more"),
            "low": (0 <= self.low <= self.high, f"0 to {self.high}, the highest price"),
            "nodes": (self.nodes >= 1, "at least 1"),
            "partial": (0 <= self.partial <= 1, "0 to 1"),
        }
        for field, (holds, expected) in needs.items():
            if not holds:
                raise MarketError(f"pool {self.pool}: {field}: was {getattr(self, field)}, expected {expected}")


def drawn(
    name: str,
    pools: Sequence[Spells],
    *,
    on_demand_price: float,
    hours: float = 45 * 24.0,
    tick_seconds: float = 300.0,
    seed: int = 0,
) -> Market:
    """Return a market with one draw of each pool.

    Args:
        name: What it is called.
        pools: Their statistics.
        on_demand_price: Dollars a node and hour.
        hours: How long it is to be.
        tick_seconds: How long ticks are to be.
        seed: Of the draw, see :func:`luck`.
    """
    ticks = max(1, round(hours * HOUR / tick_seconds))
    counts, prices = [], []
    for pool in pools:
        random = luck(pool.pool, seed)
        counts.append(_counts(pool, ticks, tick_seconds / HOUR, random))
        prices.append(_prices(pool, ticks, tick_seconds / HOUR, random))
    return Market(
        name=name,
        tick_seconds=tick_seconds,
        pools=tuple(pool.pool for pool in pools),
        counts=np.stack(counts),
        prices=np.stack(prices),
        on_demand_price=on_demand_price,
    )


def luck(pool: str, seed: int) -> np.random.Generator:
    """Return what a pool is drawn with: it depends on its name and the seed alone, not on the other pools."""
    return np.random.default_rng([seed, *pool.encode()])


def _counts(pool: Spells, ticks: int, tick_hours: float, random: np.random.Generator) -> Counts:
    counts = np.zeros(ticks, dtype=np.int64)
    share = pool.up_hours / (pool.up_hours + pool.down_hours)
    up, at = bool(random.random() < share), 0.0
    at -= float(random.random()) * _spell(pool.up_hours if up else pool.down_hours, random)  # it has begun before
    while at < ticks * tick_hours:
        long = _spell(pool.up_hours if up else pool.down_hours, random)
        first, end = (max(0, round(edge / tick_hours)) for edge in (at, at + long))
        if up:
            some = pool.nodes > 1 and random.random() < pool.partial
            counts[first:end] = random.integers(1, pool.nodes) if some else pool.nodes
        at += long
        up = not up
    return counts


def _spell(mean: float, random: np.random.Generator) -> float:
    return 0.0 if mean == 0 else float(random.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD))


def _prices(pool: Spells, ticks: int, tick_hours: float, random: np.random.Generator) -> Floats:
    """Return a price that wanders between its bounds and is drawn back to their middle."""
    keeps = np.exp(-tick_hours / PRICE_HOURS)
    steps = random.normal(0.0, np.sqrt(1 - keeps**2), ticks)
    wander, level = np.empty(ticks), float(random.normal())
    for tick in range(ticks):
        level = keeps * level + steps[tick]
        wander[tick] = level
    return np.asarray(pool.low + (pool.high - pool.low) * (1 + np.tanh(wander / 1.5)) / 2).round(4)
