"""Fallback policies: how many on-demand nodes a fleet is to hold beyond its base, and what for.

A policy is a pure function of a :class:`Situation`: it has no clock and no memory, so that the same one decides in the
function, in a rehearsal and in a simulation. It answers with a number of nodes. Whatever it answers, the fleet's base
and maximum are kept by :mod:`spotkeeper_responder.sizes`.

``never``, ``mirror`` and ``patient`` look at what is missing only. ``deadline``
(:mod:`spotkeeper_responder.deadline`) also looks at the job and at the market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from spotkeeper_ledger.facts import Fact

FOREVER = float("inf")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Work(Fact):
    """How far the job is. Work is told in seconds of the whole fleet's: all of its nodes, at their usual speed."""

    time_left: float
    """Seconds until the deadline; negative after it."""
    remaining: float
    """Work that is still to do from the last *published* checkpoint."""
    whole: float
    """Work of the whole job."""
    allowed: float
    """Seconds from the job's start to its deadline."""
    unsaved: float = 0.0
    """The most work that has been done since that checkpoint: what a loss now would cost."""
    report_age: float = 0.0
    """Seconds since the job has told all of this."""
    speeds: tuple[float, ...] = ()
    """Speed on 0, 1, 2, … all nodes relative to that on all: 0.0 on too few to train, never less on more, 1.0 on all.
    Empty for a gang: all or nothing."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Market(Fact):
    """What nodes cost, what they have cost, and how long spot nodes have lasted here."""

    spot_price: float | None
    """Of one node and hour; ``None`` where nobody knows it."""
    on_demand_price: float
    """Of one node and hour, in the same currency."""
    spent: float = 0.0
    """What the fleet has cost so far."""
    price_age: float = 0.0
    """Seconds since the spot price was read."""
    ages: tuple[float, ...] = ()
    """How long each spot node that runs now has run, seconds."""
    spells: tuple[float, ...] = ()
    """How long spot has lasted until the cloud took it back, seconds; the latest last."""
    gaps: tuple[float, ...] = ()
    """How long spot has been missing until it came back, seconds; the latest last."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Situation(Fact):
    """What a policy may know."""

    missing: int
    """Spot nodes that are missing."""
    lasted: float = 0.0
    """Seconds that spot has been below strength; 0 while it is not."""
    held: int = 0
    """On-demand nodes beyond the base that the fleet holds already, asked for or running."""
    serving: int = 0
    """Spot nodes that serve."""
    wanted: int = 0
    """Spot nodes that the fleet wants; with the base it is the gang."""
    base: int = 0
    """On-demand nodes that the fleet always holds."""
    final: bool = False
    """Whether it was answered before that the job is to end on on-demand."""
    work: Work | None = None
    """``None`` where nothing is known of the job's progress, or nobody asks for it."""
    market: Market | None = None
    """``None`` where nobody asks for prices."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Answer(Fact):
    """What a policy wants."""

    on_demand: int
    """On-demand nodes to hold beyond the base."""
    spot: int | None = None
    """Spot nodes to ask for; ``None``: all that the fleet wants."""
    checkpoint: bool = False
    """Whether the job is to save now, because what is not saved is too much to lose."""
    final: bool = False
    """Whether the job is to end on on-demand: no later answer may take that back."""
    reason: str = ""
    """Why, in words."""
    problem: str = ""
    """Which assumption has failed, so that the policy's promise does not hold; empty while it does."""
    holds_seconds: float = FOREVER
    """For how long the same will be answered, as long as nodes neither come nor go, prices stay, and work goes on."""


class FallbackPolicy(Protocol):
    """Decides what is to be held in place of what is missing."""

    def answer(self, situation: Situation) -> Answer:
        """Return what is wanted in ``situation``."""


@dataclass(frozen=True, eq=False, repr=False)
class Never(Fact):
    """Spot or nothing: for jobs that would rather wait than pay."""

    def answer(self, situation: Situation) -> Answer:  # noqa: ARG002 - the protocol's
        """Want none."""
        return Answer(on_demand=0)


@dataclass(frozen=True, eq=False, repr=False)
class Mirror(Fact):
    """One for one, at once: for jobs that have to keep their speed."""

    def answer(self, situation: Situation) -> Answer:
        """Want what is missing."""
        return Answer(on_demand=situation.missing)


@dataclass(frozen=True, eq=False, repr=False)
class Patient(Fact):
    """One for one, but only for a shortfall that lasts: most spot nodes that are lost are replaced within minutes.

    What was bought is kept for as long as it is missing; only buying more waits.
    """

    wait_seconds: float
    """How long a shortfall must last before on-demand nodes are bought for it."""

    def answer(self, situation: Situation) -> Answer:
        """Want what is missing once it has lasted, until then what is held of it."""
        left = self.wait_seconds - situation.lasted
        if left <= 0:
            return Answer(on_demand=situation.missing)
        return Answer(on_demand=min(situation.missing, situation.held), holds_seconds=left)
