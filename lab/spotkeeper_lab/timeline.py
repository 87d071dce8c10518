"""The facts of a rehearsal: lives of nodes, who held the job when, and what followed each notice.

All times are Unix seconds. The proof, the report and the picture are made from a :class:`Timeline` and from nothing
else; :mod:`spotkeeper_lab.recording` makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SPOT, BACKUP = "spot", "backup"


@dataclass(frozen=True)
class Shape:
    """What the fleet was asked to be."""

    spot_target: int
    base: int
    maximum: int
    steps_per_epoch: int = 1
    policy: str = "mirror"


@dataclass(frozen=True)
class Life:
    """One node from launch to end."""

    node: str
    group: str
    launched_at: float
    serving_at: float | None = None
    """Its first report."""
    ended_at: float | None = None
    reclaimed: bool = False


@dataclass(frozen=True)
class Holding:
    """One generation: a node that held the job."""

    generation: int
    node: str
    group: str
    start: float
    end: float
    resume_step: int | None = None
    last_step: int | None = None


@dataclass(frozen=True)
class Notice:
    """One notice of one node and all that followed it; ``None`` where it did not happen."""

    node: str
    kind: str
    group: str
    at: float
    deadline: float | None = None
    injected: bool = False
    """Whether the scenario gave it; others are the responder's own drains."""
    held_job: bool = False
    step: int | None = None
    heard_at: float | None = None
    signalled_at: float | None = None
    commands: int = 0
    """How many times a command for this notice was delivered to the node."""
    confirmed_at: float | None = None
    confirmed_step: int | None = None
    hook_completed_at: float | None = None
    gone_at: float | None = None
    backup_requested_at: float | None = None
    backup_serving_at: float | None = None
    returned_at: float | None = None


@dataclass(frozen=True)
class Timeline:
    """The facts of one rehearsal."""

    shape: Shape
    started_at: float
    ended_at: float
    lives: Sequence[Life] = ()
    holdings: Sequence[Holding] = ()
    notices: Sequence[Notice] = ()
    desired: Mapping[str, Sequence[tuple[float, int]]] = field(default_factory=lambda: {SPOT: (), BACKUP: ()})
    """Group to its sizes: since when which one was asked for."""
    refused: Sequence[tuple[float, str]] = ()
    """When which group was refused a launch."""
    steps: Sequence[tuple[float, int]] = ()
    saved: Sequence[tuple[float, int]] = ()
    total: int | None = None
    calls: Sequence[tuple[float, int]] = ()
    full_speed_at: float | None = None
    """When the training was let run at full speed."""
    finished_at: float | None = None

    @property
    def runs(self) -> Sequence[Holding]:
        """The generations whose training began: a node that is interrupted as it takes the job begins none.

        All of them where nodes train nothing.
        """
        return [each for each in self.holdings if each.resume_step is not None] or self.holdings

    @property
    def interruptions(self) -> list[Notice]:
        """The notices that the scenario gave, rebalance recommendations included."""
        return [notice for notice in self.notices if notice.injected]

    def size(self, group: str, at: float) -> int:
        """How many nodes were asked for in ``group`` at a time."""
        return last(self.desired[group], at) or 0


def last(series: Iterable[tuple[float, int]], at: float) -> int | None:
    """Return the newest value of ``series`` that is not younger than ``at``."""
    value = None
    for moment, item in series:
        if moment <= at:
            value = item
    return value


def first(times: Iterable[float | None]) -> float | None:
    """Return the earliest of the times that are known."""
    known = [time for time in times if time is not None]
    return min(known) if known else None


def alive(lives: Iterable[Life], group: str, at: float) -> int:
    """How many nodes of a group lived at a time."""
    return sum(life.group == group and life.launched_at <= at < (life.ended_at or at + 1) for life in lives)


def serving(lives: Iterable[Life], group: str, at: float) -> int:
    """How many nodes of a group lived and had reported at a time."""
    return alive([life for life in lives if life.serving_at is not None and life.serving_at <= at], group, at)


def short(node: str) -> str:
    """Return enough of an instance id to tell nodes apart."""
    return node[:6] + "…" + node[-3:] if len(node) > 12 else node
