"""Every document of the ledger, each defined here and nowhere else.

Times that end in ``_at`` (and ``deadline``) are Unix seconds in UTC; durations end in ``_seconds``. ``extra`` holds
the fields that a newer
version wrote and this one does not know; they are written back untouched.

A *node* is named by its instance id (``i-0abc…`` on AWS). Its folder under ``nodes/`` is the fleet's ``node_prefix``
followed by that id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact

INTERRUPTION, REBALANCE, SCALE_IN, DRAIN = "interruption", "rebalance", "scale-in", "drain"
NOTICE_KINDS = (INTERRUPTION, REBALANCE, SCALE_IN, DRAIN)
"""Kinds of notice. All but ``rebalance`` mean that the node *will* go."""
STOPPED, HELD = "stopped", "held"
PAUSE_MODES = (STOPPED, HELD)
"""What a paused fleet is: ``stopped`` costs nothing, ``held`` is left as it is."""


def notice_id(node: str, kind: str) -> str:
    """Return the id at which all words about one node meet: its events, its agent's report, signals, redeliveries.

    A node has at most two: one for a rebalance recommendation and one for leaving, because the second one asks for
    another save.
    """
    return f"{node}:{REBALANCE if kind == REBALANCE else 'leaving'}"


@dataclass(frozen=True, eq=False, repr=False)
class PolicySpec(Fact):
    """Which fallback policy decides how many on-demand nodes a shortfall is worth, and its settings."""

    name: str = "mirror"
    """``never``, ``mirror``, ``patient`` or ``deadline``."""
    wait_seconds: float = 600.0
    """``patient`` only: how long a shortfall must last before on-demand is bought for it."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class DeadlineSpec(Fact):
    """By when the job has to be done, what there is to do, and what it may cost. Prices are all in one currency."""

    on_demand_price: float
    """Of an on-demand node and hour."""
    at: Optional[float] = None
    """The deadline; where it is ``None``, ``hours`` says it."""
    hours: Optional[float] = None
    """The deadline in hours from the fleet's first tick on."""
    work_hours: Optional[float] = None
    """How long the job takes with all its nodes and no interruption; ``None``: what its first progress says."""
    spot_price: Optional[float] = None
    """Of a spot node and hour, where that is constant; ``None``: the cloud is asked."""
    excess: Optional[float] = None
    """What the job may cost beyond on-demand; ``None``: one restart of all its nodes."""
    restart_seconds: float = 720.0
    """From the decision for other nodes until the job works on them, at most; longer ones that are seen replace it."""
    release_seconds: float = 720.0
    """How long nodes that are let go are still paid, at most."""
    period_seconds: float = 60.0
    """Time between two ticks."""
    node_types: Tuple[str, ...] = ()
    """The kinds of node that the fleet may be of, as the cloud names them in its prices."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class FleetSpec(Fact):
    """``fleets/<fleet>/spec.json``: what the user wants. Written by Pulumi only."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    """Random per creation of the fleet (AWS: the unique id of the node role). Objects of another incarnation are
    ignored."""
    cloud: str
    region: str
    target: int
    """Nodes wanted, base included."""
    base: int
    """Of these, nodes that are always on-demand."""
    maximum: int
    """Most on-demand nodes that the fleet may ever hold, base included."""
    spot_group: str
    backup_group: str
    node_prefix: str = ""
    """What precedes the instance id in the name of a node's folder (AWS: ``<role id>:``, which IAM fills in as
    ``aws:userid``)."""
    gang: str = "none"
    policy: PolicySpec = field(default_factory=PolicySpec)
    on_rebalance: str = "checkpoint"
    on_update: str = "next-run"
    command_version: str = ""
    """Version of the launch template that new nodes start from."""
    checkpoint_uri: str = ""
    notice_seconds: float = 120.0
    """From an interruption warning to the reclaim."""
    hook_seconds: float = 600.0
    """Timeout of the terminate hook: the longest that a scale-in or a drain waits for a confirmed checkpoint."""
    boot_grace_seconds: float = 600.0
    """How long a node that has never reported is taken for serving."""
    report_seconds: float = 30.0
    """How often an agent reports; a node whose last report is older than three of these does not serve."""
    launch_grace_seconds: float = 60.0
    """How long spot instances that were asked for, and neither lost nor refused, may take to appear before on-demand
    is bought."""
    hysteresis_seconds: float = 300.0
    """How long spot must have been back at strength before on-demand nodes are drained."""
    linger_seconds: float = 300.0
    """How long nodes are kept after the job finished or failed."""
    save_gap_seconds: float = 60.0
    """A notice that arrives within this time of a whole checkpoint joins it."""
    rebalance_expiry_seconds: float = 1200.0
    """A rebalance recommendation that no interruption follows is forgotten after this time."""
    max_on_demand_hours: Optional[float] = None
    """Node-hours of on-demand beyond the base that this incarnation may use in all; ``None`` means no limit."""
    deadline: Optional[DeadlineSpec] = None
    """For the policy ``deadline``."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spot_target(self) -> int:
        """Nodes that the spot group should hold."""
        return self.target - self.base

    @property
    def report_stale_seconds(self) -> float:
        """Age of the last report from which on a node counts as silent."""
        return 3 * self.report_seconds


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
    """Whether on-demand is bought for what is missing; otherwise only what is held of it is kept."""
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
    """How long the job takes with all its nodes, as its first progress said."""
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
class Signal(Fact):
    """One order to save now, for one node."""

    notice_id: str
    node: str
    kind: str
    at: float
    deadline: Optional[float] = None
    drill: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class SignalBoard(Fact):
    """``fleets/<fleet>/signal.json``: the newest signals. Agents re-read it with a conditional GET."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    revision: int
    signals: Tuple[Signal, ...] = ()
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


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
    goodput: Optional[Goodput] = None
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class NodeNotice(Fact):
    """``fleets/<fleet>/nodes/<node>/notice.json``: what the node's agent has heard. Believed about that node only."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    node: str
    notice_id: str
    kind: str
    heard_at: float
    deadline: Optional[float] = None
    source: str = ""
    """``imds``, ``signal``, ``command`` or ``socket``: where the agent heard it first."""
    drill: bool = False
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class NodeReport(Fact):
    """``fleets/<fleet>/nodes/<node>/report.json``: sign of life, and what the node has done.

    Believed about that node only.
    """

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    node: str
    boot_id: str
    at: float
    generation: Optional[int] = None
    """The generation that the node is a member of, ``None`` for a spare."""
    notice_id: str = ""
    confirmed_step: Optional[int] = None
    confirmed_at: Optional[float] = None
    """When the whole checkpoint for ``notice_id`` (or the fact that there is nothing to save) was confirmed."""
    exit_code: Optional[int] = None
    exit_reason: str = ""
    restarts: int = 0
    stacks: str = ""
    """Where the ranks were when the job was last found hanging on this node; at most 8,000 characters."""
    command_version: str = ""
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


@dataclass(frozen=True, eq=False, repr=False)
class Part(Fact):
    """One object of a checkpoint; parts are never overwritten.

    A part that is too large for one object is several of them, with one name and rising ``piece``.
    """

    name: str
    key: str
    """Relative to the checkpoint URI."""
    bytes: int
    crc32: Optional[int] = None
    crc32c: Optional[int] = None
    """One of the two sums is there."""
    rank: int = 0
    """The rank that wrote it."""
    piece: int = 0
    """Its place among the objects of this name and rank, from 0."""


@dataclass(frozen=True, eq=False, repr=False)
class Manifest(Fact):
    """``manifests/…json`` under a checkpoint URI: the parts of one whole checkpoint."""

    VERSION: ClassVar[int] = 1

    generation: int
    step: int
    at: float
    parts: Tuple[Part, ...]
    world_size: int = 1
    """How many ranks wrote it."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Head(Fact):
    """``head.json`` under a checkpoint URI: what is latest, and which generation alone may change it."""

    VERSION: ClassVar[int] = 1

    generation: int
    step: Optional[int] = None
    manifest: Optional[str] = None
    previous: Optional[str] = None
    """Key of the manifest before this one: what ``load`` falls back to."""
    session: str = ""
    """Random: the process of rank 0 that publishes for several ranks. Empty where one rank is all."""
    revision: int = 0
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
