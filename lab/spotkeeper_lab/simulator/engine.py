"""Plays a job under a policy in many windows of a market at once.

Time goes by the market's ticks. At the beginning of each the cloud takes back what it has no room for, the spot group
launches what it is short of, and the policy decides. Within a tick time is exact: nodes boot, a policy that looks more
often decides again, the job starts anew when its nodes change, and it ends, and is paid, to the second.
"""

from __future__ import annotations

import numpy as np

from spotkeeper_lab.simulator.fleet import Fleet
from spotkeeper_lab.simulator.job import HOUR, Job, JobError
from spotkeeper_lab.simulator.market import Counts, Flags, Floats, Windows
from spotkeeper_lab.simulator.player import Policy, Seen
from spotkeeper_lab.simulator.runs import Moment, Runs

NEVER = np.nan


def play(job: Job, windows: Windows, policy: Policy, *, seed: int = 0, follow: int | None = None) -> Runs:
    """Run ``job`` under ``policy`` in each of ``windows``.

    A job that is late goes on until its window ends.

    Args:
        job: What is run.
        windows: Where and when; each at least as long as the job's deadline.
        policy: What decides.
        seed: Of the draw which interruptions come without a notice: the same for all policies.
        follow: The window whose course is kept, for a picture.

    Raises:
        JobError: The windows are shorter than the deadline, or the nodes may be in several zones and nobody has said
            what that costs.
    """
    tick_seconds = windows.market.tick_seconds
    if windows.ticks * tick_seconds < job.deadline_seconds - tick_seconds:
        have = f"{windows.ticks * tick_seconds / HOUR:.4g}h"
        raise JobError(f"windows: was {have} long, expected at least the deadline, {job.deadline_seconds / HOUR:.4g}h")
    spread = len(set(windows.market.zones)) > 1 and job.nodes > 1 and not job.single_zone
    if spread and job.traffic is None:
        raise JobError("traffic: was not given, expected bytes a step and $/GB between zones (0 where it is free)")
    return _Course(job, windows, policy, seed, follow).run()


class _Course:
    """The state of all windows."""

    def __init__(self, job: Job, windows: Windows, policy: Policy, seed: int, follow: int | None) -> None:
        size, pools = len(windows), len(windows.market.pools)
        self.job, self.windows, self.policy, self.follow = job, windows, policy, follow
        self.player = policy.begin(job, windows)
        self.fleet = Fleet(job, windows.market, size)
        self.draw = np.random.default_rng(seed)
        self.speeds = job.speed_by_nodes()
        self.rates = np.array(windows.market.rates)
        self.lossless = job.notice_coverage >= 1 and np.isinf(job.checkpoint_seconds)
        self.dollars_per_second = job.traffic.dollars_per_second if job.traffic else 0.0
        self.running = np.ones(size, dtype=bool)
        self.members = np.zeros((size, pools), dtype=np.int64)  # spot nodes that the job runs on
        self.backups = np.zeros(size, dtype=np.int64)  # on-demand nodes that it runs on
        self.broken = np.zeros(size, dtype=bool)  # a member was lost
        self.wanted_spot = np.full(size, self.player.spot_at_first, dtype=np.int64)
        self.wanted_on_demand = np.zeros(size, dtype=np.int64)
        zeros = [np.zeros(size) for _ in range(11)]
        self.done, self.saved, self.since, self.standstill, self.spent, self.lost_work = zeros[:6]
        self.spot_seconds, self.on_demand_seconds, self.spot_work, self.on_demand_work, self.crossing = zeros[6:]
        self.finished_at = np.full(size, NEVER)
        self.starts = np.zeros(size, dtype=np.int64)
        self.interruptions = np.zeros(size, dtype=np.int64)
        self.moments: list[Moment] = []

    def run(self) -> Runs:
        for tick in range(self.windows.ticks):
            if not self.running.any():
                break
            self.tick(tick)
        return Runs(
            policy=self.policy.name,
            job=self.job,
            windows=self.windows,
            cost=self.spent,
            finished_at=self.finished_at,
            spot_seconds=self.spot_seconds,
            on_demand_seconds=self.on_demand_seconds,
            spot_work=self.spot_work,
            on_demand_work=self.on_demand_work,
            lost_work=self.lost_work,
            traffic_cost=self.crossing,
            switches=np.maximum(0, self.starts - 1),
            interruptions=self.interruptions,
            moments=tuple(self.moments),
        )

    def tick(self, tick: int) -> None:
        length = self.windows.market.tick_seconds
        room, prices = self.windows.counts(tick), self.windows.prices(tick)
        lost = self.taken_back(room, prices)
        self.fleet.ask_spot(np.where(self.running, self.wanted_spot, 0), room, prices)
        self.fleet.pass_time(np.zeros(len(self.windows)))  # what boots in no time is there when the policy looks
        left, begun = np.full(len(self.windows), length), tick * length
        asked, again = self.running, np.full(len(self.windows), np.inf)
        while True:
            if asked.any():
                again = np.where(asked, self.decided(begun + length - left, asked, lost, room, prices), again)
                lost = np.zeros_like(lost)
            ready = self.fleet.pass_time(np.zeros(len(self.windows)))
            again = np.where(ready, np.minimum(again, self.player.period), again)
            again = np.where(self.running, again, np.inf)
            span = np.minimum(np.minimum(left, again), self.fleet.next_ready())
            ready = self.pass_time(span, begun, left, prices)
            left, again = left - span, again - span
            again = np.where(ready, np.minimum(again, self.player.period), again)
            if not (left > 1e-6).any():
                break
            asked = (again <= 1e-6) & (left > 1e-6) & self.running

    def decided(self, now: Floats, asked: Flags, lost: Counts, room: Counts, prices: Floats) -> Floats:
        """Ask the policy, let the groups follow, and return when it wants to be asked again."""
        wanted = self.player.decide(self.seen(now, asked, lost, room, prices))
        self.wanted_spot = np.where(asked, wanted.spot, self.wanted_spot)
        self.wanted_on_demand = np.where(asked, wanted.on_demand, self.wanted_on_demand)
        spot, on_demand = self.fleet.spot_held, self.fleet.on_demand_held
        self.fleet.ask_spot(np.where(self.running, self.wanted_spot, 0), room, prices)
        self.fleet.ask_on_demand(np.where(self.running, self.wanted_on_demand, 0))
        if self.job.release_seconds:
            self.released(spot - self.fleet.spot_held, on_demand - self.fleet.on_demand_held, prices)
        if wanted.save is not None:
            saves = wanted.save & asked & (self.standstill <= 0) & ~self.broken
            self.saved = np.where(saves, self.done, self.saved)
            self.standstill = np.where(saves, self.job.pause_seconds, self.standstill)
        if wanted.again is None:
            return np.full(len(asked), np.inf)
        return np.maximum(wanted.again, min(1.0, self.player.period))

    def released(self, spot: Counts, on_demand: Counts, prices: Floats) -> None:
        """Pay for nodes that are given back until they are gone; they do nothing any more."""
        spot, on_demand = np.where(self.running[:, None], np.maximum(0, spot), 0), np.maximum(0, on_demand)
        on_demand = np.where(self.running, on_demand, 0)
        seconds = self.job.release_seconds
        self.spot_seconds += spot.sum(axis=1) * seconds
        self.on_demand_seconds += on_demand * seconds
        hourly = (spot * prices).sum(axis=1) + on_demand * self.windows.market.on_demand_price
        self.spent += hourly * seconds / HOUR

    def taken_back(self, room: Counts, prices: Floats) -> Counts:
        """Let the cloud take back nodes. Each is paid for the notice, in which the job saves if it can."""
        gone, broken = self.fleet.reclaim(room)
        lost = np.asarray(gone.sum(axis=1))
        if 0 < self.job.notice_coverage < 1:
            warned = self.draw.random(len(self.windows)) < self.job.notice_coverage
        else:
            warned = np.full(len(self.windows), self.job.notice_coverage >= 1)
        if not lost.any():
            return lost
        self.interruptions += lost
        self.spot_seconds += lost * self.job.notice_seconds
        self.spent += (gone * prices).sum(axis=1) * self.job.notice_seconds / HOUR
        self.stopped(broken & warned)
        dropped = np.where(broken & ~warned, self.done - self.saved, 0.0)
        self.lost_work += dropped
        self.done = self.done - dropped
        self.broken |= broken
        return lost

    def stopped(self, where: Flags) -> None:
        """The job has saved and stands."""
        self.saved = np.where(where, self.done, self.saved)

    def seen(self, now: Floats, asked: Flags, lost: Counts, room: Counts, prices: Floats) -> Seen:
        held = self.fleet.spot_held
        number = np.asarray(held.sum(axis=1))
        most = self.windows.market.by_zone(room).max(axis=1) if self.job.single_zone else room.sum(axis=1)
        return Seen(
            now=now,
            asked=asked,
            done=self.done,
            saved=self.done if self.lossless else self.saved,
            standstill=self.standstill,
            spent=self.spent,
            lost=lost,
            spot_ready=np.asarray(self.fleet.spot.sum(axis=1)),
            spot_held=number,
            on_demand_ready=self.fleet.on_demand,
            on_demand_held=self.fleet.on_demand_held,
            room=most >= max(1, min(self.job.least, self.job.nodes - self.job.base)),
            price=np.where(number > 0, np.where(held > 0, prices, 0.0).max(axis=1), prices.max(axis=1)),
        )

    def pass_time(self, seconds: Floats, begun: float, left: Floats, prices: Floats) -> Flags:
        """Let the job work for some seconds on what is ready, then let those that boot become ready: return where."""
        speed, works = self.formed()
        stands = np.minimum(self.standstill, seconds)
        runs = np.where(works, np.maximum(0.0, seconds - stands), 0.0)
        needs = np.where(works, (self.job.work_seconds - self.done) / np.maximum(speed, 1e-12), np.inf)
        ends = works & (runs > 0) & (runs >= needs - 1e-6)
        runs = np.where(ends, needs, runs)
        paid = np.where(ends, left if self.job.whole_ticks else stands + runs + self.job.save_seconds, seconds)
        self.bill(np.where(self.running, paid, 0.0), runs, prices)
        number = np.maximum(1, self.members.sum(axis=1) + self.backups)
        self.done = np.where(ends, self.job.work_seconds, self.done + runs * speed)
        self.spot_work += runs * speed * self.members.sum(axis=1) / number
        self.on_demand_work += runs * speed * self.backups / number
        self.standstill = np.where(works, self.standstill - stands, self.standstill)
        self.checkpoint(speed)
        passed = self.windows.market.tick_seconds - left
        ended_at = begun + passed + stands + runs + self.job.save_seconds
        self.finished_at = np.where(ends & self.running, ended_at, self.finished_at)
        if self.follow is not None and self.running[self.follow] and float(seconds[self.follow]) > 0:
            self.keep(self.follow, begun + float(passed[self.follow]), float(paid[self.follow]), stands, works)
        self.running = self.running & ~ends
        return self.fleet.pass_time(seconds)

    def formed(self) -> tuple[Floats, Flags]:
        """Let the job start anew where its nodes have changed; return its speed, and whether it has nodes enough."""
        spot = self.fleet.spot
        number = np.asarray(spot.sum(axis=1))
        backups = np.minimum(self.fleet.on_demand, np.maximum(0, self.job.nodes - number))
        works = (number + backups >= self.job.least) & self.running
        same = (self.members == spot).all(axis=1) & (self.backups == backups) & ~self.broken
        if not same.all():
            before = self.members.sum(axis=1) + self.backups >= self.job.least
            gently = ~same & ~self.broken & before
            self.stopped(gently)
            standstill = self.job.restart_seconds + np.where(gently, self.job.save_seconds, 0.0)
            self.standstill = np.where(~same & works, standstill, self.standstill)
            self.since = np.where(~same, self.done, self.since)
            self.starts += ~same & works
            self.members = np.where(same[:, None], self.members, spot)
            self.backups = np.where(same, self.backups, backups)
            self.broken = self.broken & same
        slowest = np.where(self.members > 0, self.rates[None, :], np.inf).min(axis=1)
        slowest = np.where((self.backups > 0) | np.isinf(slowest), np.minimum(slowest, 1.0), slowest)
        together = np.minimum(self.members.sum(axis=1) + self.backups, self.job.nodes)
        return self.speeds[together] * slowest, works

    def checkpoint(self, speed: Floats) -> None:
        """Publish what the periodic saves have copied; a save that is under way is not published."""
        every = self.job.checkpoint_seconds
        if np.isinf(every):
            return
        piece = np.maximum(speed * (every + self.job.pause_seconds), 1e-9)
        whole = np.floor((self.done - self.since - speed * self.job.save_seconds) / piece + 1e-9)
        self.saved = np.maximum(self.saved, self.since + np.maximum(0.0, whole) * piece)

    def bill(self, seconds: Floats, runs: Floats, prices: Floats) -> None:
        held = self.fleet.spot_held
        on_demand = self.fleet.on_demand_held
        self.spot_seconds += held.sum(axis=1) * seconds
        self.on_demand_seconds += on_demand * seconds
        hourly = (held * prices).sum(axis=1) + on_demand * self.windows.market.on_demand_price
        self.spent += hourly * seconds / HOUR
        if self.dollars_per_second:
            crosses = (self.members > 0).sum(axis=1) > 1
            dollars = np.where(crosses, runs * self.dollars_per_second, 0.0)
            self.crossing += dollars
            self.spent += dollars

    def keep(self, row: int, at: float, seconds: float, stands: Floats, works: Flags) -> None:
        self.moments.append(
            Moment(
                at=at,
                seconds=seconds,
                spot=int(self.members[row].sum()) if works[row] else 0,
                on_demand=int(self.backups[row]) if works[row] else 0,
                spot_held=int(self.fleet.spot_held[row].sum()),
                on_demand_held=int(self.fleet.on_demand_held[row]),
                stands=min(seconds, float(stands[row])) if works[row] else seconds,
                done=float(self.done[row]),
                spent=float(self.spent[row]),
            )
        )
