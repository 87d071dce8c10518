"""What a job costs at least in a window of a market whose future is known: dynamic programming.

States are the ticks, what the nodes are, and the work still to do, in units. Work and delays are rounded down, nothing
is lost, and nothing is paid for notices: so the answer is a bound that no policy can pass, and that one without such
losses can reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        JobError: The job is elastic, or some nodes are faster than on-demand ones: no bound is known. Where some are
            slower it is the bound of nodes as fast as on-demand ones, which is too low.
    """
    if not job.gang:
        raise JobError(f"minimum: was {job.least}, expected {job.nodes}: the optimum of an elastic job is not known")
    if max(windows.market.rates) > 1:
        raise JobError(f"rates: was {windows.market.rates}, expected 1 at most: else the optimum is not known")
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


@dataclass(frozen=True)
class _Search:
    """The search, in units of work: a unit is done in ``unit`` seconds."""

    unit: float
    steps: int
    """Units in a tick."""
    work: int
    restart: int
    start: int
    """What a start from nothing costs: boot and restart."""
    ticks: int

    @classmethod
    def of(cls, job: Job, windows: Windows) -> _Search:
        tick = windows.market.tick_seconds
        work = job.work_seconds / job.usual_speed
        unit = _unit(job, tick, work)
        restart, boot = _down(job.restart_seconds / unit), _down(job.boot_seconds / unit)
        return cls(
            unit=unit,
            steps=round(tick / unit),
            work=_down(work / unit),
            restart=restart,
            start=restart + boot,
            ticks=min(math.ceil(job.deadline_seconds / tick - 1e-9), windows.ticks),
        )

    @property
    def size(self) -> int:
        """How many amounts of work there are to look at; restarts still to do count as work."""
        return self.work + self.start + 1

    def cheapest(self, kinds: Sequence[_Kind]) -> Floats:
        """Return the least cost by window.

        From the last tick to the first: ``runs[kind]`` is what the rest costs, by the work still to do, if the nodes
        are of that kind already and stay so in this tick; ``idle``, if there are none.
        """
        shape = (len(kinds[0].feasible), self.size)
        runs, idle = [_nothing_left(shape) for _ in kinds], _nothing_left(shape)
        for tick in range(self.ticks - 1, -1, -1):
            low = max(0, self.work - tick * self.steps)  # less cannot be left by now
            high = min(self.size, (self.ticks - tick) * self.steps + 1)  # more cannot be done any more
            if low >= high:
                return np.full(shape[0], np.inf)
            others = np.minimum(_entered(_least(runs), self.restart), idle)
            runs = [
                self._tick(kind, np.minimum(run, others), tick, low, high)
                for kind, run in zip(kinds, runs, strict=True)
            ]
            idle = np.minimum(idle, _entered(_least(runs), self.start))
        return np.asarray(idle[:, self.work])

    def _tick(self, kind: _Kind, best: Floats, tick: int, low: int, high: int) -> Floats:
        """Return what the rest costs if the nodes are of a kind in this tick, from what it costs after it."""
        run = np.full_like(best, np.inf)
        run[:, 0] = 0.0
        inside = min(high, self.steps + 1)
        if low < inside:
            run[:, low:inside] = 0.0
        first = max(low, inside)
        run[:, first:high] = best[:, first - self.steps : high - self.steps]
        amounts = np.arange(low, high)
        worked = np.minimum(amounts, self.steps)
        run[:, low:high] += kind.dollars_per_second[:, tick, None] * (worked * self.unit)[None, :]
        run[~kind.feasible[:, tick], max(1, low) : high] = np.inf
        return run


def _kinds(job: Job, windows: Windows, ticks: int) -> list[_Kind]:
    """Return what the nodes may be: for each zone that they may be in, every number of spot nodes; then none."""
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
    for place in places:
        order = np.argsort(prices[place], axis=0, kind="stable")
        room = np.take_along_axis(counts[place], order, axis=0)
        price = np.take_along_axis(prices[place], order, axis=0)
        before = np.cumsum(room, axis=0) - room
        for spot in range(1, job.nodes - job.base + 1):
            taken = np.clip(spot - before, 0, room)
            dollars = (taken * price).sum(axis=0) + (job.nodes - spot) * market.on_demand_price
            kinds.append(_Kind(room.sum(axis=0) >= spot, dollars / HOUR))
    always = np.ones(columns.shape, dtype=bool)
    kinds.append(_Kind(always, np.full(columns.shape, job.nodes * market.on_demand_price / HOUR)))
    return kinds


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
    return tick / max(1, math.floor(UNITS * tick / work))
