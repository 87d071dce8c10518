"""Auto Scaling groups and their hooks."""

from __future__ import annotations

import time
from typing import Any

from spotkeeper_lab.provision.aws.account import Aws, creates, deletes, updates
from spotkeeper_lab.provision.aws.spelling import pascal
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs

SETTINGS = ("capacityRebalance", "desiredCapacity", "maxSize", "minSize", "mixedInstancesPolicy")
CHANGEABLE = ("capacityRebalance", "maxSize", "mixedInstancesPolicy")
CLIENT_SIDE = ("waitForCapacityTimeout", "forceDelete")
"""What Pulumi's provider itself does or does not wait for."""
LOOK_SECONDS = 0.1
"""Between two looks whether a group is empty, or gone."""
PROTECTED_AT_ONCE = 50
"""Most instances whose protection one call changes."""


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


@updates("aws:autoscaling/group:Group", *CHANGEABLE, *CLIENT_SIDE)
def changed_group(aws: Aws, change: Change) -> dict[str, Any]:
    """Change what is declared of a group; its desired size is not."""
    settings = {name: change.inputs[name] for name in CHANGEABLE if name in change.names}
    if settings:
        aws.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=change.before.id,
            NewInstancesProtectedFromScaleIn=change.inputs.get("protectFromScaleIn", False),
            **pascal(settings),
        )
    return {}


@deletes("aws:autoscaling/group:Group")
def no_group(aws: Aws, resource: Resource) -> None:
    """Delete a group as the provider does (``internal/service/autoscaling/group.go``).

    Unless it is forced, the group is emptied first: sizes go to zero, every instance loses its protection, and each
    leaves through the terminate hook. What a program has said about timeouts is not heeded: a hook's is shorter.
    """
    client, name, force = aws.client("autoscaling"), resource.id, bool(resource.inputs.get("forceDelete"))
    if not force:
        client.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        instances = [each["InstanceId"] for each in _instances(client, name) or []]
        for first in range(0, len(instances), PROTECTED_AT_ONCE):
            client.set_instance_protection(
                AutoScalingGroupName=name,
                InstanceIds=instances[first : first + PROTECTED_AT_ONCE],
                ProtectedFromScaleIn=False,
            )
        while _instances(client, name):
            time.sleep(LOOK_SECONDS)
    client.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=force)
    while _instances(client, name) is not None:
        time.sleep(LOOK_SECONDS)


def _instances(client: Any, name: str) -> list[dict[str, Any]] | None:
    """The instances of a group; ``None`` where there is no such group any more."""
    found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return list(found[0]["Instances"]) if found else None


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
