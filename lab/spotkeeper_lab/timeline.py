"""The facts of a rehearsal: lives of nodes, who held the job when, and what followed each notice.

All times are Unix seconds. The proof, the report and the picture are made from a :class:`Timeline` and from nothing
else; :mod:`spotkeeper_lab.recording` makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spotkeeper_ledger.documents import Goodput

SPOT, BACKUP = "spot", "backup"
KILLED, FROZEN, HOSTILE = "killed", "frozen", "hostile"
"""What a scenario does to a node without any notice of it."""
DEPLOY, DESTROY = "deploy", "destroy"
"""What a scenario does to the stack."""


@dataclass(frozen=True)
class Shape:
    """What the fleet was asked to be."""

    spot_target: int
    base: int
    maximum: int
    steps_per_epoch: int = 1
    policy: str = "mirror"
    version: str = ""
    """Version of the launch template that nodes are to start from."""
    on_update: str = "next-run"


@dataclass(frozen=True)
class Departure:
    """When a node began to leave its group, and why: one of the ``NAMED``, ``CHOSEN`` … of the local cloud's groups."""

    at: float
    why: str


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
    """Whether the cloud took it: after a notice, or by its failure."""
    version: str = ""
    """Version of the launch template that it started from."""
    left: Departure | None = None
    """How it began to leave its group; ``None`` for one that was taken, or stayed."""
    hook: str = ""
    """How its terminate hook was completed: ``CONTINUE``, with ``(timeout)`` if by nobody; empty if it was not."""


@dataclass(frozen=True)
class Holding:
    """One generation: a node that held the job, in an elastic fleet together with others."""

    generation: int
    node: str
    """The first of them, at which the others meet."""
    group: str
    start: float
    end: float
    resume_step: int | None = None
    last_step: int | None = None
    others: tuple[str, ...] = ()
    """The other nodes, in the order of their ranks."""
    resumed: frozenset[int] = frozenset()
    """The steps that its ranks went on from: one step, unless something is wrong."""
    stopped: frozenset[int] = frozenset()
    """The steps at which its ranks stopped in order, likewise."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes that ran the job, in the order of their ranks."""
        return (self.node, *self.others)


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
    """When the responder remembered that it had signalled, or its command was there, whichever came first."""
    commands: int = 0
    """How many times a command for this notice was delivered to the node; while the ledger is away, which could not
    remember any, none is counted."""
    first_command_at: float | None = None
    confirmed_at: float | None = None
    confirmed_step: int | None = None
    hook_completed_at: float | None = None
    gone_at: float | None = None
    backup_requested_at: float | None = None
    backup_serving_at: float | None = None
    returned_at: float | None = None

    @property
    def leaves_time(self) -> bool:
        """Whether it came before the end: a cloud can take a node back and say so as it does."""
        return self.deadline is None or self.deadline > self.at


@dataclass(frozen=True)
class Strike:
    """A node that could not be counted on from some moment on, of which no notice told; ``None`` for what never was."""

    node: str
    how: str
    """``killed``, ``frozen`` or ``hostile``."""
    group: str
    at: float
    held_job: bool = False
    step: int | None = None
    """Steps that the job was last seen to have done then; ``None`` for other nodes and jobs that count none."""
    until: float | None = None
    """When it worked again: what was frozen may be woken."""
    refused_at: float | None = None
    """When it was refused to publish a checkpoint, because another node had the job."""
    gone_at: float | None = None
    backup_requested_at: float | None = None
    backup_serving_at: float | None = None
    returned_at: float | None = None


@dataclass(frozen=True)
class Fault:
    """Something of the cloud that the scenario broke, for a while."""

    kind: str
    """``crash``, ``throttle``, ``dark`` or ``refuse``."""
    began_at: float
    ended_at: float | None = None
    """``None``: it lasted to the end, or a crash never came about."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, and what came of it; the names depend on ``kind``."""


@dataclass(frozen=True)
class Deploy:
    """A change of the whole stack by Pulumi."""

    change: str
    """:data:`DEPLOY`, or :data:`DESTROY` of the fleet."""
    began_at: float
    ended_at: float | None = None
    """``None``: it lasted to the end."""
    changed: Sequence[str] = ()
    """Types of the resources that it changed, in order."""
    deleted: Sequence[str] = ()
    """Types of the resources that it deleted, in order."""
    left: Sequence[str] = ()
    """What of a destroyed fleet was left that should not be, in words."""


@dataclass(frozen=True)
class Alarm:
    """An alarm of the stack's that rang."""

    at: float
    name: str
    reason: str
    """What of which metric compared how with its threshold."""
    meaning: str
    """What whoever is called reads."""


@dataclass(frozen=True)
class Timeline:
    """The facts of one rehearsal."""

    shape: Shape
    started_at: float
    ended_at: float
    reshaped: Sequence[tuple[float, Shape]] = ()
    """Since when the fleet was asked to be something else, in order; :attr:`shape` is what it was asked to be first."""
    deploys: Sequence[Deploy] = ()
    lives: Sequence[Life] = ()
    holdings: Sequence[Holding] = ()
    notices: Sequence[Notice] = ()
    strikes: Sequence[Strike] = ()
    desired: Mapping[str, Sequence[tuple[float, int]]] = field(default_factory=lambda: {SPOT: (), BACKUP: ()})
    """Group to its sizes: since when which one was asked for."""
    refused: Sequence[tuple[float, str]] = ()
    """When which group was refused a launch for lack of capacity."""
    blocked: Sequence[tuple[float, str]] = ()
    """When a launch failed for what other reason."""
    alarms: Sequence[Alarm] = ()
    announced: Sequence[tuple[float, str]] = ()
    """When people were told what: subjects."""
    faults: Sequence[Fault] = ()
    repeated: Sequence[float] = ()
    """When the function had handled messages that were delivered to it before."""
    steps: Sequence[tuple[float, int]] = ()
    saved: Sequence[tuple[float, int]] = ()
    forgeries: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What a hostile node has tried to write: sort to outcome (``written``, ``refused``) to how often."""
    heads: Sequence[int] = ()
    """The generations that the checkpoints' head was at, one for each time it was written."""
    total: int | None = None
    calls: Sequence[tuple[float, int]] = ()
    full_speed_at: float | None = None
    """When the training was let run at full speed."""
    finished_at: float | None = None
    goodput: Goodput | None = None
    """Where the job's time has gone, as its agents have accounted for it."""

    @property
    def runs(self) -> Sequence[Holding]:
        """The generations whose training began: a node that is interrupted as it takes the job begins none.

        All of them where nodes train nothing.
        """
        return [each for each in self.holdings if each.resume_step is not None] or self.holdings

    @property
    def ranks(self) -> int:
        """The most nodes that trained together."""
        return max((len(each.nodes) for each in self.runs), default=1)

    @property
    def interruptions(self) -> list[Notice]:
        """The notices that the scenario gave, rebalance recommendations included."""
        return [notice for notice in self.notices if notice.injected]

    @property
    def blows(self) -> list[Notice | Strike]:
        """All that the scenario did to nodes, with a notice or without."""
        return [*self.interruptions, *self.strikes]

    @property
    def losses(self) -> list[Strike]:
        """The nodes that were killed or frozen."""
        return [strike for strike in self.strikes if strike.how in (KILLED, FROZEN)]

    @property
    def destroyed(self) -> bool:
        """Whether the fleet was destroyed, or was to be."""
        return any(deploy.change == DESTROY for deploy in self.deploys)

    def shape_at(self, at: float) -> Shape:
        """What the fleet was asked to be at a time."""
        return next((shape for since, shape in reversed(self.reshaped) if since <= at), self.shape)

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
    """Return enough of a node's name to tell nodes apart."""
    name, _, number = node.partition(".")
    if number:  # on Google Cloud a name is kept through several lives, which the number tells apart
        return f"{name.rpartition('-')[2]}.{number[-3:]}"
    return node[:6] + "…" + node[-3:] if len(node) > 12 else node


def called(node: str) -> str:
    """Return a node's name as people are shown it: short where it is longer than they can read."""
    return short(node) if "." in node else node
