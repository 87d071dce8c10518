"""Auto Scaling groups and their hooks."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.provision.table import Aws, Created, Inputs, creates
from spotkeeper_lab.provision.values import pascal

SETTINGS = ("capacityRebalance", "desiredCapacity", "maxSize", "minSize", "mixedInstancesPolicy")
CLIENT_SIDE = ("waitForCapacityTimeout", "forceDelete")
"""What Pulumi's provider itself does or does not wait for."""


@creates("aws:autoscaling/group:Group")
def group(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a group, whose first instances are launched at once."""
    client, group_name = aws.client("autoscaling"), given.take("name", name)
    given.take_all(*CLIENT_SIDE)
    arguments: dict[str, Any] = pascal(given.take_all(*SETTINGS))
    arguments["NewInstancesProtectedFromScaleIn"] = given.take("protectFromScaleIn", False)
    arguments["VPCZoneIdentifier"] = ",".join(given.take("vpcZoneIdentifiers", []))
    arguments["Tags"] = [
        {**pascal(tag), "ResourceId": group_name, "ResourceType": "auto-scaling-group"}
        for tag in given.take("tags", [])
    ]
    arguments["LifecycleHookSpecificationList"] = [_hook(hook) for hook in given.take("initialLifecycleHooks", [])]
    client.create_auto_scaling_group(AutoScalingGroupName=group_name, **arguments)
    if suspended := given.take("suspendedProcesses"):
        client.suspend_processes(AutoScalingGroupName=group_name, ScalingProcesses=suspended)
    made = client.describe_auto_scaling_groups(AutoScalingGroupNames=[group_name])["AutoScalingGroups"][0]
    return group_name, {
        "name": group_name,
        "arn": made["AutoScalingGroupARN"],
        "desiredCapacity": made["DesiredCapacity"],
    }


def _hook(hook: dict[str, Any]) -> dict[str, Any]:
    renamed = pascal(hook)
    renamed["LifecycleHookName"] = renamed.pop("Name")
    return renamed  # type: ignore[no-any-return]  # an object stays an object


@creates("aws:autoscaling/lifecycleHook:LifecycleHook")
def lifecycle_hook(aws: Aws, name: str, given: Inputs) -> Created:
    """Make a group wait for its leaving nodes."""
    hook_name, owner = given.take("name", name), given.take("autoscalingGroupName")
    settings = given.take_all("lifecycleTransition", "heartbeatTimeout", "defaultResult")
    arguments = _hook({"name": hook_name, **settings})
    aws.client("autoscaling").put_lifecycle_hook(AutoScalingGroupName=owner, **arguments)
    return hook_name, {"name": hook_name}
