"""What came of a policy in many windows: an entry for each, and in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from spotkeeper_lab.simulator.job import HOUR, Job
from spotkeeper_lab.simulator.market import Counts, Flags, Floats, Windows


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A stretch of one run in which its nodes did not change."""

    at: float
    """Seconds since the job's start."""
    seconds: float
    spot: int
    """Spot nodes that the job ran on."""
    on_demand: int
    spot_held: int
    """Spot nodes that were paid."""
    on_demand_held: int
    stands: float
    """For how many of its seconds the job stood still."""
    done: float
    """Work done at its end, seconds of the whole fleet."""
    spent: float
    """Dollars at its end."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """One run a window; arrays have the shape ``(windows,)``."""

    policy: str
    job: Job
    windows: Windows
    cost: Floats
    """Dollars, everything included."""
    finished_at: Floats
    """Seconds since the start; not a number where the window ended first: then the cost is that up to there."""
    spot_seconds: Floats
    """Node-seconds paid."""
    on_demand_seconds: Floats
    spot_work: Floats
    """Work done on spot nodes, in seconds of the whole fleet."""
    on_demand_work: Floats
    lost_work: Floats
    """Work that was done and lost."""
    traffic_cost: Floats
    """Dollars of the cost that were for bytes from zone to zone."""
    switches: Counts
    """How often the job started anew after its first start."""
    interruptions: Counts
    """Spot nodes that were taken back."""
    moments: tuple[Moment, ...] = ()
    """The course of the window that was followed."""

    @property
    def late(self) -> Flags:
        """Whether the job was not done by its deadline."""
        return ~(self.finished_at <= self.job.deadline_seconds + 1e-3)

    @property
    def unfinished(self) -> Flags:
        """Whether the window ended before the job."""
        return np.isnan(self.finished_at)

    def where(self, chosen: Flags) -> Runs:
        """Return some of the runs."""
        some: dict[str, Any] = {
            f.name: getattr(self, f.name)[chosen] for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, windows=self.windows.of(chosen), **some)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A policy in a few numbers, over all windows. Costs are in dollars, times in hours."""

    policy: str
    windows: int
    mean: float
    p5: float
    p50: float
    p95: float
    worst: float
    saving: float
    """Share of the on-demand cost that is saved on average, net of everything."""
    late: int
    """Windows in which the job was not done by its deadline."""
    unfinished: int
    """Of those, the ones in which it was not done when the window ended."""
    dearer: int
    """Windows in which it cost more than on-demand alone."""
    spot_hours: float
    """Node-hours paid, mean."""
    on_demand_hours: float
    switches: float
    lost_hours: float
    """Work that was done and lost, in hours of the whole fleet, mean."""
    done_p50: float
    """When the job was done, median of those that were."""
    above_optimum: float | None
    """How much dearer it is than the optimum on average, as a share of that; ``None`` where that is not known."""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def summarize(runs: Runs, on_demand: float, optimum: Floats | None = None) -> Summary:
    """Return ``runs`` in a few numbers.

    Args:
        runs: Those of one policy.
        on_demand: What the job costs on on-demand nodes alone, dollars.
        optimum: What it costs at least, by window.
    """
    p5, p50, p95 = np.percentile(runs.cost, [5, 50, 95])
    mean = float(runs.cost.mean())
    finished = runs.finished_at[~runs.unfinished]
    return Summary(
        policy=runs.policy,
        windows=len(runs.cost),
        mean=mean,
        p5=float(p5),
        p50=float(p50),
        p95=float(p95),
        worst=float(runs.cost.max()),
        saving=round(1 - mean / on_demand, 9) + 0.0,
        late=int(runs.late.sum()),
        unfinished=int(runs.unfinished.sum()),
        dearer=int((runs.cost > on_demand * (1 + 1e-9)).sum()),
        spot_hours=float(runs.spot_seconds.mean()) / HOUR,
        on_demand_hours=float(runs.on_demand_seconds.mean()) / HOUR,
        switches=float(runs.switches.mean()),
        lost_hours=float(runs.lost_work.mean()) / HOUR,
        done_p50=float(np.median(finished)) / HOUR if finished.size else float("nan"),
        above_optimum=None if optimum is None else mean / float(optimum.mean()) - 1,
    )
