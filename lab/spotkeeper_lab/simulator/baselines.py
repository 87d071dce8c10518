"""Policies of the literature that ours is measured against. All nodes are of one kind at a time, or there are none.

Greedy, time-sliced and Uniform Progress are those of "Can't Be Late" (Wu et al., NSDI 2024). Their rules are applied at
ticks, with times in whole ticks, as the simulators do whose results were published: a decision that has to wait for the
next tick is too late by up to one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.market import Counts, Flags, Floats, Windows
from spotkeeper_lab.simulator.player import Player, Policy, Seen, Wanted

NONE, SPOT, ON_DEMAND = 0, 1, 2
"""What all nodes are."""


@dataclass(frozen=True)
class OnDemand:
    """On-demand from beginning to end."""

    name: str = "on-demand"

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it at its start."""
        return _Chooser(self, job, windows)

    def choose(self, view: View) -> Counts:
        """Return what the nodes are to be."""
        return np.full(len(view.left), ON_DEMAND)


@dataclass(frozen=True)
class SpotOnly:
    """Spot where there is any; late where there is not."""

    name: str = "spot-only"

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it at its start."""
        return _Chooser(self, job, windows)

    def choose(self, view: View) -> Counts:
        """Return what the nodes are to be."""
        return np.where(view.room, SPOT, NONE)


@dataclass(frozen=True)
class Greedy:
    """Spot where there is any, else none, until only on-demand makes the deadline."""

    name: str = "greedy"

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it at its start."""
        return _Chooser(self, job, windows)

    def choose(self, view: View) -> Counts:
        """Return what the nodes are to be."""
        return view.in_time(np.where(view.room, SPOT, NONE))


@dataclass(frozen=True)
class TimeSliced:
    """Greedy in each of some slices of the time, each with its share of the work; what is ahead is carried over."""

    slices: int = 4
    name: str = "time-sliced"

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it at its start."""
        return _Chooser(self, job, windows)

    def choose(self, view: View) -> Counts:
        """Return what the nodes are to be."""
        slice_seconds = view.deadline / self.slices
        number = np.minimum(self.slices, np.floor(view.now / slice_seconds + 1e-9) + 1)
        short = np.maximum(0.0, view.work * number / self.slices - (view.work - view.left))
        behind = view.whole(short + 2 * view.changeover) >= view.whole_down(number * slice_seconds - view.now)
        spot = np.where(view.room, SPOT, NONE)
        return view.in_time(np.where(behind & (short > 0) & (view.kind != SPOT), ON_DEMAND, spot))


@dataclass(frozen=True)
class UniformProgress:
    """On-demand while behind a steady pace, spot where there is any; back to spot only when two restarts ahead."""

    name: str = "uniform-progress"

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it at its start."""
        return _Chooser(self, job, windows)

    def choose(self, view: View) -> Counts:
        """Return what the nodes are to be."""
        done, pace = view.work - view.left, view.work / view.deadline
        behind = done < view.now * pace
        chosen = np.where(view.room, SPOT, np.where(behind, ON_DEMAND, NONE))
        stays = ~view.room | (done <= (view.now + 2 * view.changeover) * pace)
        return view.in_time(np.where((view.kind == ON_DEMAND) & stays, ON_DEMAND, chosen))


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """What these policies look at; times in seconds, work in seconds of the whole fleet at its usual speed."""

    now: Floats
    tick_seconds: float
    deadline: float
    work: float
    left: Floats
    """Work still to do."""
    changeover: float
    """What a start costs: d."""
    room: Flags
    """Whether spot is to be had for all nodes."""
    kind: Counts
    """What the nodes are."""
    works: Flags
    """Whether the job works: its last start is over."""
    slower: bool = False
    """Whether spot nodes may be slower than on-demand ones: then spot that goes on may be late."""

    def whole(self, seconds: Floats) -> Floats:
        """Return times rounded up to ticks."""
        return np.asarray(np.ceil(seconds / self.tick_seconds - 1e-9) * self.tick_seconds)

    def whole_down(self, seconds: Floats) -> Floats:
        """Return times rounded down to ticks."""
        return np.asarray(np.floor(seconds / self.tick_seconds + 1e-9) * self.tick_seconds)

    def in_time(self, chosen: Counts) -> Counts:
        """Return ``chosen``, or on-demand where nothing else makes the deadline (the safety net)."""
        time_left = self.whole_down(self.deadline - self.now)
        last_call = self.whole(self.left + 2 * self.changeover) >= time_left
        chosen = np.where(last_call & (self.kind != SPOT), ON_DEMAND, chosen)
        too_late = self.whole(self.left + self.changeover) >= time_left
        # if spot goes on, good, unless it is slow; if it is lost, there is time for one start
        stays = (self.kind == SPOT) & self.works & (not self.slower)
        return np.where(too_late, np.where(stays, SPOT, ON_DEMAND), chosen)


class _Chooser:
    """A policy at work that chooses one kind for all nodes."""

    period, spot_at_first = np.inf, 0

    def __init__(self, policy: OnDemand | SpotOnly | Greedy | TimeSliced | UniformProgress, job: Job, windows: Windows):
        self._policy, self._job = policy, job
        self._tick_seconds = windows.market.tick_seconds
        self._slower = min(windows.market.rates) < 1

    def decide(self, seen: Seen) -> Wanted:
        job, base, speed = self._job, self._job.base, self._job.usual_speed
        needed = max(1, job.least - base)
        is_spot = (seen.spot_held >= needed) & (seen.lost == 0)
        is_on_demand = seen.on_demand_held > base
        kind = np.where(is_on_demand, ON_DEMAND, np.where(is_spot, SPOT, NONE))
        view = View(
            now=seen.now,
            tick_seconds=self._tick_seconds,
            deadline=job.deadline_seconds,
            work=job.work_seconds / speed,
            left=(job.work_seconds - seen.done) / speed,
            changeover=job.changeover_seconds + job.save_seconds,
            room=seen.room,
            kind=kind,
            works=seen.standstill < 1e-3,
            slower=self._slower,
        )
        chosen = self._policy.choose(view)
        return Wanted(
            on_demand=np.where(chosen == ON_DEMAND, job.nodes, base),
            spot=np.where(chosen == SPOT, job.nodes - base, 0),
        )


BASELINES: tuple[Policy, ...] = (OnDemand(), SpotOnly(), Greedy(), TimeSliced(), UniformProgress())
