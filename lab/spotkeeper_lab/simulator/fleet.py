"""The nodes of a fleet in many windows at once: which are there, which boot, which are taken back.

A group spans the zones that it is given, as an Auto Scaling group does: it launches where there is room, the cheapest
first, and never moves a node. Arrays have a row for each window, those of spot nodes a column for each pool.
"""

from __future__ import annotations

import numpy as np

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.market import Counts, Flags, Floats, Market


class Fleet:
    """The spot group and the on-demand group of a job, in each of ``windows`` windows."""

    def __init__(self, job: Job, market: Market, windows: int) -> None:
        self._boot_seconds = job.boot_seconds
        zones = market.zones
        self._market = market
        self._zone = np.array([list(dict.fromkeys(zones)).index(zone) for zone in zones])
        self._one_zone = job.single_zone and len(set(zones)) > 1
        pools = len(zones)
        self.spot = np.zeros((windows, pools), dtype=np.int64)
        """Spot nodes that are ready."""
        self.spot_booting = np.zeros((windows, pools), dtype=np.int64)
        self.on_demand = np.zeros(windows, dtype=np.int64)
        """On-demand nodes that are ready."""
        self.on_demand_booting = np.zeros(windows, dtype=np.int64)
        self._left = np.zeros((windows, 2))  # until those that boot are ready: spot, on-demand

    @property
    def spot_held(self) -> Counts:
        """Spot nodes that are paid, by pool."""
        return self.spot + self.spot_booting

    @property
    def on_demand_held(self) -> Counts:
        """On-demand nodes that are paid."""
        return self.on_demand + self.on_demand_booting

    def reclaim(self, room: Counts) -> tuple[Counts, Flags]:
        """Take back what the market has no room for any more; ready nodes first: the trace does not say which.

        Returns:
            How many nodes each pool has lost, and whether one of them was ready.
        """
        gone = np.maximum(0, self.spot_held - room)
        ready = np.minimum(gone, self.spot)
        self.spot -= ready
        self.spot_booting -= gone - ready
        return gone, ready.any(axis=1)

    def ask_spot(self, wanted: Counts, room: Counts, prices: Floats) -> None:
        """Let the spot group launch what it is short of where there is room, or give up what is too much."""
        held = self.spot_held
        more = wanted - held.sum(axis=1)
        if not more.any():
            return
        free = room - held
        if self._one_zone:
            free = np.where(self._chosen(held, free, more, prices), free, 0)
        launched = _spread(np.maximum(0, more), free, prices)
        self._left[:, 0] = np.where(launched.any(axis=1), self._boot_seconds, self._left[:, 0])
        self.spot_booting += launched
        if (more < 0).any():
            young = _spread(np.maximum(0, -more), self.spot_booting, -prices)
            self.spot_booting -= young
            self.spot -= _spread(np.maximum(0, -more) - young.sum(axis=1), self.spot, -prices)

    def ask_on_demand(self, wanted: Counts) -> None:
        """Launch or give up on-demand nodes; those that boot go first."""
        more = wanted - self.on_demand_held
        self._left[:, 1] = np.where(more > 0, self._boot_seconds, self._left[:, 1])
        self.on_demand_booting += np.maximum(0, more)
        young = np.minimum(np.maximum(0, -more), self.on_demand_booting)
        self.on_demand_booting -= young
        self.on_demand -= np.maximum(0, -more) - young

    def next_ready(self) -> Floats:
        """Return how long it is until some that boot are ready; infinity where none boots."""
        spot = np.where(self.spot_booting.any(axis=1), self._left[:, 0], np.inf)
        return np.minimum(spot, np.where(self.on_demand_booting > 0, self._left[:, 1], np.inf))

    def pass_time(self, seconds: Floats) -> Flags:
        """Let time pass; what has booted is ready. Return where there is any such node."""
        self._left -= seconds[:, None]
        done = self._left <= 1e-6
        ready = (done[:, 0] & self.spot_booting.any(axis=1)) | (done[:, 1] & (self.on_demand_booting > 0))
        self.spot += np.where(done[:, :1], self.spot_booting, 0)
        self.spot_booting = np.where(done[:, :1], 0, self.spot_booting)
        self.on_demand += np.where(done[:, 1], self.on_demand_booting, 0)
        self.on_demand_booting = np.where(done[:, 1], 0, self.on_demand_booting)
        return np.asarray(ready)

    def _chosen(self, held: Counts, free: Counts, more: Counts, prices: Floats) -> Flags:
        """Which pools are in the one zone of a window: where nodes are, or the cheapest that has room for all."""
        zone_free = self._market.by_zone(free)[:, self._zone]
        score = np.where(zone_free >= more[:, None], prices, 1e9 - 1e6 * zone_free + prices)
        score = np.where(free > 0, score, np.inf)
        score = np.where(held > 0, -1.0, score)
        return np.asarray(self._zone[None, :] == self._zone[score.argmin(axis=1)][:, None])


def _spread(amount: Counts, room: Counts, order: Floats) -> Counts:
    """Return each row's ``amount`` spread over its columns, up to the room of each, those of least ``order`` first."""
    if room.shape[1] == 1:
        return np.asarray(np.minimum(amount[:, None], np.maximum(0, room)))
    columns = np.argsort(order, axis=1, kind="stable")
    sorted_room = np.maximum(0, np.take_along_axis(room, columns, axis=1))
    before = np.cumsum(sorted_room, axis=1) - sorted_room
    taken = np.clip(amount[:, None] - before, 0, sorted_room)
    spread = np.zeros_like(taken)
    np.put_along_axis(spread, columns, taken, axis=1)
    return np.asarray(spread)
