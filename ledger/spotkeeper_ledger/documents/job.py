"""Who runs the job together, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact


@dataclass(frozen=True, eq=False, repr=False)
class Member(Fact):
    """One node of a generation, in rank order."""

    node: str
    boot_id: str
    address: str
    processes: int = 1
    on_demand: bool = False
    port: int = 0
    """Where its agent listens for those of other members; 0 where the job runs on one node."""
    zone: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Generation(Fact):
    """``fleets/<fleet>/job/generation.json``: who runs the job now. Written by any live member, by compare-and-swap."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    number: int
    state: str
    """``forming``, ``running``, ``ending`` (free to be taken over) or ``finished``."""
    members: Tuple[Member, ...] = ()
    beat: int = 0
    """Rises while the members live; a reader times it with its own monotonic clock."""
    master: str = ""
    port: int = 0
    rendezvous_id: str = ""
    stop_step: Optional[int] = None
    reason: str = ""
    """Why the generation ended: ``notice``, ``crash``, ``lost`` (its members fell silent), ``finished`` or
    ``failed``. Of a generation of several nodes: why it was formed, which may also be ``join``, until it is over."""
    crashes: int = 0
    """How many generations up to here have ended in a crash of the command; counted where several nodes run it."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Goodput(Fact):
    """Where the time of a job has gone since it was first started; all its seconds together are that time."""

    since: float
    useful_seconds: float = 0.0
    """Steps that are part of what the job has become."""
    saving_seconds: float = 0.0
    """Steps held up by saving."""
    recomputed_seconds: float = 0.0
    """Steps made once more after a loss."""
    restart_seconds: float = 0.0
    """From each start of the command to its first step; hangs and pauses after crashes among it."""
    waiting_seconds: float = 0.0
    """No node had the job."""
    high_step: Optional[int] = None
    """The furthest step that was ever reported."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> Optional[float]:
        """Useful time over all time; ``None`` before any has passed."""
        lost = self.saving_seconds + self.recomputed_seconds + self.restart_seconds + self.waiting_seconds
        return self.useful_seconds / (self.useful_seconds + lost) if self.useful_seconds + lost > 0 else None


@dataclass(frozen=True, eq=False, repr=False)
class Progress(Fact):
    """``fleets/<fleet>/job/progress.json``: how far the job is.

    Written by the agent of rank 0, fenced by the generation.
    """

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    generation: int
    node: str
    at: float
    state: str = "running"
    """``running``, ``finished`` or ``failed``."""
    step: Optional[int] = None
    total: Optional[int] = None
    steps_per_second: Optional[float] = None
    published_step: Optional[int] = None
    """Step of the last whole checkpoint."""
    published_at: Optional[float] = None
    save_seconds_p95: Optional[float] = None
    exit_code: Optional[int] = None
    nodes: Optional[int] = None
    """How many run the job together."""
    goodput: Optional[Goodput] = None
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
