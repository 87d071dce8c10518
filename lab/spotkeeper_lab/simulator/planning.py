"""Which policy, how much on-demand base, which zones, how often to save: found by simulation.

What a fleet can have is tried on a few starts; the best of it is tried on all of them, and with one assumption after
another changed. In time comes first, then the mean cost; a policy that promises something may cost a little more than
one that does not. Where nothing is saved that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spotkeeper_lab.simulator.baselines import OnDemand
from spotkeeper_lab.simulator.comparison import Comparison, compare
from spotkeeper_lab.simulator.engine import play
from spotkeeper_lab.simulator.job import HOUR, Job
from spotkeeper_lab.simulator.market import Counts, Windows
from spotkeeper_lab.simulator.policies import POLICIES, Settings, policy_of
from spotkeeper_lab.simulator.runs import Summary, summarize
from spotkeeper_responder import Deadline
from spotkeeper_training.interval import BOUNDS, save_interval

TRIED_STARTS = 60
"""On how many starts a choice is tried."""
ZONES_ALONE = 4
"""How many zones are tried alone, those with the most spot."""
WORTH = 0.05
"""The least saving that is worth the trouble."""
PROMISE = 1.1
"""How many times the cost of a policy that promises nothing one may cost that promises something."""
EXCESSES = (1.0, 0.4, 2.0)
"""How many times its default ``deadline`` may be allowed to cost beyond on-demand, unless somebody has said."""
EVERY = (600.0, 300.0)
"""How often saves are tried, seconds, besides what :func:`~spotkeeper_training.interval.save_interval` says."""
NEVER_TAKEN_HOURS = 1000.0
"""How long spot lasts where it was never seen to end."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a fleet may be declared with."""

    policy: str
    base: int
    pools: tuple[str, ...]
    checkpoint_seconds: float
    excess: float | None = None
    """Dollars that it may cost beyond on-demand, ``deadline`` only."""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**self.__dict__, "pools": list(self.pools)}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a choice, or of an assumption."""

    choice: Choice
    summary: Summary
    change: str = ""
    """Which assumption was changed, in words."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """The answer."""

    job: Job
    best: Tried
    tried: tuple[Tried, ...]
    """All that was tried, the best first."""
    sensitivity: tuple[Tried, ...]
    comparison: Comparison
    """The best, the same with ``deadline``, and on-demand, on all starts."""
    spell_hours: float
    """How long spot lasts in the chosen pools, mean."""
    excursion: bool
    """Whether the excess pays for a first try on spot that comes to nothing."""

    @property
    def worth(self) -> bool:
        """Whether spot saves enough, in time."""
        return self.best.summary.saving >= WORTH

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""

        def told(tried: Tried) -> dict[str, Any]:
            return {"change": tried.change, **tried.choice.plain(), **tried.summary.plain()}

        return {
            "worth": self.worth,
            "choice": self.best.choice.plain(),
            "spell_hours": self.spell_hours,
            "first_excursion_fits": self.excursion,
            "tried": [told(tried) for tried in self.tried],
            "sensitivity": [told(tried) for tried in self.sensitivity],
            **self.comparison.plain(),
        }


def plan(settings: Settings, windows: Windows, *, seed: int = 0, told: Callable[[str], None] = lambda _: None) -> Plan:
    """Find what to declare.

    Args:
        settings: The job, and what the responder is set to; the job's base and checkpoints are what is looked for.
        windows: Where and when.
        seed: Of the draw which interruptions come without a notice.
        told: Is told what is being done, for those who wait.
    """
    few = windows.of(_spread(len(windows), TRIED_STARTS))
    tried: dict[Choice, Tried] = {}

    def tries(choices: Iterable[Choice]) -> None:
        for choice in choices:
            if choice not in tried:
                told(f"{choice.policy} in {', '.join(choice.pools)}")
                tried[choice] = Tried(choice=choice, summary=_try(settings, few, choice, seed))

    policies = [name for name, known in POLICIES.items() if known.deployable]
    excesses: list[float | None] = [*_excesses(settings, windows)]
    for pools in _pool_sets(windows):
        for name in policies:
            excess = excesses[0] if name == "deadline" else None
            tries([Choice(policy=name, base=0, pools=pools, checkpoint_seconds=EVERY[0], excess=excess)])
    for name in policies:
        first = min((each for each in tried.values() if each.choice.policy == name), key=_rank).choice
        for every in (_interval(settings.job, windows, first.pools), *EVERY):
            some = excesses if name == "deadline" else [None]
            tries(replace(first, checkpoint_seconds=every, excess=excess) for excess in some)
    tries(replace(min(tried.values(), key=_rank).choice, base=base) for base in _bases(settings.job))
    ranked = sorted(tried.values(), key=_rank)
    best = ranked[0].choice
    told("all starts")
    promising = next((each.choice for each in ranked if each.choice.policy == "deadline"), best)
    chosen = _with(settings, best)
    there = _in(windows, best.pools)
    allowed = _with(settings, replace(best, excess=promising.excess))
    names = dict.fromkeys([best.policy, "deadline", "on-demand"])
    found = compare(chosen.job, there, [policy_of(name, None, allowed) for name in names], seed=seed)
    told("what it is sensitive to")
    market = there.market
    dearest = float(market.prices.mean(axis=1).max())
    return Plan(
        job=chosen.job,
        best=Tried(choice=best, summary=found.summaries[0]),
        tried=tuple(ranked),
        sensitivity=tuple(_sensitivity(settings, few, best, seed)),
        comparison=found,
        spell_hours=_spell(there) / HOUR,
        excursion=first_excursion(allowed.deadline(money=True), chosen.job, dearest, market.on_demand_price),
    )


def first_excursion(policy: Deadline, job: Job, spot_price: float, on_demand_price: float) -> bool:
    """Whether the excess pays for a first try on spot that comes to nothing; otherwise there will be none.

    Args:
        policy: what decides.
        job: what is run.
        spot_price: of one node and hour.
        on_demand_price: the same.
    """
    unsaved = policy.period + job.save_seconds  # until a save that is asked for is published
    lasts = unsaved + policy.restart + policy.period + policy.released
    excess = policy.excess_of(on_demand_price * job.nodes / HOUR, job.work_seconds / job.usual_speed)
    return spot_price * job.nodes * lasts / HOUR <= excess


def _rank(tried: Tried) -> tuple[bool, bool, int, float]:
    """In time first, then the cost; ``never`` last of those in time: nothing but luck brings it there."""
    late, policy = tried.summary.late, tried.choice.policy
    cost = tried.summary.mean * (1.0 if policy == "deadline" else PROMISE)
    return late > 0, not late and policy == "never", late, cost


def _excesses(settings: Settings, windows: Windows) -> list[float]:
    """Return what ``deadline`` may be allowed to cost beyond on-demand, dollars."""
    if settings.excess is not None:
        return [settings.excess]
    gang, job = windows.market.on_demand_price * settings.job.nodes / HOUR, settings.job
    usual = settings.deadline(money=True).excess_of(gang, job.work_seconds / job.usual_speed)
    return [round(number * usual, 2) for number in EXCESSES]


def _spread(size: int, number: int) -> Counts:
    return np.unique(np.linspace(0, size - 1, min(size, number)).astype(np.int64))


def _pool_sets(windows: Windows) -> Iterator[tuple[str, ...]]:
    """Yield all pools, then those of each type alone, then those of each zone alone."""
    market = windows.market
    yield market.pools
    types = dict.fromkeys(market.types)
    if len(types) > 1:
        for kind in types:
            yield tuple(pool for pool, own in zip(market.pools, market.types, strict=True) if own == kind)
    zones = dict.fromkeys(market.zones)
    if len(zones) > 1:
        share = {
            zone: max(
                float((row > 0).mean()) for row, own in zip(market.counts, market.zones, strict=True) if own == zone
            )
            for zone in zones
        }
        for zone in sorted(zones, key=lambda name: -share[name])[:ZONES_ALONE]:
            yield tuple(pool for pool, own in zip(market.pools, market.zones, strict=True) if own == zone)


def _bases(job: Job) -> list[int]:
    """Return which bases are tried besides none."""
    return sorted({-(-job.nodes // 4), -(-job.nodes // 2)} - {0, job.nodes}) if job.nodes > 1 else []


def _interval(job: Job, windows: Windows, pools: Sequence[str]) -> float:
    """Return how often to save: as often as the job itself would by default, given how long spot lasts here."""
    unheard = min(1.0, max(0.01, 1 - job.notice_coverage))
    spell = _spell(_in(windows, pools))
    return save_interval(max(job.save_seconds, job.pause_seconds), spell, job.notice_seconds, BOUNDS, unheard=unheard)


def _spell(windows: Windows) -> float:
    """Return how long spot lasts in a pool, mean, seconds; nodes that are chosen by pool see no other spells."""
    market = windows.market
    up = market.counts > 0
    ends = int((up[:, :-1] & ~up[:, 1:]).sum())
    return float(up.sum()) * market.tick_seconds / ends if ends else NEVER_TAKEN_HOURS * HOUR


def _in(windows: Windows, pools: Sequence[str]) -> Windows:
    return windows if tuple(pools) == windows.market.pools else replace(windows, market=windows.market.only(pools))


def _with(settings: Settings, choice: Choice) -> Settings:
    job = replace(settings.job, base=choice.base, checkpoint_seconds=choice.checkpoint_seconds)
    return replace(settings, job=job, excess=settings.excess if choice.excess is None else choice.excess)


def _try(settings: Settings, windows: Windows, choice: Choice, seed: int) -> Summary:
    chosen, there = _with(settings, choice), _in(windows, choice.pools)
    on_demand = float(play(chosen.job, there.of([0]), OnDemand()).cost[0])
    return summarize(play(chosen.job, there, policy_of(choice.policy, None, chosen), seed=seed), on_demand)


def _sensitivity(settings: Settings, windows: Windows, choice: Choice, seed: int) -> Iterator[Tried]:
    """Yield what the choice costs when one assumption is wrong. The policy is told the wrong one as the truth."""
    job = settings.job
    slack = job.deadline_seconds - job.work_seconds / job.usual_speed - job.changeover_seconds
    dearer = replace(windows.market, prices=windows.market.prices * 1.25)
    cases: list[tuple[str, Job, Windows]] = [
        ("as assumed", job, windows),
        ("starts take twice as long", replace(job, restart_seconds=2 * job.restart_seconds), windows),
        ("nodes boot twice as long", replace(job, boot_seconds=2 * job.boot_seconds), windows),
        ("no notice is ever used", replace(job, notice_coverage=0.0), windows),
        ("every notice is used", replace(job, notice_coverage=1.0), windows),
        ("spot is a quarter dearer", job, replace(windows, market=dearer)),
        ("half of the time to spare", replace(job, deadline_seconds=job.deadline_seconds - slack / 2), windows),
    ]
    for change, other, there in cases:
        least = other.work_seconds / other.usual_speed + 2 * other.changeover_seconds
        if other.deadline_seconds >= least:
            summary = _try(replace(settings, job=other), there, choice, seed)
            yield Tried(choice=choice, summary=summary, change=change)
