"""What a policy sees while a job is played, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.market import Counts, Flags, Floats, Windows


@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """What a policy sees at a tick; arrays have an entry for each window."""

    now: Floats
    """Seconds since the job's start."""
    asked: Flags
    """Whether the policy is asked: the job is not done, and a tick, its own time or new nodes have come. Where it is
    not, its answer is not looked at."""
    done: Floats
    """Work done, in seconds of the whole fleet."""
    saved: Floats
    """Work in the last published checkpoint."""
    standstill: Floats
    """Seconds for which the job will still stand after its last start."""
    spent: Floats
    """Dollars so far."""
    lost: Counts
    """Spot nodes that have just been taken back."""
    spot_ready: Counts
    spot_held: Counts
    """Spot nodes that are paid, those that boot included."""
    on_demand_ready: Counts
    on_demand_held: Counts
    room: Flags
    """Whether the market has room for the job's spot nodes, or for as few as it trains on: only baselines may look."""
    price: Floats
    """Dollars for a spot node and hour: that of the dearest of those held, or of all that it might get."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Wanted:
    """What a policy wants to be held from now on."""

    on_demand: Counts
    """On-demand nodes, the base included."""
    spot: Counts
    """Spot nodes to ask for; the group goes on asking until the next tick."""
    save: Flags | None = None
    """Where the job is to save now."""
    again: Floats | None = None
    """In how many seconds it wants to be asked again, if that is before the next tick."""


class Player(Protocol):
    """A policy at work in some windows: it may remember."""

    @property
    def period(self) -> float:
        """In how many seconds it sees that a node is ready; infinity: not before the market's next tick."""

    @property
    def spot_at_first(self) -> int:
        """How many spot nodes the group asks for before the policy is asked for the first time."""

    def decide(self, seen: Seen) -> Wanted:
        """Return what is to be held."""


class Policy(Protocol):
    """How many nodes of which kind to hold."""

    @property
    def name(self) -> str:
        """What it is called."""

    def begin(self, job: Job, windows: Windows) -> Player:
        """Return it as it is before the first tick."""
