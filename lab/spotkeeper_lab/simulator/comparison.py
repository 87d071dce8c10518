"""Some policies in the same windows, and what the job would cost at most and at least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.simulator.baselines import OnDemand
from spotkeeper_lab.simulator.engine import play
from spotkeeper_lab.simulator.job import Job, JobError
from spotkeeper_lab.simulator.market import Floats, Windows
from spotkeeper_lab.simulator.optimum import optimum
from spotkeeper_lab.simulator.player import Policy
from spotkeeper_lab.simulator.runs import Runs, Summary, summarize


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """What came of each policy."""

    job: Job
    windows: Windows
    on_demand: float
    """What the job costs on on-demand alone, dollars."""
    least: Floats | None
    """What it costs at least, by window; ``None`` where that is not known."""
    runs: tuple[Runs, ...]
    summaries: tuple[Summary, ...]

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        market = self.windows.market
        return {
            "job": self.job.plain(),
            "market": {
                "name": market.name,
                "pools": list(market.pools),
                "tick_seconds": market.tick_seconds,
                "on_demand_price": market.on_demand_price,
                "rates": dict(zip(market.pools, market.rates, strict=True)),
                "windows": len(self.windows),
                **({"pool_by_window": list(self.windows.labels)} if self.windows.are_apart else {}),
                "availability": {
                    pool: float((row > 0).mean()) for pool, row in zip(market.pools, market.counts, strict=True)
                },
            },
            "on_demand_cost": self.on_demand,
            "optimum_mean": None if self.least is None else float(self.least.mean()),
            "policies": [
                {**summary.plain(), "cost": [round(float(cost), 4) for cost in runs.cost]}
                for summary, runs in zip(self.summaries, self.runs, strict=True)
            ],
        }


def compare(
    job: Job,
    windows: Windows,
    policies: Sequence[Policy],
    *,
    seed: int = 0,
    bound: bool = True,
    follow: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Run ``job`` under each of ``policies`` in the same windows, with the same luck.

    Args:
        job: What is run.
        windows: Where and when.
        policies: What decides.
        seed: Of the draw which interruptions come without a notice.
        bound: Whether to find the optimum, which takes longer than the rest.
        follow: The window whose course is kept.
        told: Is told what is being done, for those who wait.
    """
    on_demand = float(play(job, windows.of([0]), OnDemand()).cost[0])
    least = None
    if bound:
        told("the optimum")
        try:
            least = optimum(job, windows)
        except JobError:
            least = None  # of an elastic job it is not known
    runs = []
    for policy in policies:
        told(policy.name)
        runs.append(play(job, windows, policy, seed=seed, follow=follow))
    return Comparison(
        job=job,
        windows=windows,
        on_demand=on_demand,
        least=least,
        runs=tuple(runs),
        summaries=tuple(summarize(each, on_demand, least) for each in runs),
    )
