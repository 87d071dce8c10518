"""Launches: from a wish for more instances to instances that are in service, or to a refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from moto.core.types import Base64EncodedString
from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.utils import parse_user_data

from spotkeeper_lab.local.timers import Timer
from spotkeeper_lab.local_aws.activities import FAILED, Activities, Activity
from spotkeeper_lab.local_aws.machines import Machines
from spotkeeper_lab.local_aws.market import MESSAGES, ON_DEMAND, SPOT, SpotMarket
from spotkeeper_lab.local_aws.moto_group import Group, Member
from spotkeeper_lab.local_aws.planning import IN_SERVICE, PENDING, emptiest, kinds
from spotkeeper_lab.local_aws.world import World, iso

Again = Callable[[str, float], Timer]
"""Looks at the group of a name again in so many seconds."""


class Launches:
    """Launches instances for groups."""

    def __init__(
        self,
        world: World,
        market: SpotMarket,
        activities: Activities,
        machines: Machines,
        ec2: EC2Backend,
        again: Again,
    ) -> None:
        self._world = world
        self._market = market
        self._activities = activities
        self._machines = machines
        self._ec2 = ec2
        self._again = again
        self._retries: dict[str, Timer] = {}

    def launch(self, group: Group, count: int) -> None:
        """Launch ``count`` instances, as far as the market grants them; what it refuses is tried again later."""
        if retry := self._retries.pop(group.name, None):
            retry.cancel()
        on_demand = sum(member.instance.lifecycle is None for member in group.members if not member.leaving)
        wanted = kinds(group.distribution, int(group.desired_capacity or 0), on_demand, count)
        answer = self._market.ask(wanted[SPOT], self._running_spot())
        for kind in (ON_DEMAND,) * wanted[ON_DEMAND] + (SPOT,) * answer.granted:
            self._launch(group, kind)
        if answer.refusal:
            self._refuse(group, answer.refusal)
            self._retries[group.name] = self._again(group.name, self._world.timing.replace_delay_seconds)

    def _running_spot(self) -> int:
        return sum(one.lifecycle == SPOT and one.state in ("pending", "running") for one in self._ec2.all_instances())

    def _refuse(self, group: Group, refusal: str) -> None:
        subnet = self._next_subnet(group)
        zone = str(self._ec2.get_subnet(subnet).availability_zone)
        activity = self._begin(group, "Launching a new EC2 instance", subnet, zone, message=MESSAGES[refusal])
        self._activities.finish(activity, "EC2 Instance Launch Unsuccessful", FAILED)
        self._world.events.add("launch-refused", **group.labels, kind=refusal)

    def _launch(self, group: Group, kind: str) -> None:
        version = group.version
        specifications = version.data.get("TagSpecifications", [])
        volume_tags = {
            tag["Key"]: tag["Value"] for one in specifications if one["ResourceType"] == "volume" for tag in one["Tags"]
        }
        subnet = self._next_subnet(group)
        (instance,) = self._ec2.run_instances(
            version.image_id,
            1,
            _user_data(version),
            version.security_groups,
            instance_type=group.new_type,
            is_instance_type_default=False,
            launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
            subnet_id=subnet,
            tags={
                "instance": {**group.get_propagated_tags(), "aws:autoscaling:groupName": group.name},
                "volume": volume_tags,
            },
        ).instances
        instance.lifecycle = SPOT if kind == SPOT else None
        instance.instance_state.name, instance.instance_state.code = "pending", 0
        zone = str(instance.availability_zone)
        self._begin(group, f"Launching a new EC2 instance: {instance.id}", subnet, zone, instance=instance.id)
        member = Member(instance, group, version, time.time())
        group.instance_states.append(member)
        self._machines.add(instance, version)
        facts = {**group.labels, "lifecycle": kind, "zone": zone, "version": str(version.number)}
        self._world.events.add("instance-launched", instance.id, **facts)
        self._world.timers.after(self._world.timing.boot_seconds, partial(self._in_service, member))

    def _begin(
        self, group: Group, description: str, subnet: str, zone: str, *, instance: str = "", message: str = ""
    ) -> Activity:
        now, live = time.time(), sum(not member.leaving for member in group.members)
        reason = "in response to a difference between desired and actual capacity"
        change = f"increasing the capacity from {live} to {live + 1}"
        activity = Activity(
            group=group.name,
            group_arn=group.arn,
            description=description,
            cause=f"At {iso(now)} an instance was started {reason}, {change}.",
            started_at=now,
            zone=zone,
            subnet=subnet,
            instance=instance,
            message=message,
        )
        return self._activities.begin(activity)

    def _next_subnet(self, group: Group) -> str:
        return emptiest(group.subnets, [str(member.instance.subnet_id) for member in group.members])

    def _in_service(self, member: Member) -> None:
        with self._world.lock:
            if member.lifecycle_state != PENDING or member.instance.state != "pending":
                return  # ended, or taken back, before it was there
            member.lifecycle_state = IN_SERVICE
            member.instance.instance_state.name, member.instance.instance_state.code = "running", 16
            self._machines.start(member.instance_id)
            launch = self._activities.of_instance(member.group.name, member.instance_id)
            self._activities.finish(launch, "EC2 Instance Launch Successful")
            self._again(member.group.name, 0.0)


def _user_data(version: LaunchTemplateVersion) -> Base64EncodedString | None:
    """Return a template's user data, also of its later versions, where moto leaves it as plain text."""
    data = version.data.get("UserData")
    return data if isinstance(data, Base64EncodedString) else parse_user_data(data)
