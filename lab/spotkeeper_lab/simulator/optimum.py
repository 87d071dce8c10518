"""What a job costs at least in a window of a market whose future is known: dynamic programming.

States are the ticks, what the nodes are, and the work still to do, in units. Work and delays are rounded down, nothing
is lost, and nothing is paid for notices: so the answer is a bound that no policy can pass, and that one without such
losses can reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spotkeeper_lab.simulator.job import HOUR, Job, JobError
from spotkeeper_lab.simulator.market import Flags, Floats, Windows

UNITS = 12_000
"""The most units that the work is cut into."""
CELLS = 40_000
"""How many numbers are worked on at once: as many as a processor keeps near."""


def optimum(job: Job, windows: Windows) -> Floats:
    """Return the least cost of ``job`` in each of ``windows``, in dollars, shape ``(windows,)``.

    Spot nodes are in one zone, if the job asks for it, or anywhere, the cheapest first; any number of them may be
    replaced by on-demand nodes.

    Args:
        job: What is run, on all its nodes.
        windows: Where and when.

    Returns:
        Infinity where even on-demand alone would be late.

    Raises:
        JobError: The job is elastic: no bound is known.
    """
    if not job.gang:
        raise JobError(f"minimum: was {job.least}, expected {job.nodes}: the optimum of an elastic job is not known")
    search = _Search.of(job, windows)
    size = max(1, CELLS // search.size)
    parts = []
    for first in range(0, len(windows), size):
        some = windows.of(np.arange(first, min(first + size, len(windows))))
        parts.append(search.cheapest(_kinds(job, some, search.ticks)))
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class _Kind:
    """A choice of nodes: at each tick whether it is to be had and what it costs, shape ``(windows, ticks)``."""

    feasible: Flags
    dollars_per_second: Floats
    rate: float = 1.0
    """How fast its slowest node is."""


@dataclass(frozen=True)
class _Search:
    """The search, in units of work: a unit is done in ``unit`` seconds by nodes as fast as on-demand ones."""

    unit: float
    tick_seconds: float
    work: int
    restart: float
    """What a change of nodes costs, in units."""
    start: float
    """What a start from nothing costs, in units: boot and restart."""
    ticks: int
    fastest: float
    """The highest rate."""

    @classmethod
    def of(cls, job: Job, windows: Windows) -> _Search:
        tick = windows.market.tick_seconds
        work = job.work_seconds / job.usual_speed
        rates = windows.market.rates
        unit = _unit(job, tick, work) if set(rates) == {1.0} else _finest(tick, work)
        return cls(
            unit=unit,
            tick_seconds=tick,
            work=_down(work / unit),
            restart=job.restart_seconds / unit,
            start=(job.restart_seconds + job.boot_seconds) / unit,
            ticks=min(math.ceil(job.deadline_seconds / tick - 1e-9), windows.ticks),
            fastest=max(1.0, *rates),
        )

    @property
    def size(self) -> int:
        """How many amounts of work there are to look at; restarts still to do count as work."""
        return self.work + _down(self.start * self.fastest) + 1

    def steps(self, rate: float) -> int:
        """Return the units that are done in a tick."""
        return math.ceil(round(self.tick_seconds / self.unit) * rate - 1e-9)

    def cheapest(self, kinds: Sequence[_Kind]) -> Floats:
        """Return the least cost by window.

        From the last tick to the first: ``runs[kind]`` is what the rest costs, by the work still to do, if the nodes
        are of that kind already and stay so in this tick; ``idle``, if there are none.
        """
        shape = (len(kinds[0].feasible), self.size)
        runs, idle = [_nothing_left(shape) for _ in kinds], _nothing_left(shape)
        most = self.steps(self.fastest)
        for tick in range(self.ticks - 1, -1, -1):
            low = max(0, self.work - tick * most)  # less cannot be left by now
            high = min(self.size, (self.ticks - tick) * most + 1)  # more cannot be done any more
            if low >= high:
                return np.full(shape[0], np.inf)
            others = np.minimum(_changed(kinds, runs, self.restart), idle)
            runs = [
                self._tick(kind, np.minimum(run, others), tick, low, high)
                for kind, run in zip(kinds, runs, strict=True)
            ]
            idle = np.minimum(idle, _changed(kinds, runs, self.start))
        return np.asarray(idle[:, self.work])

    def _tick(self, kind: _Kind, best: Floats, tick: int, low: int, high: int) -> Floats:
        """Return what the rest costs if the nodes are of a kind in this tick, from what it costs after it."""
        run = np.full_like(best, np.inf)
        run[:, 0] = 0.0
        steps = self.steps(kind.rate)
        inside = min(high, steps + 1)
        if low < inside:
            run[:, low:inside] = 0.0
        first = max(low, inside)
        run[:, first:high] = best[:, first - steps : high - steps]
        amounts = np.arange(low, high)
        seconds = np.minimum(amounts, steps) * (self.tick_seconds / steps)
        run[:, low:high] += kind.dollars_per_second[:, tick, None] * seconds[None, :]
        run[~kind.feasible[:, tick], max(1, low) : high] = np.inf
        return run


def _kinds(job: Job, windows: Windows, ticks: int) -> list[_Kind]:
    """Return what the nodes may be: for each zone that they may be in, every number of spot nodes; then none.

    In a zone with several types the slowest that is taken decides how fast all are: each rate is a kind of its own.
    """
    market = windows.market
    columns = windows.starts[:, None] + np.arange(ticks)[None, :]
    counts, prices = market.counts[:, columns], market.prices[:, columns]
    zones = market.zones
    places = [[row for row, zone in enumerate(zones) if zone == one] for one in dict.fromkeys(zones)]
    if job.nodes == 1:
        places = [[row] for row in range(len(zones))]
    elif not job.single_zone:
        places = [[*range(len(zones))]]
    kinds = []
    for place, rate in _paces(places, market.rates):
        order = np.argsort(prices[place], axis=0, kind="stable")
        room = np.take_along_axis(counts[place], order, axis=0)
        price = np.take_along_axis(prices[place], order, axis=0)
        before = np.cumsum(room, axis=0) - room
        for spot in range(1, job.nodes - job.base + 1):
            taken = np.clip(spot - before, 0, room)
            dollars = (taken * price).sum(axis=0) + (job.nodes - spot) * market.on_demand_price
            together = rate if spot == job.nodes else min(1.0, rate)
            kinds.append(_Kind(room.sum(axis=0) >= spot, dollars / HOUR, together))
    always = np.ones(columns.shape, dtype=bool)
    kinds.append(_Kind(always, np.full(columns.shape, job.nodes * market.on_demand_price / HOUR)))
    return kinds


def _paces(places: Sequence[list[int]], rates: Sequence[float]) -> Iterator[tuple[list[int], float]]:
    """Yield, for each rate that a place has, the pools of the place that are as fast."""
    for place in places:
        for rate in {rates[row]: None for row in place}:
            yield [row for row in place if rates[row] >= rate], rate


def _changed(kinds: Sequence[_Kind], runs: Sequence[Floats], delay: float) -> Floats:
    """Return what the rest costs after a delay, in units, on the kind that is then the cheapest."""
    cheapest = []
    for rate in {kind.rate: None for kind in kinds}:
        least = _least([run for kind, run in zip(kinds, runs, strict=True) if kind.rate == rate])
        cheapest.append(_entered(least, _down(delay * rate)))
    return _least(cheapest)


def _entered(runs: Floats, delay: int) -> Floats:
    """Return what the rest costs if a delay, which counts as work, comes first."""
    entered = np.full_like(runs, np.inf)
    entered[:, : runs.shape[1] - delay] = runs[:, delay:]
    entered[:, 0] = 0.0
    return entered


def _least(runs: Sequence[Floats]) -> Floats:
    best = runs[0]
    for run in runs[1:]:
        best = np.minimum(best, run)
    return best


def _nothing_left(shape: tuple[int, int]) -> Floats:
    costs = np.full(shape, np.inf)
    costs[:, 0] = 0.0
    return costs


def _down(units: float) -> int:
    return math.floor(units + 1e-9)


def _unit(job: Job, tick: float, work: float) -> float:
    """Return the largest unit in which ticks, delays and, if that leaves few enough, the work are whole."""
    delays = [tick, job.restart_seconds, job.boot_seconds]
    for numbers in ([*delays, work], delays):
        if all(number == int(number) for number in numbers):
            unit = math.gcd(*(int(number) for number in numbers))
            if work / unit <= UNITS:
                return float(unit)
    return _finest(tick, work)


def _finest(tick: float, work: float) -> float:
    return tick / max(1, math.floor(UNITS * tick / work))
