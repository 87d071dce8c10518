"""The two managed instance groups of a fleet: one that is all spot, one that is all on-demand.

They are set up so that nothing but the responder (and the loss of a node) ever changes them: it owns both sizes, and a
deploy touches neither. The spot group replaces what is preempted by itself, in whatever zone has capacity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from spotkeeper.fleet import FleetPlan
from spotkeeper.gcp.market import Market
from spotkeeper.gcp.naming import Place
from spotkeeper.naming import BACKUP, SPOT, group_name


@dataclass(frozen=True)
class GroupPlan:
    """What differs between the two groups."""

    kind: str
    size: int
    """Size at creation; from then on the responder's."""


def plan_groups(plan: FleetPlan) -> tuple[GroupPlan, GroupPlan]:
    """Return the spot group and the backup group of a fleet."""
    return GroupPlan(SPOT, plan.nodes - plan.base), GroupPlan(BACKUP, plan.base)


def ignored_changes(plan: FleetPlan) -> list[str]:
    """Return what a deploy leaves alone: size, zones (others would be another group), and a running fleet's version."""
    ignored = ["targetSize", "distributionPolicyZones"]
    return [*ignored, "versions"] if plan.on_update == "next-run" else ignored


def flexibility(market: Market) -> gcp.compute.RegionInstanceGroupManagerInstanceFlexibilityPolicyArgsDict | None:
    """Return how a group picks among several machine types: whichever has capacity, or in the user's order."""
    if len(market.types) == 1:
        return None
    if not market.prioritized:
        return {"instance_selections": [{"name": "any", "rank": 1, "machine_types": list(market.types)}]}
    return {
        "instance_selections": [
            {"name": f"rank-{rank}", "rank": rank, "machine_types": [machine_type]}
            for rank, machine_type in enumerate(market.types, 1)
        ]
    }


def training_group(
    name: str,
    this: GroupPlan,
    *,
    fleet: str,
    plan: FleetPlan,
    market: Market,
    place: pulumi.Output[Place],
    template: gcp.compute.RegionInstanceTemplate,
    zones: pulumi.Output[Sequence[str]],
    opts: pulumi.ResourceOptions,
) -> gcp.compute.RegionInstanceGroupManager:
    """Make one group. A replacement of it has its name, so that the old one has to go first."""
    return gcp.compute.RegionInstanceGroupManager(
        f"{name}-{this.kind}",
        name=group_name(fleet, this.kind),
        base_instance_name=group_name(fleet, this.kind),
        description=f"Spotkeeper fleet {fleet}, {this.kind}",
        region=place.region,
        versions=[{"instance_template": template.self_link}],
        target_size=this.size,
        distribution_policy_target_shape=market.shape,
        distribution_policy_zones=zones,
        instance_flexibility_policy=flexibility(market),
        instance_lifecycle_policy={
            "default_action_on_failure": "REPAIR",
            "force_update_on_repair": "NO" if plan.on_update == "next-run" else "YES",
            "on_repair": {"allow_changing_zone": "YES"},
        },
        update_policy={
            "type": "OPPORTUNISTIC",
            "minimal_action": "REPLACE",
            "replacement_method": "SUBSTITUTE",
            "instance_redistribution_type": "NONE",
            # Nothing is ever updated by the group; the API wants one of these, and not fewer than zones.
            "max_surge_fixed": 0,
            "max_unavailable_fixed": zones.apply(len),
        },
        list_managed_instances_results="PAGINATED",
        wait_for_instances=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                ignore_changes=ignored_changes(plan),
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{math.ceil(plan.timings.hook_seconds) + 1800}s"),
            ),
        ),
    )
