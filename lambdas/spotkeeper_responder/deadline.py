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
job do on spot, so on-demand is bought once the job falls behind an even pace, and not given up for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import FOREVER, Answer, Market, Mirror, Situation, Work

HOUR = 3600.0
PRICE_KNOWN_SECONDS = 3600.0
"""A spot price that is older than this is not known any more."""
NO_PROGRESS = "the job tells no progress, so nobody knows what is left to do: every missing node is bought"
NO_PRICE = "the spot price is not known, so nobody can say what spot costs: only the time is kept"
TOO_LATE = "the deadline cannot be met, even on on-demand from now on"
TOO_DEAR = "the job will cost more than on-demand and the excess"
GAIN = 1.0
"""How many times the cost of a switch it has to be expected to gain."""
SHORT, AHEAD = 6.0, 2.0
"""Where spells last less than so many restarts, on-demand is kept until the job is so many restarts ahead of an even
pace: each switch is a restart, and so many spells would each cost two."""
RICH = 2.0
"""How many times the time for a switch to spot and back at every spell has to be there to wait for spot even behind an
even pace."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Prior(Fact):
    """What is taken for true of a market of which nothing has been seen; seconds."""

    spell: float = 2.6 * HOUR
    """How long spot lasts, mean."""
    gap: float = 1.9 * HOUR
    """How long it is missing, mean."""
    weight: float = 8.0
    """How many spells and gaps this counts for."""


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
    """E: what the job may cost beyond on-demand; ``None``: one restart of the gang on on-demand."""
    money: bool = True
    """Whether the money invariant is kept; without it only the time is."""
    prior: Prior = Prior()

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
        if situation.missing:
            answer = self._missing(situation, work, market, slack, cost)
        elif situation.held:
            answer = self._on_demand(situation, work, market, cost)
        else:
            answer = Answer(on_demand=0, reason="the job runs on spot")
        return _with(
            answer,
            checkpoint=self._renew(situation, work, slack, cost),
            problem=NO_PRICE if cost.spot is None else "",
            holds_seconds=min(answer.holds_seconds, _holds(situation, slack, cost)),
        )

    def slack(self, situation: Situation, work: Work, market: Market) -> Slack:
        """Return how far both invariants are from breaking."""
        cost, period = _Cost.of(situation, market), self.period + work.report_age
        time = work.time_left - (work.remaining + 2 * self.restart + period + work.unsaved)
        if not self.money or cost.spot is None:
            return Slack(time=time, money=FOREVER, period=period)
        excursion = cost.spot * (period + self._release)
        if situation.held:  # spot may come and go meanwhile, and the job work on neither
            excursion += cost.on_demand * (period + (self._release if situation.serving else 0.0))
        ending = cost.on_demand * (work.remaining + self.restart)
        money = self._budget(work, cost) - (market.spent + excursion + ending)
        return Slack(time=time, money=money, period=period)

    def first_excursion(self, spot_price: float, on_demand_price: float, gang: int, unsaved: float) -> bool:
        """Whether the excess pays for a first try on spot that comes to nothing; otherwise there will be none.

        Args:
            spot_price: of one node and hour.
            on_demand_price: the same.
            gang: nodes of the fleet.
            unsaved: L: the longest that the job goes without a checkpoint, seconds.
        """
        excess = on_demand_price * gang * self.restart / HOUR if self.excess is None else self.excess
        return spot_price * gang * (unsaved + self.restart + self.period + self._release) / HOUR <= excess

    @property
    def _release(self) -> float:
        return self.restart if self.release is None else min(self.release, self.restart)

    def _budget(self, work: Work, cost: _Cost) -> float:
        excess = cost.on_demand * self.restart if self.excess is None else self.excess
        return cost.on_demand * (work.whole + self.restart) + excess

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

    def _missing(self, situation: Situation, work: Work, market: Market, slack: Slack, cost: _Cost) -> Answer:
        """Decide whether to wait for what is missing, or to buy it.

        What was bought is kept until spot is back: to give it up, only to buy it again, costs a restart.
        """
        if situation.held >= situation.missing:
            return self._on_demand(situation, work, market, cost)
        spot = None if self._worth_a_start(market, cost) else 0
        wait = min(situation.missing, situation.held)
        way_back = self.restart + slack.period + self._release
        if slack.money < way_back * (cost.on_demand + (cost.spot or 0.0)):
            why = "the excess does not pay for a way back from on-demand"
            return Answer(on_demand=wait, spot=spot, reason=why, holds_seconds=0.0 if situation.serving else FOREVER)
        ahead, needed = _ahead(work), self._needed(situation, work, market)
        if ahead >= 0:
            return Answer(on_demand=wait, spot=spot, reason="the job is ahead of an even pace", holds_seconds=ahead)
        spare = slack.time - RICH * needed
        if spare >= 0:
            return Answer(on_demand=wait, spot=spot, reason="there is time enough to wait", holds_seconds=spare / 2)
        left = min(self.restart - situation.lasted, slack.time - needed)
        if left > 0:
            return Answer(on_demand=wait, spot=spot, reason="to start on-demand takes longer", holds_seconds=left / 2)
        return self._on_demand(situation, work, market, cost)  # as it will be once that is held

    def _on_demand(self, situation: Situation, work: Work, market: Market, cost: _Cost) -> Answer:
        """Decide whether a job that runs on on-demand is to move to spot.

        That is decided when spot is asked for: nodes that come are joined to the job, which costs the restart.
        """
        if situation.serving:
            why = "the job is behind an even pace" if situation.missing else "spot is back"
            return Answer(on_demand=situation.missing, reason=why)
        cheaper = cost.on_demand - (cost.on_demand if cost.spot is None else cost.spot)
        pays_from = GAIN * self.restart * (cost.on_demand + (cost.spot or 0.0)) / cheaper if cheaper > 0 else FOREVER
        if min(self._spell(market), work.remaining) < pays_from:
            return Answer(on_demand=situation.wanted, spot=0, reason="a switch to spot would cost more than it gains")
        ahead = _ahead(work)
        if self._spell(market) < SHORT * self.restart and ahead < AHEAD * self.restart:
            gains = work.allowed / work.whole - 1 if work.whole else 0.0
            holds = (AHEAD * self.restart - ahead) / gains if gains > 0 else FOREVER
            why = "spells are short here, and the job is not far enough ahead of an even pace"
            return Answer(on_demand=situation.wanted, spot=0, reason=why, holds_seconds=holds)
        why, holds = "on-demand is kept until spot is back", work.remaining - pays_from
        return Answer(on_demand=situation.missing, reason=why, holds_seconds=holds)

    def _worth_a_start(self, market: Market, cost: _Cost) -> bool:
        """Whether spot is worth the restart that it costs a job that runs on nothing."""
        if cost.spot is None:
            return True
        return self._spell(market) * (cost.on_demand - cost.spot) >= self.restart * cost.spot

    def _needed(self, situation: Situation, work: Work, market: Market) -> float:
        """Return the seconds that a switch to spot and back at every spell that is to be expected takes."""
        cycle = self._spell(market) + self._gap(situation, market)
        return 2 * self.restart * work.time_left / cycle

    def _spell(self, market: Market) -> float:
        """How long spot lasts here, seconds: those that last still count for as long as they have."""
        prior, ends = self.prior, len(market.spells)
        return (prior.weight * prior.spell + sum(market.spells) + sum(market.ages)) / (prior.weight + ends)

    def _gap(self, situation: Situation, market: Market) -> float:
        prior, ends = self.prior, len(market.gaps)
        return (prior.weight * prior.gap + sum(market.gaps) + situation.lasted) / (prior.weight + ends)

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

    @staticmethod
    def of(situation: Situation, market: Market) -> _Cost:
        wanted, base = situation.wanted, situation.base * market.on_demand_price / HOUR
        known = market.spot_price is not None and market.price_age <= PRICE_KNOWN_SECONDS
        spot = wanted * market.spot_price / HOUR + base if known and market.spot_price is not None else None
        return _Cost(spot, wanted * market.on_demand_price / HOUR + base)


def _ahead(work: Work) -> float:
    """Return by how many seconds the job is ahead of an even pace from its start to the deadline."""
    return work.time_left - work.remaining / work.whole * work.allowed if work.whole else 0.0


def _burns(situation: Situation, cost: _Cost) -> float:
    """Return what is paid a second, at most."""
    spot = cost.spot or 0.0 if situation.serving else 0.0
    return spot + (cost.on_demand if situation.held else 0.0)


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
        holds_seconds=0.0 if checkpoint else holds_seconds,
    )
