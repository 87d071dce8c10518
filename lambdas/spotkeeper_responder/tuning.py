"""What the policy ``deadline`` expects of a market and of a job, within the invariants that it keeps.

No promise hangs on these numbers. They were chosen on public traces (``bench/deadline.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import Market, Situation, Work

HOUR = 3600.0


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Tuning(Fact):
    """How it tells when on-demand is bought, and when it is left again."""

    spell: float = 2.6 * HOUR
    """How long a spot node lasts, mean, in a market of which nothing has been seen; seconds."""
    weight: float = 8.0
    """How many nodes that counts for, and how many gaps that were worth on-demand."""
    pace: float = 0.9
    """The part of an even pace's time to spare that has to be left, or on-demand is bought. At an even pace the time to
    spare and the work go to zero together; who buys a little later has use for the spot that comes meanwhile."""
    thrift: float = 1.5
    """With less than so many restarts of the excess left beyond a way back, on-demand is bought later still."""
    patience: float = 1.5
    """On-demand is not bought sooner than it would start, as long as there is time to do so at so many times the spells
    that the work takes."""
    leave: float = 4.0
    """How many restarts more have to be to spare to leave on-demand for spells that last one restart; for longer ones
    as many times less. Each such spell takes two restarts of it."""

    def spell_of(self, market: Market) -> float:
        """Return how long spot nodes last here, seconds: those that last still count for as long as they have."""
        lasted = sum(market.spells) + sum(market.ages)
        return (self.weight * self.spell + lasted) / (self.weight + len(market.spells))

    def run_of(self, market: Market, restart: float) -> float:
        """Return how long a job can expect to stay on spot, seconds: a node that is replaced at once takes no way back.

        Args:
            market: what has been seen of it.
            restart: seconds within which a node counts as replaced at once.
        """
        missed = sum(gap > restart for gap in market.gaps)
        return self.spell_of(market) * (self.weight + len(market.gaps)) / (self.weight + missed)

    def ahead(self, work: Work, left: float, part: float = 1.0) -> float:
        """Return how many seconds more are to spare than have to be.

        Args:
            work: how far the job is.
            left: work that is still to do; what is not saved belongs to it, if that is lost.
            part: of what usually has to be to spare.
        """
        return work.time_left - left - part * self.to_spare(work) * left

    def to_spare(self, work: Work) -> float:
        """Return how much time has to be to spare for a second of work."""
        return self.pace * max(0.0, work.allowed / work.whole - 1) if work.whole else 0.0

    def enough(self, situation: Situation, work: Work) -> int:
        """Return how many of the missing nodes make the job so fast that it falls no further behind."""
        if not work.speeds:
            return situation.missing
        there, enough = situation.serving + situation.base, 1 / (1 + self.to_spare(work))
        reached = (more for more in range(situation.missing) if work.speeds[there + more] >= enough)
        return next(reached, situation.missing)


USUAL = Tuning()
"""As a fleet has it."""
