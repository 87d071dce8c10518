"""What the responder sees, hears and decides, in words of no particular cloud."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from spotkeeper_ledger import FleetLedger, NodeReport, PriceRecord, Progress, Signal
from spotkeeper_ledger.facts import Fact

SPOT, BACKUP = "spot", "backup"
"""The two groups of a fleet."""
CAPACITY, QUOTA, CONFIGURATION = "capacity", "quota", "configuration"
"""Classes of launch failures. Only the first is a reason to buy on-demand."""


# ---------------------------------------------------------------- what is seen


class State(enum.Enum):
    """Where an instance is in the life that its group gives it."""

    PENDING = "pending"
    """Launching; counted by the group."""
    IN_SERVICE = "in-service"
    """Running; counted by the group."""
    HELD = "held"
    """On its way out, and a lifecycle hook waits for it; no longer counted by the group."""
    GOING = "going"
    """On its way out or out of the group's hands; no longer counted by the group."""


@dataclass(frozen=True, eq=False, repr=False)
class Instance(Fact):
    """One instance of a group."""

    node: str
    state: State
    healthy: bool = True
    """Whether the group takes it for healthy; it replaces those that are not."""
    version: str = ""
    """Version of the launch template that it started from; empty where the cloud does not say."""


@dataclass(frozen=True, eq=False, repr=False)
class GroupView(Fact):
    """A group as its cloud describes it."""

    name: str
    desired: int
    maximum: int
    """The group's own bound; asking for more is an error."""
    instances: tuple[Instance, ...] = ()

    @property
    def live(self) -> tuple[Instance, ...]:
        """The instances that the group counts against its desired size."""
        return tuple(i for i in self.instances if i.state in (State.PENDING, State.IN_SERVICE))


@dataclass(frozen=True, eq=False, repr=False)
class FleetView(Fact):
    """Everything that is seen of one fleet at one moment."""

    spot: GroupView
    backup: GroupView
    reported_at: Mapping[str, float] = field(default_factory=dict)
    """When each node's agent last reported, by the store's clock; agents that never did are absent."""
    reports: Mapping[str, NodeReport] = field(default_factory=dict)
    """Reports that were read in full: those that may hold a confirmation somebody waits for."""
    members: Set[str] = frozenset()
    """Nodes of the job's current generation."""
    progress: Progress | None = None
    """How far the job says it is; read on ticks."""

    def groups(self) -> Iterator[tuple[str, GroupView]]:
        """Return both groups with their names in a fleet."""
        yield SPOT, self.spot
        yield BACKUP, self.backup

    def group_of(self, node: str) -> str | None:
        """Return the group that lists ``node``, or ``None``."""
        return next((name for name, group in self.groups() if any(i.node == node for i in group.instances)), None)

    def nodes(self) -> frozenset[str]:
        """Return every node of both groups."""
        return frozenset(i.node for _, group in self.groups() for i in group.instances)

    def without(self, gone: Set[str]) -> FleetView:
        """Return the view less nodes that are known to be gone: a description may lag behind the word of it."""

        def less(group: GroupView) -> GroupView:
            return replace(group, instances=tuple(i for i in group.instances if i.node not in gone))

        return replace(self, spot=less(self.spot), backup=less(self.backup)) if gone else self


# ---------------------------------------------------------------- what is heard


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class NoticeHeard(Fact):
    """Word that a node will, or may, go."""

    node: str
    kind: str
    """One of :data:`spotkeeper_ledger.NOTICE_KINDS`."""
    event_at: float
    """When it was said, Unix seconds."""
    deadline: float | None = None
    """When the node goes, Unix seconds, where the word says so; otherwise the fleet's spec decides."""
    hook: str = ""
    """Lifecycle hook that waits for the node, if one does."""
    drill: bool = False
    """An exercise: the job saves, but the node stays and no size changes."""


@dataclass(frozen=True, eq=False, repr=False)
class NoticeWritten(Fact):
    """A node has written ``notice.json`` into its folder; what it says is still to be read and checked."""

    folder: str


@dataclass(frozen=True, eq=False, repr=False)
class NodeLaunched(Fact):
    """A group has launched a node: worth a look."""

    node: str
    group: str


@dataclass(frozen=True, eq=False, repr=False)
class NodeGone(Fact):
    """A node is terminated for good; instance ids never come back."""

    node: str


@dataclass(frozen=True, eq=False, repr=False)
class LaunchFailed(Fact):
    """A group could not launch."""

    group: str
    failure_class: str
    """``capacity``, ``quota`` or ``configuration``."""
    at: float
    message: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class JobEnded(Fact):
    """The job says that it is over."""

    state: str
    """``finished`` or ``failed``."""
    at: float


@dataclass(frozen=True, eq=False, repr=False)
class PriceTold(Fact):
    """The cloud has told what the fleet's spot nodes cost."""

    record: PriceRecord


@dataclass(frozen=True, eq=False, repr=False)
class Tick(Fact):
    """Time has passed: the only event on which anything is lowered, drained or terminated."""


Event: TypeAlias = NoticeHeard | NoticeWritten | NodeLaunched | NodeGone | LaunchFailed | JobEnded | PriceTold | Tick


@dataclass(frozen=True, eq=False, repr=False)
class Heard(Fact):
    """An event, the queue's message that brought it, and the fleet where the event itself names one."""

    message: str
    event: Event
    fleet: str | None = None


# ---------------------------------------------------------------- what is decided


@dataclass(frozen=True, eq=False, repr=False)
class Termination(Fact):
    """One node to be terminated by name."""

    node: str
    decrement: bool
    """Whether the group shrinks by it; otherwise the group replaces the node if its size asks for one."""


@dataclass(frozen=True, eq=False, repr=False)
class Completion(Fact):
    """A lifecycle hook to be completed for a node that cannot do it itself."""

    node: str
    group: str
    """Name of the cloud's group."""
    hook: str
    """Name of the hook; empty where nobody has said it."""


@dataclass(frozen=True, eq=False, repr=False)
class Announcement(Fact):
    """Something that people are told of."""

    topic: str
    word: str
    """What has happened to it; with the topic it names the ledger's record."""
    subject: str
    text: str


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Facts(Fact):
    """What a decision was made on, for metrics and logs."""

    shortfall: int = 0
    backup_size: int = 0
    silent: int = 0
    """Running nodes whose agent has fallen silent."""
    drought: bool = False
    """Spot is below strength and the cloud has refused to launch more for lack of capacity."""
    quota_failures: int = 0
    configuration_failures: int = 0
    cap_reached: bool = False
    """The fleet has used all the on-demand beyond its base that it may."""
    paused: bool = False
    deadline_at_risk: bool = False
    """The promise of the policy ``deadline`` does not hold, whichever part of it."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Decision(Fact):
    """What to remember, then what to do."""

    ledger: FleetLedger
    signals: tuple[Signal, ...] = ()
    """To be sent now."""
    standing: tuple[Signal, ...] = ()
    """Of all notices that are not over, those above included."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """New desired size by group (``spot``, ``backup``), where it changes."""
    completions: tuple[Completion, ...] = ()
    terminations: tuple[Termination, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    """To be sent last; one that fails is due again at the next tick."""
    facts: Facts = Facts()

    @property
    def acts(self) -> bool:
        """Whether anything has to be done besides remembering."""
        return bool(self.signals or self.sizes or self.completions or self.terminations or self.announcements)
