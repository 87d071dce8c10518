"""What a fleet is to be: written by Pulumi."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact


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
    """What the job may cost beyond on-demand; ``None``: a fortieth of that, at least a restart of all nodes."""
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
    """Random per creation of the fleet: the unique id of the identity that its nodes have. Objects of another
    incarnation are ignored."""
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
    """What precedes the instance id in the name of a node's folder, where the cloud's permissions tell nodes apart by
    such a name (``<role id>:``)."""
    gang: str = "none"
    min_nodes: Optional[int] = None
    """Fewest nodes that train together, where as many do as there are; ``None``: that is not so."""
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
