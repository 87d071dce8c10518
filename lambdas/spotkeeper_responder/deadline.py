"""The ``deadline`` policy: done in time, and never dearer than on-demand, at the least cost that spot allows.

At every look two invariants have to hold, or the job goes to on-demand for good. With W the work that is still to do
from the last published checkpoint, W₀ all of it, L what is done and not saved, d a restart at most, τ the time until
the next look and the age of what the job has told, N the gang, p prices, E the excess that the user allows:

- *time*: ``time_left ≥ W + 2d + τ + L``
- *money*: ``spent + p_spot·N·(τ + d) + p_od·N·(W + d) ≤ p_od·N·(W₀ + d) + E``

Whatever happens until the next look, going to on-demand then is still in time and within the budget: at worst τ has
passed and was paid for, nodes that are being let go are paid for during one restart, and the job starts again from W.
A checkpoint moves work out of W, which renews both; it is asked for before either breaks.

That holds as long as on-demand starts within d at a constant price, the spot price is known for τ, work and speed are
not overestimated, and billing is by the second. An answer names the assumption that has failed.
"""

from __future__ import annotations

from dataclasses import dataclass

from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import Answer, Market, Mirror, Situation, Work

HOUR = 3600.0
PRICE_KNOWN_SECONDS = 3600.0
"""A spot price that is older than this is not known any more."""
NO_PROGRESS = "the job tells no progress, so nobody knows what is left to do: every missing node is bought"
NO_PRICE = "the spot price is not known, so nobody can say what spot costs: only the time is kept"
TOO_LATE = "the deadline cannot be met, even on on-demand from now on"
TOO_DEAR = "the job will cost more than on-demand and the excess"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Slack(Fact):
    """How far both invariants are from breaking; negative where one is broken."""

    time: float
    """Seconds."""
    money: float
    """In the currency of the prices; infinite where nobody knows them."""
    period: float
    """τ: until what is seen now has been answered, seconds."""

    @property
    def broken(self) -> bool:
        """Whether one of the invariants does not hold."""
        return self.time < 0 or self.money < 0


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Deadline(Fact):
    """On spot for as long as both invariants allow it, on on-demand for good after that."""

    restart: float
    """d: seconds from the decision for other nodes until the job works on them, at most."""
    period: float = 60.0
    """Seconds from one look to the next, at most."""
    excess: float | None = None
    """E: what the job may cost beyond on-demand; ``None``: one restart of the gang on on-demand."""
    money: bool = True
    """Whether the money invariant is kept; without it only the time is."""

    def answer(self, situation: Situation) -> Answer:
        """Return what to hold, whether to save now, and which assumption has failed."""
        work, market = situation.work, situation.market
        if situation.final:
            return self._for_good(situation, "it was decided before that the job ends on on-demand")
        if work is None or market is None:
            mirrored = Mirror().answer(situation)
            return Answer(on_demand=mirrored.on_demand, reason="nothing is known of the job", problem=NO_PROGRESS)
        slack = self.slack(situation, work, market)
        if slack.broken:
            which = "time" if slack.time < 0 else "money"
            return self._for_good(situation, f"no {which} is left for spot")
        return self._within(situation, work, market, slack)

    def slack(self, situation: Situation, work: Work, market: Market) -> Slack:
        """Return how far both invariants are from breaking."""
        period = self.period + work.report_age
        secured = _secured(situation, work)
        time = work.time_left - (secured + 2 * self.restart + period + _at_risk(situation, work))
        price = known_price(market)
        if price is None or not self.money:
            return Slack(time=time, money=float("inf"), period=period)
        gang = situation.base + situation.wanted
        on_demand = market.on_demand_price * gang / HOUR
        excursion = price * gang / HOUR * (period + self.restart)
        budget = on_demand * (work.whole + self.restart) + self._excess(situation, market)
        money = budget - (market.spent + excursion + on_demand * (secured + self.restart))
        return Slack(time=time, money=money, period=period)

    def first_excursion(self, spot_price: float, on_demand_price: float, gang: int, longest_unsaved: float) -> bool:
        """Whether the excess pays for a first try on spot that comes to nothing; otherwise there is never one.

        Args:
            spot_price: of one node and hour.
            on_demand_price: the same.
            gang: nodes of the fleet.
            longest_unsaved: L: the longest that the job goes without a checkpoint, seconds.
        """
        excess = on_demand_price * gang * self.restart / HOUR if self.excess is None else self.excess
        return spot_price * gang * (longest_unsaved + self.restart + self.period) / HOUR <= excess

    def _excess(self, situation: Situation, market: Market) -> float:
        if self.excess is not None:
            return self.excess
        return market.on_demand_price * (situation.base + situation.wanted) * self.restart / HOUR

    def _for_good(self, situation: Situation, reason: str) -> Answer:
        return Answer(
            on_demand=situation.wanted, spot=0, final=True, reason=reason, problem=self._promise_broken(situation)
        )

    def _promise_broken(self, situation: Situation) -> str:
        """Return which part of the promise cannot be kept any more by going on on on-demand; empty if both can."""
        work, market = situation.work, situation.market
        if work is None or market is None:
            return NO_PROGRESS
        restart = 0.0 if situation.held >= situation.wanted else self.restart
        secured = _secured(situation, work)
        if work.time_left < secured + restart:
            return TOO_LATE
        on_demand = market.on_demand_price * (situation.base + situation.wanted) / HOUR
        budget = on_demand * (work.whole + self.restart) + self._excess(situation, market)
        if self.money and market.spent + on_demand * (secured + restart) > budget:
            return TOO_DEAR
        return ""

    def _within(self, situation: Situation, work: Work, market: Market, slack: Slack) -> Answer:
        problem = "" if known_price(market) is not None else NO_PRICE
        checkpoint = self._renew(situation, work, market, slack)
        return Answer(on_demand=0, checkpoint=checkpoint, reason="there is time to wait for spot", problem=problem)

    def _renew(self, situation: Situation, work: Work, market: Market, slack: Slack) -> bool:
        """Whether a checkpoint is needed before one of the invariants breaks: it takes a restart's time at most."""
        if _at_risk(situation, work) <= slack.period:
            return False
        ahead = slack.period + self.restart
        price = market.on_demand_price if (known := known_price(market)) is None else known
        gang = situation.base + situation.wanted
        return slack.time < 2 * ahead or slack.money < price * gang / HOUR * ahead


def known_price(market: Market) -> float | None:
    """Return the spot price, unless it is unknown or too old to be relied on."""
    return market.spot_price if market.price_age <= PRICE_KNOWN_SECONDS else None


def _at_risk(situation: Situation, work: Work) -> float:
    """Return the work that is lost if the cloud takes spot nodes now: none where the job runs on on-demand alone."""
    return work.unsaved if situation.serving else 0.0


def _secured(situation: Situation, work: Work) -> float:
    """Return the work that is still to do at worst, seconds of the whole fleet's."""
    return work.remaining if situation.serving else max(0.0, work.remaining - work.unsaved)
