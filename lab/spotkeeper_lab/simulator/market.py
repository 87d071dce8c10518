"""What a spot market offers at every tick: how many nodes each pool has, and for how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


EACH = "each-pool"
"""The pool of windows that are apart: each has but one, and that is the label."""


class MarketError(ValueError):
    """A market or a part of one cannot be used; the message names the field, its value and what is expected."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Market:
    """Counts and prices of some pools over time. A pool is one instance type in one zone."""

    name: str
    tick_seconds: float
    """Time from one column to the next."""
    pools: tuple[str, ...]
    """Names, ``<zone>`` or ``<zone>_<type>``: what comes before the first underscore is the zone."""
    counts: Counts
    """How many spot nodes the pool has room for, shape ``(pools, ticks)``."""
    prices: Floats
    """Dollars for a spot node and hour, shape ``(pools, ticks)``."""
    on_demand_price: float
    """Dollars for an on-demand node and hour; on-demand is always to be had."""
    rates: tuple[float, ...] = ()
    """Speed of a pool's nodes relative to an on-demand node; empty: all alike. Nodes that work together are as fast as
    the slowest of them."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a market."""
        self.need(self.tick_seconds > 0, "tick_seconds", self.tick_seconds, "more than 0")
        self.need(self.on_demand_price > 0, "on_demand_price", self.on_demand_price, "more than 0 dollars an hour")
        self.need(bool(self.pools), "pools", self.pools, "at least one")
        self.need(len(set(self.pools)) == len(self.pools), "pools", self.pools, "names that differ")
        shape = (len(self.pools), self.counts.shape[-1])
        self.need(self.counts.shape == shape and shape[1] > 0, "counts", self.counts.shape, f"shape {shape}")
        self.need(self.prices.shape == shape, "prices", self.prices.shape, f"shape {shape}, as the counts")
        self.need(bool((self.counts >= 0).all()), "counts", self.counts.min(), "0 or more")
        finite = bool(np.isfinite(self.prices).all()) and bool((self.prices >= 0).all())
        self.need(finite, "prices", self.prices.min(), "0 or more dollars an hour")
        rates = self.rates or (1.0,) * len(self.pools)
        self.need(len(rates) == len(self.pools), "rates", self.rates, "one for each pool")
        self.need(all(rate > 0 for rate in rates), "rates", self.rates, "more than 0")
        object.__setattr__(self, "rates", rates)

    def need(self, holds: bool, field: str, was: object, expected: str) -> None:
        """Raise :class:`MarketError` unless ``holds``."""
        if not holds:
            raise MarketError(f"market {self.name}: {field}: was {was!r}, expected {expected}")

    @property
    def ticks(self) -> int:
        """How many ticks it has."""
        return int(self.counts.shape[1])

    @property
    def hours(self) -> float:
        """How long it is."""
        return self.ticks * self.tick_seconds / 3600

    @property
    def zones(self) -> tuple[str, ...]:
        """The zone of each pool."""
        return tuple(pool.partition("_")[0] for pool in self.pools)

    @property
    def types(self) -> tuple[str, ...]:
        """The type of each pool."""
        return tuple(pool.partition("_")[2] for pool in self.pools)

    def by_zone(self, counts: Counts) -> Counts:
        """Return counts of pools, shape ``(…, pools)``, for all pools of a zone together, shape ``(…, zones)``."""
        zones = self.zones
        if len(set(zones)) == len(zones):
            return counts
        rows = [[row for row, own in enumerate(zones) if own == zone] for zone in dict.fromkeys(zones)]
        return np.stack([counts[..., some].sum(axis=-1) for some in rows], axis=-1)

    def paced(self, rates: Mapping[str, float]) -> Market:
        """Return the market with other rates, by pool or, for all of a type, by type; what is not named stays.

        Raises:
            MarketError: It has no such pool or type, or a rate is not more than 0.
        """
        names = dict.fromkeys((*self.pools, *filter(None, self.types)))
        for name, rate in rates.items():
            self.need(name in names, "rates", name, f"a pool or a type: {', '.join(names)}")
            self.need(0 < rate < math.inf, f"rates: {name}", rate, "more than 0")
        pools = zip(self.pools, self.types, self.rates, strict=True)
        return replace(self, rates=tuple(rates.get(pool, rates.get(kind, rate)) for pool, kind, rate in pools))

    def only(self, pools: Sequence[str]) -> Market:
        """Return the market with ``pools`` alone, in that order.

        Raises:
            MarketError: It has no pool of such a name.
        """
        for pool in pools:
            self.need(pool in self.pools, "pools", pool, f"one of {', '.join(self.pools)}")
        rows = [self.pools.index(pool) for pool in pools]
        return replace(
            self,
            pools=tuple(pools),
            counts=self.counts[rows],
            prices=self.prices[rows],
            rates=tuple(self.rates[row] for row in rows),
        )

    def between(self, first: int, end: int) -> Market:
        """Return the market of the ticks from ``first`` up to ``end``, which is not included."""
        self.need(0 <= first < end <= self.ticks, "ticks", (first, end), f"a part of 0 to {self.ticks}")
        return replace(self, counts=self.counts[:, first:end], prices=self.prices[:, first:end])

    def windows(self, starts: Sequence[int] | Counts, ticks: int) -> Windows:
        """Return so many ticks from each of ``starts`` on."""
        return Windows(market=self, starts=np.asarray(starts, dtype=np.int64), ticks=ticks)

    def sampled(self, hours: float, number: int, *, most_hours: float | None = None) -> Windows:
        """Return windows whose starts are spread evenly over the market.

        Args:
            hours: How long each has to be at least.
            number: How many; fewer where the market has not so many ticks to start at.
            most_hours: How long they may be at most, for jobs that are late; they are as long as the market allows.

        Raises:
            MarketError: The market is shorter than ``hours``.
        """
        ticks = math.ceil(hours * 3600 / self.tick_seconds - 1e-9)
        self.need(
            ticks <= self.ticks, "ticks", f"{self.hours:.1f} hours", f"at least {hours:.1f} hours, as long as the job"
        )
        longest = ticks if most_hours is None else math.ceil(most_hours * 3600 / self.tick_seconds - 1e-9)
        ticks = max(ticks, min(longest, (self.ticks + ticks) // 2))
        starts = np.unique(np.linspace(0, self.ticks - ticks, max(1, number)).astype(np.int64))
        return self.windows(starts, ticks)


@dataclass(frozen=True, eq=False, kw_only=True)
class Windows:
    """Pieces of a market in which a job is run, one run a piece. They may overlap: then their results are not apart."""

    market: Market
    starts: Counts
    """The market's tick at which each begins, shape ``(windows,)``."""
    ticks: int
    """How long each is."""
    labels: tuple[str, ...] = ()
    """Where each is from, for those who look at some of them apart; empty: the market's name."""

    def __post_init__(self) -> None:
        """Refuse what reaches beyond the market."""
        last = self.market.ticks - self.ticks
        if self.starts.size == 0 or self.starts.min() < 0 or self.starts.max() > last:
            span = f"{self.starts.min()} to {self.starts.max()}" if self.starts.size else "none"
            raise MarketError(
                f"market {self.market.name}: starts: was {span}, expected 0 to {last} for {self.ticks} ticks each"
            )
        labels = self.labels or (self.market.name,) * len(self.starts)
        if len(labels) != len(self.starts):
            raise MarketError(f"market {self.market.name}: labels: was {len(labels)}, expected {len(self.starts)}")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.starts)

    def counts(self, tick: int) -> Counts:
        """Return what each pool has room for at a tick, shape ``(windows, pools)``."""
        return self.market.counts[:, self.starts + tick].T

    def prices(self, tick: int) -> Floats:
        """Return the spot price of each pool at a tick, shape ``(windows, pools)``."""
        return self.market.prices[:, self.starts + tick].T

    @property
    def are_apart(self) -> bool:
        """Whether each is of one pool, its label."""
        return self.market.pools == (EACH,)

    def only(self, pools: Sequence[str]) -> Windows:
        """Return the windows with ``pools`` alone; of windows that are apart, those of these pools.

        Raises:
            MarketError: There is no pool of such a name.
        """
        if not self.are_apart:
            return replace(self, market=self.market.only(pools))
        for pool in pools:
            self.market.need(pool in self.labels, "pools", pool, f"one of {', '.join(dict.fromkeys(self.labels))}")
        return self.of(np.array([label in pools for label in self.labels]))

    def apart(self) -> Windows:
        """Return windows of one pool each, labelled with it: as many of them for every pool as there are windows.

        Raises:
            MarketError: Rates differ: then a pool is not as good as another.
        """
        market, size = self.market, len(self.market.pools)
        if self.are_apart:
            return self
        market.need(len(set(market.rates)) == 1, "rates", market.rates, "all the same, for pools that are apart")
        one = replace(
            market,
            pools=(EACH,),
            counts=market.counts.reshape(1, -1),
            prices=market.prices.reshape(1, -1),
            rates=market.rates[:1],
        )
        return Windows(
            market=one,
            starts=(np.arange(size)[:, None] * market.ticks + self.starts).ravel(),
            ticks=self.ticks,
            labels=tuple(pool for pool in market.pools for _ in self.starts),
        )

    def of(self, chosen: Sequence[int] | Counts | Flags) -> Windows:
        """Return some of the windows."""
        rows = np.arange(len(self))[np.asarray(chosen)]
        return replace(self, starts=self.starts[rows], labels=tuple(self.labels[row] for row in rows))
