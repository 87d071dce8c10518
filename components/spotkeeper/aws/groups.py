"""The two Auto Scaling groups of a fleet: one that is all spot, one that is all on-demand.

They are set up so that nothing but the responder (and the loss of a node) ever changes them: it owns both desired
sizes, no size that is written can choose a victim, and a deploy touches neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import HOOK, TAG_GROUP
from spotkeeper.aws.pools import Market, wants_accelerator
from spotkeeper.aws.tags import Tags
from spotkeeper.fleet import FleetPlan
from spotkeeper.naming import BACKUP, SPOT, group_name

SUSPENDED = ["AZRebalance", "InstanceRefresh"]
"""Processes that would end nodes which run the job."""
HOOK_LEAST, HOOK_MOST = 30, 7200
"""Seconds that EC2 takes for a hook. A node that needs longer sends heartbeats; a shorter wait it ends itself."""
_TEMPLATE_VERSION = "mixedInstancesPolicy.launchTemplate.launchTemplateSpecification.version"


@dataclass(frozen=True)
class GroupPlan:
    """What differs between the two groups."""

    kind: str
    size: int
    """Desired size at creation; from then on the responder's."""
    bound: int
    """Maximum size: a bound with room for nodes that are being replaced, not the target."""
    capacity_rebalance: bool = False


def plan_groups(plan: FleetPlan) -> tuple[GroupPlan, GroupPlan]:
    """Return the spot group and the backup group of a fleet.

    Both have the minimum 0, so that a finished job costs nothing; the backup's floor is the responder's to keep.
    """
    replace = plan.on_rebalance == "replace"
    return (
        GroupPlan(SPOT, plan.nodes - plan.base, 2 * plan.nodes, replace),
        GroupPlan(BACKUP, plan.base, 2 * plan.maximum),
    )


def ignored_changes(plan: FleetPlan) -> list[str]:
    """Return what a deploy leaves alone: desired size, hooks of creation, and a running fleet's template version."""
    ignored = ["desiredCapacity", "initialLifecycleHooks"]
    return [*ignored, _TEMPLATE_VERSION] if plan.on_update == "next-run" else ignored


def distribution(kind: str, strategy: str) -> aws.autoscaling.GroupMixedInstancesPolicyInstancesDistributionArgsDict:
    """Return how a group divides its instances: all of one kind, picked by strategy.

    On-demand nodes are not reclaimed, so the cheapest type with capacity is taken, unless the user gave an order.
    """
    if kind == SPOT:
        return {
            "on_demand_base_capacity": 0,
            "on_demand_percentage_above_base_capacity": 0,
            "spot_allocation_strategy": strategy,
        }
    prioritized = strategy == "capacity-optimized-prioritized"
    return {
        "on_demand_base_capacity": 0,
        "on_demand_percentage_above_base_capacity": 100,
        "on_demand_allocation_strategy": "prioritized" if prioritized else "lowest-price",
    }


def overrides(market: Market) -> list[aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateOverrideArgsDict]:
    """Return the instances that will do, as overrides of the launch template; none of them has a weight."""
    if market.requirements is None:
        return [{"instance_type": instance_type} for instance_type in market.types]
    wanted = market.requirements
    accelerators: dict[str, Any] = {"accelerator_count": {"max": 0}}
    if wants_accelerator(wanted):
        accelerators = {"accelerator_count": _range(wanted, "accelerator_count") or {"min": 1}}
        if wanted["accelerator_names"]:
            accelerators["accelerator_names"] = wanted["accelerator_names"]
        memory = _range(wanted, "accelerator_memory_gib", times=1024)
        if memory:
            accelerators["accelerator_total_memory_mib"] = memory
    return [
        {
            "instance_requirements": {
                "vcpu_count": _range(wanted, "vcpu"),
                "memory_mib": _range(wanted, "memory_gib", times=1024),
                **accelerators,  # type: ignore[typeddict-item]  # built right above
            }
        }
    ]


def group_tags(fleet_wide: Tags, fleet: str, kind: str) -> list[aws.autoscaling.GroupTagArgsDict]:
    """Return the tags of an Auto Scaling group, which it puts on its instances: the fleet's, and the group's kind."""
    name = f"{fleet}-{kind}" if fleet_wide["Name"] == fleet else fleet_wide["Name"]
    tags = {**fleet_wide, "Name": name, TAG_GROUP: kind}
    return [{"key": key, "value": value, "propagate_at_launch": True} for key, value in sorted(tags.items())]


def hook_timeout(hook_seconds: float) -> int:
    """Return the hook's own timeout, within what EC2 takes."""
    return min(max(math.ceil(hook_seconds), HOOK_LEAST), HOOK_MOST)


def training_group(
    name: str,
    this: GroupPlan,
    *,
    fleet: str,
    plan: FleetPlan,
    market: Market,
    template: aws.ec2.LaunchTemplate,
    subnet_ids: pulumi.Output[Sequence[str]],
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> aws.autoscaling.Group:
    """Make one group and its terminate hook.

    The hook is declared twice under one name: with the group, so that its first instances have it, and on its own, so
    that a changed timeout reaches it. The second one stays when the stack is destroyed, or nodes would go unsaved.
    """
    timeout = hook_timeout(plan.timings.hook_seconds)
    hook: aws.autoscaling.GroupInitialLifecycleHookArgsDict = {
        "name": HOOK,
        "lifecycle_transition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "heartbeat_timeout": timeout,
        "default_result": "CONTINUE",
    }
    policy: aws.autoscaling.GroupMixedInstancesPolicyArgsDict = {
        "instances_distribution": distribution(this.kind, market.strategy),
        "launch_template": {
            "launch_template_specification": {
                "launch_template_id": template.id,
                "version": template.latest_version.apply(lambda version: str(int(version))),
            },
            "overrides": overrides(market),
        },
    }
    group = aws.autoscaling.Group(
        f"{name}-{this.kind}",
        name=group_name(fleet, this.kind),
        min_size=0,
        max_size=this.bound,
        desired_capacity=this.size,
        vpc_zone_identifiers=subnet_ids,
        mixed_instances_policy=policy,
        capacity_rebalance=this.capacity_rebalance,
        suspended_processes=SUSPENDED,
        protect_from_scale_in=True,
        initial_lifecycle_hooks=[hook],
        wait_for_capacity_timeout="0",
        force_delete=plan.on_destroy == "force",
        tags=tags.apply(partial(group_tags, fleet=fleet, kind=this.kind)),
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                ignore_changes=ignored_changes(plan),
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{math.ceil(plan.timings.hook_seconds) + 1800}s"),
            ),
        ),
    )
    aws.autoscaling.LifecycleHook(
        f"{name}-{this.kind}-hook",
        name=HOOK,
        autoscaling_group_name=group.name,
        lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
        heartbeat_timeout=timeout,
        default_result="CONTINUE",
        opts=pulumi.ResourceOptions(parent=opts.parent, retain_on_delete=True),
    )
    return group


def _range(wanted: Any, stem: str, times: int = 1) -> dict[str, int]:
    bounds = {"min": wanted.get(f"{stem}_min"), "max": wanted.get(f"{stem}_max")}
    return {key: value * times for key, value in bounds.items() if value is not None}
