"""What a rehearsal looks like at one moment, and what a scenario can ask about it.

Conditions to wait for, and nodes to aim at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NodeState:
    """One running node."""

    node: str
    group: str
    """``spot`` or ``backup``."""
    launched_at: float
    serving: bool
    """Whether its agent has reported, and is not frozen."""
    frozen: bool = False
    version: str = ""
    """Version of the launch template that it started from."""
    leaving: bool = False
    """Whether it was told that it will go: interrupted by the scenario, or drained by the responder."""
    notice: str = ""
    """Kind of its notice, empty without one."""


@dataclass(frozen=True)
class Situation:
    """Everything at one moment. ``at`` is Unix seconds."""

    at: float
    spot_target: int
    base: int
    nodes: tuple[NodeState, ...] = ()
    spot_desired: int = 0
    backup_desired: int = 0
    generation: int = 0
    holder: str | None = None
    """The node that the job runs on; where several run it together, the first of them."""
    others: tuple[str, ...] = ()
    """The other nodes that run it."""
    generation_state: str = ""
    job_state: str = ""
    step: int | None = None
    total: int | None = None
    published_step: int | None = None
    published_generation: int | None = None
    """The generation that has published the newest checkpoint that was seen."""
    first_step: int | None = None
    """The first step seen of the current generation."""
    steps_per_epoch: int = 1
    trains: bool = True
    """Whether the job counts steps; one that does not counts as advancing as soon as it is held."""
    interrupted: frozenset[str] = frozenset()
    """Nodes that the scenario has interrupted so far."""
    lost: frozenset[str] = frozenset()
    """Nodes that the scenario has killed or frozen so far, those that it has woken included."""
    noticed: frozenset[str] = frozenset()
    """Nodes that the scenario has interrupted, or recommended to rebalance."""
    signalled: frozenset[str] = frozenset()
    """Nodes that the responder has signalled."""
    confirmed: frozenset[str] = frozenset()
    """Nodes that have confirmed a whole checkpoint, or that there is nothing to save."""
    refused: frozenset[str] = frozenset()
    """Frozen nodes whose training has been refused to publish a checkpoint."""
    forged: bool = False
    """Whether a hostile node has written all that it was to write."""
    backup_launched: int = 0
    """On-demand nodes launched so far, base included."""
    version: str = ""
    """Version of the launch template that the fleet is to run."""
    deploying: bool = False
    """Whether a deploy, or the destruction of the fleet, is under way."""
    alarms: frozenset[str] = frozenset()
    """Names of the alarms that have rung so far."""
    faults: int = 0
    """How many things the scenario has broken that are broken still."""

    def running(self, group: str) -> list[NodeState]:
        """The running nodes of one group, oldest first."""
        return sorted((n for n in self.nodes if n.group == group), key=lambda n: (n.launched_at, n.node))

    def serving(self, group: str) -> list[NodeState]:
        """Those of a group that have reported and are not about to go."""
        return [n for n in self.running(group) if n.serving and not n.leaving]

    def rang(self, alarm: str) -> bool:
        """Whether the alarm with that last part of its name has rung."""
        return any(name.endswith(f"-{alarm}") for name in self.alarms)

    @property
    def taken(self) -> frozenset[str]:
        """Nodes that the scenario has taken from the fleet, in whatever way."""
        return self.interrupted | self.lost

    @property
    def members(self) -> tuple[str, ...]:
        """All nodes that run the job, in the order of their ranks."""
        return (*([self.holder] if self.holder else []), *self.others)

    @property
    def held(self) -> bool:
        """Whether the job runs on a node that is alive."""
        return self.generation_state == "running" and any(n.node == self.holder for n in self.nodes)

    @property
    def advanced(self) -> bool:
        """Whether the present holder has done at least one step."""
        if not self.held or not self.trains:
            return self.held
        return self.step is not None and self.first_step is not None and self.step > self.first_step


def _fleet_serving(now: Situation) -> bool:
    return len(now.serving("spot")) >= now.spot_target and len(now.serving("backup")) >= now.base


def _at_size(now: Situation) -> bool:
    wanted = (("spot", now.spot_target), ("backup", now.base))
    return all(len(now.running(group)) == len(now.serving(group)) == size for group, size in wanted)


def _mid_epoch(now: Situation) -> bool:
    if not now.trains or not now.advanced:
        return now.advanced
    part = (now.step or 0) % now.steps_per_epoch / now.steps_per_epoch
    return 0.1 <= part <= 0.7  # what is seen may be a second old


def _together(now: Situation) -> bool:
    serving = {n.node for n in (*now.serving("spot"), *now.serving("backup"))}
    return now.advanced and len(serving) >= now.spot_target + now.base and serving == set(now.members)


def _backup_serving(now: Situation) -> bool:
    return now.backup_desired > now.base and len(now.serving("backup")) >= now.backup_desired


def _returned(now: Situation) -> bool:
    at_base = now.backup_desired == now.base and len(now.running("backup")) == now.base
    return now.backup_launched > now.base and at_base and len(now.serving("spot")) >= now.spot_target


CONDITIONS: Mapping[str, tuple[str, Callable[[Situation], bool]]] = {
    "now": ("at once, when the step before is done", lambda _: True),
    "faults-over": ("nothing that the scenario broke for a while is broken any more", lambda now: not now.faults),
    "fleet-serving": ("every node that the fleet should have has reported", _fleet_serving),
    "at-size": ("exactly the nodes that the fleet should have run, and each has reported", _at_size),
    "deployed": ("every deploy that was begun, or the destruction, is through", lambda now: not now.deploying),
    "up-to-date": (
        "the fleet is at its size, and every node started from the version that it is to run",
        lambda now: _at_size(now) and all(node.version == now.version for node in now.nodes),
    ),
    "training": ("the job has made a step on its present node", lambda now: now.advanced),
    "mid-epoch": ("the job is well within an epoch", _mid_epoch),
    "training-mid-epoch": (
        "the whole fleet serves, and the job is well within an epoch",
        lambda now: _fleet_serving(now) and _mid_epoch(now),
    ),
    "signalled": (
        "the responder has signalled every node that was interrupted",
        lambda now: bool(now.noticed) and now.noticed <= now.signalled,
    ),
    "checkpoint-confirmed": (
        "every node that was interrupted or recommended to rebalance has confirmed",
        lambda now: bool(now.noticed) and now.noticed <= now.confirmed,
    ),
    "backup-requested": (
        "the on-demand group is asked for more than its base",
        lambda now: now.backup_desired > now.base,
    ),
    "backup-serving": ("all on-demand nodes that were asked for above the base serve", _backup_serving),
    "training-resumed": (
        "the job has made a step on a node that was not interrupted, killed or frozen",
        lambda now: bool(now.taken) and not now.taken.intersection(now.members) and now.advanced,
    ),
    "training-together": (
        "every node that serves runs the job, as many as the fleet should have, and it has made a step",
        _together,
    ),
    "training-on-demand": (
        "the job has made a step on an on-demand node",
        lambda now: now.advanced and any(n.node in now.members for n in now.running("backup")),
    ),
    "checkpoint-published": (
        "the job has published a checkpoint on its present node",
        lambda now: now.held and now.published_generation == now.generation,
    ),
    "publish-refused": (
        "a node that was frozen has tried to publish a checkpoint, and was refused",
        lambda now: bool(now.refused),
    ),
    "forged": ("a hostile node has written all that it was to write", lambda now: now.forged),
    "reclaimed": (
        "every node that was interrupted is gone",
        lambda now: bool(now.interrupted) and not now.interrupted & {n.node for n in now.nodes},
    ),
    "returned-to-spot": (
        "on-demand nodes were bought, are gone down to the base again, and spot is at strength",
        _returned,
    ),
    "quota-alarm": ("the alarm about launches that fail for a quota has rung", lambda now: now.rang("quota")),
    "configuration-alarm": (
        "the alarm about launches that fail for their configuration has rung",
        lambda now: now.rang("configuration"),
    ),
    "job-finished": ("the job has finished", lambda now: now.job_state == "finished"),
    "released": (
        "the job has finished, both groups are asked for zero nodes and have none",
        lambda now: now.job_state == "finished" and not (now.nodes or now.spot_desired or now.backup_desired),
    ),
}
"""What a step of a scenario can wait for: name to explanation and test."""


def _half(now: Situation) -> list[NodeState]:
    spot = now.running("spot")
    ordered = sorted(spot, key=lambda n: n.node != now.holder)
    return ordered[: (len(spot) + 1) // 2]


TARGETS: Mapping[str, tuple[str, Callable[[Situation], Iterable[NodeState]]]] = {
    "holder": (
        "the node that the job runs on, the first of several",
        lambda now: [n for n in now.nodes if n.node == now.holder],
    ),
    "spare": (
        "the oldest spot node that the job does not run on",
        lambda now: [n for n in now.serving("spot") if n.node not in now.members][:1],
    ),
    "member": (
        "the oldest spot node that runs the job together with the first one",
        lambda now: [n for n in now.running("spot") if n.node in now.others][:1],
    ),
    "frozen": ("every node that stands still", lambda now: [n for n in now.nodes if n.frozen]),
    "half": ("half of the spot nodes, rounded up, the job's node among them if it is spot", _half),
    "all": ("every spot node", lambda now: now.running("spot")),
}
"""What a step of a scenario can aim at: name to explanation and choice. Nodes that were told to go already are never
chosen."""


def choose(target: str, now: Situation) -> list[str]:
    """Return the nodes that ``target`` means now, without those that are leaving already."""
    return [n.node for n in TARGETS[target][1](now) if not n.leaving]
