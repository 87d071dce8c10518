"""What the responder remembers: of a fleet, and of whose the nodes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact

STOPPED, HELD = "stopped", "held"
PAUSE_MODES = (STOPPED, HELD)
"""What a paused fleet is: ``stopped`` costs nothing, ``held`` is left as it is."""


@dataclass(frozen=True, eq=False, repr=False)
class NoticeRecord(Fact):
    """What the responder knows and has done about one node that was noticed."""

    notice_id: str
    kind: str
    group: str
    """``spot`` or ``backup``."""
    event_at: float
    """When the cloud (or the node) said so."""
    heard_at: float
    """When the responder first knew."""
    deadline: Optional[float] = None
    """When the node goes; ``None`` while nothing says that it will."""
    stage: str = "sending"
    """``sending`` → ``signalled`` → ``ended``. ``sending`` that is older than a few seconds is sent again."""
    signalled_at: Optional[float] = None
    confirmed_step: Optional[int] = None
    hook: str = ""
    """Name of the lifecycle hook that waits for this node, if one does."""
    ended_at: Optional[float] = None
    drill: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class FailureRecord(Fact):
    """Launches of one class of failure (``capacity``, ``quota``, ``configuration``)."""

    count: int
    last_at: float
    message: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class NodeSeen(Fact):
    """When a node was first and last seen in a group: boot grace, spell lengths and cost are computed from it."""

    group: str
    first_at: float
    last_at: float


@dataclass(frozen=True, eq=False, repr=False)
class Pause(Fact):
    """A person's word that the fleet is to rest; taken back by removing it."""

    mode: str
    """``stopped``: the job saves, every node is drained by name, and both groups are at zero until the fleet goes on.
    ``held``: the job is still told of notices, but no size is changed and nobody is drained or terminated. A mode that
    is not known counts as ``held``."""
    at: float
    """When it was said."""
    reason: str = ""
    """Why, in that person's words."""


@dataclass(frozen=True, eq=False, repr=False)
class AnnouncementRecord(Fact):
    """One thing that people are told of, once."""

    word: str
    """What has happened, such as ``begun`` or ``finished``."""
    since: float
    """When it happened."""
    sent_at: Optional[float] = None
    """When the topic took it; ``None`` while it is still to be sent."""


@dataclass(frozen=True, eq=False, repr=False)
class PriceRecord(Fact):
    """A spot price as the cloud told it."""

    price: float
    """Of a node and hour: that of the dearest of the fleet's spot nodes, or of all that it might get."""
    at: float


@dataclass(frozen=True, eq=False, repr=False)
class RestartRecord(Fact):
    """How long the job has taken to work again on other nodes."""

    generation: int
    """The latest that was seen."""
    before: float = 0.0
    """Seconds that all restarts before it took."""
    longest: float = 0.0
    """Seconds of the longest."""


@dataclass(frozen=True, eq=False, repr=False)
class PlanRecord(Fact):
    """What the policy ``deadline`` has last answered; it stands until the next tick."""

    at: float
    buys: bool
    """Whether on-demand is bought for all that is missing; otherwise what is held of it is kept."""
    on_demand: Optional[int] = None
    """How many on-demand nodes beyond the base are wanted at most, where ``buys`` does not say it."""
    spot: bool = True
    """Whether spot is asked for."""
    final: bool = False
    """Whether the job ends on on-demand."""
    reason: str = ""
    problem: str = ""
    """Which assumption has failed, so that the promise does not hold."""
    time_slack: Optional[float] = None
    """Seconds until only on-demand is in time; negative once that is so."""
    money_slack: Optional[float] = None
    """What may still be spent on spot in vain; ``None`` where nobody knows the prices."""


@dataclass(frozen=True, eq=False, repr=False)
class Account(Fact):
    """What the policy ``deadline`` goes by besides the nodes."""

    since: float
    """The fleet's first tick."""
    started_at: Optional[float] = None
    """When a node was first seen running."""
    spent: float = 0.0
    """What all nodes have cost since then."""
    price: Optional[PriceRecord] = None
    work_seconds: Optional[float] = None
    """How long the job takes with all its nodes, as its first progress said, or its first with all of them."""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Steps per second of an elastic job by its number of nodes, as last seen."""
    restart: Optional[RestartRecord] = None
    spells: Tuple[float, ...] = ()
    """How long the latest spot nodes that the cloud has taken had lasted."""
    gaps: Tuple[float, ...] = ()
    """How long spot was missing the latest times."""
    plan: Optional[PlanRecord] = None


@dataclass(frozen=True, eq=False, repr=False)
class FleetLedger(Fact):
    """``fleets/<fleet>/ledger.json``: what the responder remembers.

    Written by compare-and-swap: by the responder, and by the command line, which sets and removes ``pause``.
    """

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    revision: int = 0
    """Rises with every write, so that equal bodies never have equal ETags."""
    notices: Mapping[str, NoticeRecord] = field(default_factory=dict)
    """By node. At most one record a node: a later, graver kind replaces an earlier one and only tightens its
    deadline."""
    failures: Mapping[str, FailureRecord] = field(default_factory=dict)
    seen: Mapping[str, NodeSeen] = field(default_factory=dict)
    shortfall_since: Optional[float] = None
    surplus_since: Optional[float] = None
    """Since when less on-demand than is held has been enough."""
    surplus_wanted: Optional[int] = None
    """The most that has been enough since then: what is lowered to, however spot has come and gone in between."""
    spot_desired: Optional[int] = None
    backup_desired: Optional[int] = None
    signals_version: str = ""
    """Version of ``signal.json`` when the responder last wrote it: with it the next one need not be read before."""
    job_state: str = "running"
    job_ended_at: Optional[float] = None
    spot_node_seconds: float = 0.0
    on_demand_node_seconds: float = 0.0
    fallback_node_seconds: float = 0.0
    """Of the on-demand seconds, those beyond the base: what ``max_on_demand_hours`` limits."""
    pause: Optional[Pause] = None
    announcements: Mapping[str, AnnouncementRecord] = field(default_factory=dict)
    """By topic (``drought``, ``job``, ``cap``, ``deadline``, ``quota``, ``configuration``): what people have been told,
    or are to be."""
    account: Optional[Account] = None
    """For the policy ``deadline``; ``None`` for the others."""
    accounted_at: Optional[float] = None
    ticked_at: Optional[float] = None
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Members(Fact):
    """``members.json``: which fleet an instance belongs to.

    Written by the responder, so that a foreign event costs one read.
    """

    VERSION: ClassVar[int] = 1

    revision: int = 0
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Instance id to fleet."""
    fleets: Tuple[str, ...] = ()
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
