"""The responder's policies at work: the very functions that decide in the cloud, fed with what they would see there.

Around them stands what the responder does with an answer (:mod:`spotkeeper_responder.sizes`): more on-demand is bought
at once, it is given back only after spot has been back for the hysteresis, and what is missing while it boots is not
bought. ``deadline`` is asked once a look, and what stands of its answer says what of it is enough. A function is not
called again while its own answer says that it still holds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.market import Windows
from spotkeeper_lab.simulator.player import Player, Seen, Wanted
from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.fallback import Answer, FallbackPolicy, Market, Situation, Work
from spotkeeper_responder.policies import Standing

REMEMBERED = 32
"""How many spells and gaps are remembered, as in the ledger."""


@dataclass(frozen=True, kw_only=True)
class Responder:
    """A policy of the responder."""

    name: str
    policy: FallbackPolicy
    period: float = 60.0
    """Seconds between two looks of the responder."""
    hysteresis_seconds: float = 0.0
    """For how long spot has to be back before on-demand is given back."""
    elastic: bool = True
    """Whether it knows how fast the job is on fewer nodes, as it does of an elastic fleet."""

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it as it is before the first tick."""
        return _Responders(self, job, windows)


class _Responders:
    """A responder for each window."""

    def __init__(self, responder: Responder, job: Job, windows: Windows) -> None:
        self._responder, self._job = responder, job
        self._on_demand_price = windows.market.on_demand_price
        size = len(windows)
        told = responder.elastic and not job.gang
        self._speeds = tuple((job.speed_by_nodes() / job.usual_speed).tolist()) if told else ()
        self.period, self.spot_at_first = responder.period, job.nodes - job.base
        self._fleets = [_Memory(size=job.base) for _ in range(size)]
        self._on_demand = np.full(size, job.base, dtype=np.int64)
        self._spot = np.full(size, job.nodes - job.base, dtype=np.int64)
        self._saves = np.zeros(size, dtype=bool)
        self._until = np.full(size, -np.inf)
        self._held = np.zeros(size, dtype=np.int64)
        self._ready = np.zeros(size, dtype=np.int64)
        self._price = np.full(size, -1.0)

    def decide(self, seen: Seen) -> Wanted:
        """Ask where something has changed, or the last answer holds no longer."""
        came = seen.asked & ((seen.spot_held != self._held) | (seen.lost > 0))
        for row in np.flatnonzero(came):
            self._fleets[row].count(int(seen.spot_held[row]), int(seen.lost[row]), float(seen.now[row]))
        changed = came | (seen.spot_ready != self._ready) | (seen.price != self._price)
        self._saves[:] = False
        for row in np.flatnonzero(seen.asked & (changed | (seen.now >= self._until - 1e-6))):
            self._answer(int(row), seen)
        for mine, theirs in ((self._held, seen.spot_held), (self._ready, seen.spot_ready), (self._price, seen.price)):
            np.copyto(mine, theirs, where=seen.asked)
        again = np.maximum(self._until - seen.now, self.period)
        return Wanted(on_demand=self._on_demand, spot=self._spot, save=self._saves, again=again)

    def _answer(self, row: int, seen: Seen) -> None:
        memory, job, now = self._fleets[row], self._job, float(seen.now[row])
        wanted = job.nodes - job.base
        ready, held = int(seen.spot_ready[row]), int(seen.spot_held[row])
        memory.short_since = None if ready >= wanted else now if memory.short_since is None else memory.short_since
        asked = self._situation(row, seen, wanted - held)
        raised = self._responder.policy.answer(asked)
        memory.size = max(memory.size, min(job.nodes, job.base + raised.on_demand))
        lowered = raised if held == ready or raised.spot == 0 else self._lowered(row, seen, asked, raised)
        until = now + min(raised.holds_seconds, lowered.holds_seconds)
        memory.lower(job.base + lowered.on_demand, now, self._responder.hysteresis_seconds)
        if memory.surplus_since is not None:
            until = min(until, memory.surplus_since + self._responder.hysteresis_seconds)
        memory.final = memory.final or raised.final
        asks = wanted if raised.spot is None else min(wanted, raised.spot)
        memory.asks(asks >= 1, now)
        self._on_demand[row], self._spot[row], self._until[row] = memory.size, asks, until
        self._saves[row] = raised.checkpoint

    def _lowered(self, row: int, seen: Seen, asked: Situation, raised: Answer) -> Answer:
        """Return what is enough while nodes boot."""
        now_missing = self._situation(row, seen, asked.wanted - int(seen.spot_ready[row]))
        if isinstance(self._responder.policy, Deadline):
            return Standing.of(asked, raised).answer(now_missing)
        return self._responder.policy.answer(now_missing)

    def _situation(self, row: int, seen: Seen, missing: int) -> Situation:
        memory, job, now = self._fleets[row], self._job, float(seen.now[row])
        speed = job.usual_speed
        done, saved = float(seen.done[row]), float(seen.saved[row])
        return Situation(
            missing=missing,
            lasted=0.0 if memory.short_since is None else now - memory.short_since,
            held=memory.size - job.base,
            serving=int(seen.spot_ready[row]),
            wanted=job.nodes - job.base,
            base=job.base,
            final=memory.final,
            work=Work(
                time_left=job.deadline_seconds - now,
                remaining=(job.work_seconds - saved) / speed,
                whole=job.work_seconds / speed,
                allowed=job.deadline_seconds,
                unsaved=(done - saved) / speed,
                speeds=self._speeds,
            ),
            market=Market(
                spot_price=float(seen.price[row]),
                on_demand_price=self._on_demand_price,
                spent=float(seen.spent[row]),
                ages=tuple(now - since for since in memory.launched),
                spells=tuple(memory.spells),
                gaps=tuple(memory.gaps),
            ),
        )


@dataclass(slots=True)
class _Memory:
    """What the ledger keeps of one fleet."""

    size: int
    """On-demand nodes to hold, the base included."""
    final: bool = False
    short_since: float | None = None
    surplus_since: float | None = None
    surplus_wanted: int = 0
    gap_since: float | None = 0.0
    """Since when the group has asked for spot in vain."""
    launched: list[float] = field(default_factory=list)
    """When each spot node was launched, the oldest first."""
    spells: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def count(self, held: int, lost: int, now: float) -> None:
        """Remember which nodes have come and gone; who is gone is not told: the oldest."""
        for _ in range(min(lost, len(self.launched))):
            self.spells.append(now - self.launched.pop(0))
        if held > len(self.launched) and self.gap_since is not None:
            if self.gap_since < now:
                self.gaps.append(now - self.gap_since)
            self.gap_since = None
        self.launched = [*self.launched, *[now] * (held - len(self.launched))][:held]
        if not held and lost:
            self.gap_since = now

    def asks(self, asks: bool, now: float) -> None:
        """Remember since when the group has asked for spot in vain: what nobody asks for is not missing."""
        if not asks:
            self.gap_since = None
        elif not self.launched and self.gap_since is None:
            self.gap_since = now

    def lower(self, enough: int, now: float, hysteresis: float) -> None:
        """Give back what is too much once it has been so for the hysteresis."""
        if enough >= self.size:
            self.surplus_since = None
            return
        if self.surplus_since is None:
            self.surplus_since, self.surplus_wanted = now, 0
        most = max(enough, self.surplus_wanted)
        self.surplus_wanted = most
        if now - self.surplus_since >= hysteresis - 1e-6:
            self.size = min(most, self.size)
            self.surplus_since = None
