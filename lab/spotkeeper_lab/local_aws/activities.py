"""Scaling activities: what Auto Scaling writes down about launches and terminations, and its events about them.

Sources: Amazon EC2 Auto Scaling API Reference, ``Activity``; User Guide, "Amazon EC2 Auto Scaling event reference".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from spotkeeper_lab.local_aws.events import EventBus
from spotkeeper_lab.local_aws.world import World, iso

IN_PROGRESS, WAITING, SUCCESSFUL, FAILED = "InProgress", "MidTerminatingLifecycleAction", "Successful", "Failed"

_KEPT = 1000
"""Activities kept of one group; AWS keeps six weeks of them."""


@dataclass(frozen=True)
class Activity:
    """One activity of one group."""

    group: str
    group_arn: str
    description: str
    cause: str
    started_at: float
    zone: str = ""
    subnet: str = ""
    instance: str = ""
    """Empty for a launch that was refused."""
    status: str = IN_PROGRESS
    message: str = ""
    ended_at: float | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def described(self) -> Mapping[str, Any]:
        """Return it as ``DescribeScalingActivities`` does."""
        details = f'{{"Subnet ID":"{self.subnet}","Availability Zone":"{self.zone}"}}'
        facts = {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "AutoScalingGroupARN": self.group_arn,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": datetime.fromtimestamp(self.started_at, UTC),
            "StatusCode": self.status,
            "Progress": 50 if self.status in (IN_PROGRESS, WAITING) else 100,
            "Details": details,
        }
        if self.message:
            facts["StatusMessage"] = self.message
        if self.ended_at is not None:
            facts["EndTime"] = datetime.fromtimestamp(self.ended_at, UTC)
        return facts

    def event_detail(self, origin: str, destination: str) -> Mapping[str, Any]:
        """Return the ``detail`` of its event. In events a success is still called ``InProgress``, as on AWS."""
        return {
            "Origin": origin,
            "Destination": destination,
            "Description": self.description,
            "EndTime": iso(self.ended_at or self.started_at),
            "RequestId": self.id,
            "ActivityId": self.id,
            "StartTime": iso(self.started_at),
            "EC2InstanceId": self.instance,
            "StatusCode": FAILED if self.status == FAILED else IN_PROGRESS,
            "StatusMessage": self.message,
            "Details": {"Subnet ID": self.subnet, "Availability Zone": self.zone},
            "Cause": self.cause,
            "AutoScalingGroupName": self.group,
        }


class Activities:
    """The activities of all groups, newest first. Touched under the world's lock only."""

    def __init__(self, world: World, bus: EventBus) -> None:
        self._world = world
        self._bus = bus
        self._by_group: dict[str, list[Activity]] = {}

    def begin(self, activity: Activity) -> Activity:
        """Write one down."""
        kept = self._by_group.setdefault(activity.group, [])
        kept.insert(0, activity)
        del kept[_KEPT:]
        return activity

    def wait(self, activity: Activity) -> None:
        """An activity waits for a lifecycle hook."""
        self._change(replace(activity, status=WAITING))

    def finish(self, activity: Activity, event: str, status: str = SUCCESSFUL) -> None:
        """Write down how an activity ended, and send the event of that name about it."""
        finished = replace(activity, status=status, ended_at=time.time())
        self._change(finished)
        ends = ("AutoScalingGroup", "EC2") if "Terminate" in event else ("EC2", "AutoScalingGroup")
        resources = [activity.group_arn, self._world.arn("ec2", f"instance/{activity.instance}")]
        self._bus.send(event, "aws.autoscaling", finished.event_detail(*ends), resources)

    def of_instance(self, group: str, instance: str) -> Activity:
        """Return the newest activity about an instance. There is one for every instance of a group."""
        return next(known for known in self._by_group[group] if known.instance == instance)

    def describe(self, group: str | None, ids: Collection[str], most: int) -> list[Mapping[str, Any]]:
        """Return at most ``most`` of them as the API does.

        Args:
            group: whose; default all groups'.
            ids: which; default all.
            most: how many.
        """
        groups = [self._by_group.get(group, [])] if group else list(self._by_group.values())
        found = [known for kept in groups for known in kept if not ids or known.id in ids]
        return [known.described() for known in sorted(found, key=lambda known: known.started_at, reverse=True)[:most]]

    def _change(self, activity: Activity) -> None:
        kept = self._by_group[activity.group]
        kept[:] = [activity if known.id == activity.id else known for known in kept]
