"""The ``deadline`` policy: done in time, and never dearer than on-demand, at the least cost that spot allows.

Two invariants hold at every look, or the job goes to on-demand for good. With W the work that is still to do from the
last published checkpoint, W₀ all of it, L what is done and not saved, d a restart at most, τ the time until the next
look and the age of what the job has told, r how long nodes that are let go are still paid, N the gang, p prices, and E
the excess that the user allows:

- *time*: ``time_left ≥ W + 2d + τ + L``
- *money*: ``spent + p_spot·N·(τ + r) + p_od·N·(W + d) ≤ p_od·N·(W₀ + d) + E``

Whatever happens until the next look, ending on on-demand from there is then still in time and within the budget: at
worst τ has passed and was paid for, the nodes that are let go are paid for a little longer, and the job starts again
from W. A checkpoint moves work out of W, which renews both; it is asked for before either breaks.

That holds as long as on-demand starts within d at a constant price, the spot price is known for τ, work and speed are
not underestimated, and billing is by the second. An answer names the assumption that has failed.

Within the invariants (:meth:`Deadline._missing`, :meth:`Deadline._on_demand`): time to spare is worth what it lets the
job do on spot, so it is used up no faster than the work is done. A job that would fall behind that pace buys on-demand,
and leaves it again for spot that can be expected to pay for the way there and back.
"""

from __future__ import annotations

from dataclasses import dataclass

from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import FOREVER, Answer, Market, Mirror, Situation, Work
from spotkeeper_responder.tuning import USUAL, Tuning

HOUR = 3600.0
PRICE_KNOWN_SECONDS = 3600.0
"""A spot price that is older than this is not known any more."""
NO_PROGRESS = "the job tells no progress, so nobody knows what is left to do: every missing node is bought"
NO_PRICE = "the spot price is not known, so nobody can say what spot costs: only the time is kept"
TOO_LATE = "the deadline cannot be met, even on on-demand from now on"
TOO_DEAR = "the job will cost more than on-demand and the excess"
SHARE = 0.025
"""What the job may cost beyond on-demand unless somebody says so, as a part of that; a restart, where that is more. One
restart pays neither for the way to spot of a job that had to begin on on-demand, nor for a few tries that fail."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Slack(Fact):
    """How far both invariants are from breaking; negative where one is broken."""

    time: float
    """Seconds."""
    money: float
    """In the currency of the prices; infinite where nobody knows them, or nobody asks."""
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
    release: float | None = None
    """r: seconds for which nodes that are let go are still paid, at most; ``None``: as long as a restart."""
    excess: float | None = None
    """E: what the job may cost beyond on-demand; ``None``: :data:`SHARE` of that, and at least one restart."""
    money: bool = True
    """Whether the money invariant is kept; without it only the time is."""
    tuning: Tuning = USUAL

    def answer(self, situation: Situation) -> Answer:
        """Return what to hold, whether to save now, and which assumption has failed."""
        work, market = situation.work, situation.market
        if work is None or market is None:
            if situation.final:
                return Answer(on_demand=situation.wanted, spot=0, final=True, reason=DECIDED, problem=NO_PROGRESS)
            missing = Mirror().answer(situation).on_demand
            return Answer(on_demand=missing, reason="nothing is known of the job", problem=NO_PROGRESS)
        cost = _Cost.of(situation, market)
        if situation.final:
            return self._for_good(situation, work, market, cost, DECIDED)
        slack = self.slack(situation, work, market)
        if slack.broken:
            which = "time" if slack.time < 0 else "money"
            return self._for_good(situation, work, market, cost, f"no {which} is left for spot")
        enough = self.tuning.enough(situation, work)
        if not situation.missing and not situation.held:
            answer = Answer(on_demand=0, reason="the job runs on spot")
        elif situation.held < enough:
            answer = self._missing(enough, situation, work, market, slack, cost)
        else:
            hold = min(situation.held, situation.missing)
            answer = self._on_demand(hold, situation, work, market, slack, cost)
        checkpoint = self._renew(situation, work, slack, cost)
        same = answer.on_demand == situation.held and not checkpoint  # with other nodes everything is to be looked at
        return _with(
            answer,
            checkpoint=checkpoint,
            problem=NO_PRICE if cost.spot is None else "",
            holds_seconds=min(answer.holds_seconds, _holds(situation, slack, cost)) if same else 0.0,
        )

    def slack(self, situation: Situation, work: Work, market: Market) -> Slack:
        """Return how far both invariants are from breaking."""
        cost, period = _Cost.of(situation, market), self.period + work.report_age
        time = work.time_left - (work.remaining + 2 * self.restart + period + work.unsaved)
        if not self.money or cost.spot is None:
            return Slack(time=time, money=FOREVER, period=period)
        excursion = cost.spot * (period + self.released)
        if situation.held:  # spot may come and go meanwhile, and the job work on neither
            excursion += cost.on_demand * (period + (self.released if situation.serving else 0.0))
        ending = cost.on_demand * (work.remaining + self.restart)
        money = self._budget(work, cost) - (market.spent + excursion + ending)
        return Slack(time=time, money=money, period=period)

    @property
    def released(self) -> float:
        """How long nodes that are let go are still paid, at most, seconds: r."""
        return self.restart if self.release is None else min(self.release, self.restart)

    def _budget(self, work: Work, cost: _Cost) -> float:
        return cost.on_demand * (work.whole + self.restart) + self.excess_of(cost.on_demand, work.whole)

    def excess_of(self, on_demand: float, whole: float) -> float:
        """Return E for a gang that costs so much a second on on-demand, and for so many seconds of work."""
        return on_demand * max(self.restart, SHARE * whole) if self.excess is None else self.excess

    def _for_good(self, situation: Situation, work: Work, market: Market, cost: _Cost, reason: str) -> Answer:
        rest, problem = work.remaining + self.restart, ""
        if situation.held >= situation.wanted:
            # It runs there already, also since it has told of itself, and nobody takes on-demand nodes back.
            rest = work.remaining - work.unsaved - work.report_age
        if rest > work.time_left * _ROUNDING:
            problem = TOO_LATE
        elif self.money and market.spent + cost.on_demand * rest > self._budget(work, cost) * _ROUNDING:
            problem = TOO_DEAR
        return Answer(on_demand=situation.wanted, spot=0, final=True, reason=reason, problem=problem)

    def _missing(
        self, enough: int, situation: Situation, work: Work, market: Market, slack: Slack, cost: _Cost
    ) -> Answer:
        """Decide whether to wait for what is missing, or to buy as much of it as is enough.

        What was bought is kept until spot is back: to give it up, only to buy it again, costs a restart.
        """
        kept, spot = situation.held, None if self._worth_a_start(market, cost) else 0
        idle = not (situation.serving or situation.held or situation.base)
        way_back = (self.restart + slack.period + self.released) * (cost.on_demand + (cost.spot or 0.0))
        rich, left = self.tuning.thrift * self.restart * cost.on_demand, slack.money - way_back
        if left < 0:
            why = "the excess does not pay for a way back from on-demand"
            return Answer(on_demand=kept, spot=spot, reason=why, holds_seconds=FOREVER if idle else 0.0)
        part = 1.0 if left >= rich else left / rich
        ahead = self.tuning.ahead(work, work.remaining, part) - self.restart  # which starting on-demand takes
        if ahead >= 0:
            holds = ahead if idle else max(0.0, self.tuning.ahead(work, work.remaining) - self.restart)
            return Answer(on_demand=kept, spot=spot, reason="there is time enough to wait", holds_seconds=holds)
        spare = slack.time - self.tuning.patience * self.restart * work.remaining / self.tuning.spell_of(market)
        holds = min(self.restart - situation.lasted, spare)
        if holds > 0:
            return Answer(on_demand=kept, spot=spot, reason="to start on-demand takes longer", holds_seconds=holds)
        return self._on_demand(enough, situation, work, market, slack, cost)

    def _on_demand(
        self, hold: int, situation: Situation, work: Work, market: Market, slack: Slack, cost: _Cost
    ) -> Answer:
        """Decide whether a job that runs on ``hold`` on-demand nodes is to move to spot.

        That is decided when spot is asked for: nodes that come are joined to the job, which costs the restart.
        """
        if situation.serving:
            why = "the job falls behind its pace" if situation.missing else "spot is back"
            return Answer(on_demand=hold, reason=why)
        start = FOREVER if cost.spot is None else cost.spot * (self.restart + slack.period)
        spell, way_back = self.tuning.spell_of(market), self.restart * cost.on_demand
        gains = cost.on_demand - (cost.spot or 0.0) * (1 + self.restart / spell)
        pays_from = way_back / gains if gains > 0 and cost.spot is not None else FOREVER
        to_do = max(0.0, work.remaining - work.unsaved)  # to leave on-demand loses nothing
        ahead = self.tuning.ahead(work, to_do) - self.tuning.leave * self.restart * self.restart / spell
        ahead -= self.restart if situation.held < hold else 0.0  # as it will be once that is held
        if min(self.tuning.run_of(market, self.restart), to_do) < pays_from:
            return Answer(on_demand=hold, spot=0, reason="a switch to spot would cost more than it gains")
        if slack.money < start:
            return Answer(on_demand=hold, spot=0, reason="the excess does not pay for a start on spot")
        if ahead < 0:
            rate = self.tuning.to_spare(work)
            holds = -ahead / rate if rate > 0 else FOREVER
            return Answer(on_demand=hold, spot=0, reason="there is no time for a switch to spot", holds_seconds=holds)
        holds = min(to_do - pays_from, ahead, (slack.money - start) / (cost.on_demand or 1.0))
        return Answer(on_demand=hold, reason="on-demand is kept until spot is back", holds_seconds=holds)

    def _worth_a_start(self, market: Market, cost: _Cost) -> bool:
        """Whether spot is worth the restart that it costs a job that runs on nothing."""
        if cost.spot is None:
            return True
        return self.tuning.spell_of(market) * (cost.on_demand - cost.spot) >= self.restart * cost.spot

    def _renew(self, situation: Situation, work: Work, slack: Slack, cost: _Cost) -> bool:
        """Whether a checkpoint is needed before one of the invariants breaks: it takes a restart's time at most."""
        if work.unsaved <= slack.period:
            return False
        ahead = slack.period + self.restart
        return slack.time < 2 * ahead or slack.money < _burns(situation, cost) * ahead


DECIDED = "it was decided before that the job ends on on-demand"
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class _Cost(Fact):
    """What the gang costs a second."""

    spot: float | None
    on_demand: float
    base: float
    """What of both is the base's."""

    @staticmethod
    def of(situation: Situation, market: Market) -> _Cost:
        wanted, base = situation.wanted, situation.base * market.on_demand_price / HOUR
        known = market.spot_price is not None and market.price_age <= PRICE_KNOWN_SECONDS
        spot = wanted * market.spot_price / HOUR + base if known and market.spot_price is not None else None
        return _Cost(spot, wanted * market.on_demand_price / HOUR + base, base)


def _burns(situation: Situation, cost: _Cost) -> float:
    """Return what is paid a second, at most."""
    spot = (cost.spot or cost.base) - cost.base if situation.serving else 0.0
    return cost.base + spot + (cost.on_demand - cost.base if situation.held else 0.0)


def _holds(situation: Situation, slack: Slack, cost: _Cost) -> float:
    """Return for how long neither invariant can break, whatever the job does with the nodes that it has now."""
    burns = _burns(situation, cost)
    return min(slack.time / 2, slack.money / burns if burns else FOREVER)


def _with(answer: Answer, *, checkpoint: bool, problem: str, holds_seconds: float) -> Answer:
    return Answer(
        on_demand=answer.on_demand,
        spot=answer.spot,
        checkpoint=checkpoint,
        reason=answer.reason,
        problem=problem,
        holds_seconds=holds_seconds,
    )
