"""What an Auto Scaling group does next: pure decisions about sizes, kinds and places."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.local_aws.market import ON_DEMAND, SPOT

PENDING, IN_SERVICE = "Pending", "InService"


@dataclass(frozen=True)
class Held:
    """One instance of a group."""

    id: str
    state: str
    protected: bool
    launched_at: float
    at_risk: bool = False
    """A rebalance recommendation was given for it, and the group rebalances its capacity."""


@dataclass(frozen=True)
class Plan:
    """What brings a group to its size."""

    launch: int = 0
    end: tuple[str, ...] = ()


def plan(desired: int, held: Sequence[Held]) -> Plan:
    """Return what brings a group that holds ``held`` to ``desired`` instances.

    Instances at risk are replaced before they end. Protected instances are never chosen, nor are those that have not
    started.
    """
    at_risk = [one for one in held if one.at_risk and one.state == IN_SERVICE]
    staying = [one for one in held if one.state in (PENDING, IN_SERVICE) and one not in at_risk]
    serving = [one for one in staying if one.state == IN_SERVICE]
    ends = [one.id for one in at_risk] if len(serving) >= desired else []
    open_to_end = sorted((one for one in serving if not one.protected), key=lambda one: one.launched_at)
    ends += [one.id for one in open_to_end[: max(0, len(staying) - desired)]]
    return Plan(launch=max(0, desired - len(staying)), end=tuple(ends))


def kinds(distribution: Mapping[str, Any], desired: int, on_demand: int, launch: int) -> Counter[str]:
    """Return how many of ``launch`` new instances are spot and how many on-demand.

    Args:
        distribution: the group's ``InstancesDistribution``; empty for a group without one, which is on-demand only.
        desired: the group's size.
        on_demand: on-demand instances that it has.
        launch: instances to launch.
    """
    base = int(distribution.get("OnDemandBaseCapacity", 0))
    percentage = int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    wanted = min(desired, base + math.ceil(max(0, desired - base) * percentage / 100))
    bought = max(0, min(launch, wanted - on_demand))
    return Counter({ON_DEMAND: bought, SPOT: launch - bought})


def emptiest(subnets: Sequence[str], used: Sequence[str]) -> str:
    """Return the subnet that is used least, the first of several."""
    counts = Counter(used)
    return min(subnets, key=lambda subnet: counts[subnet])
