"""What Auto Scaling does and moto does not.

moto keeps groups, hooks, tags, policies and templates, and answers the API. One subclass of its group
(``moto_group.py``), one of its API (``autoscaling_api.py``) and one of its backend (here) stand in for the rest, which
``planning.py``, ``launches.py`` and ``departures.py`` do:

- sizes are wishes: launches and terminations follow a call, they are not part of it; a size out of the group's bounds
  is refused;
- launches ask the spot market; a refused one becomes a failed activity and an event, and is tried again after
  ``replace_delay_seconds``;
- spot or on-demand as the group's distribution says, in the subnet that has the fewest of the group, from the group's
  own template version;
- ``Pending`` for ``boot_seconds``, then ``InService``; the events Launch Successful, Launch Unsuccessful and Terminate
  Successful;
- terminate hooks: ``Terminating:Wait``, the lifecycle event, heartbeats, completion, the hook's timeout; hooks given
  with a new group;
- a lost instance is found by the health check after ``replace_delay_seconds`` and replaced;
- a smaller size ends the oldest instances that are not protected, through the hook; protection can be taken away;
- a group with instances cannot be deleted, unless it is forced: then they end at once, and it is gone after the last;
- capacity rebalancing: a replacement first, then the instance at risk goes through the hook;
- ``DescribeScalingActivities``.

Not done: launch hooks, warm pools, instance refresh, scaling policies and schedules, suspended processes, balancing of
zones, weights, allocation strategies (the first instance type of the policy is taken, the template's where it gives
requirements only), health checks other than a lost instance, and the hook for an instance that was reclaimed, which is
gone by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup

from spotkeeper_lab.local.timers import Timer
from spotkeeper_lab.local_aws.activities import Activities
from spotkeeper_lab.local_aws.departures import Departures
from spotkeeper_lab.local_aws.events import EventBus
from spotkeeper_lab.local_aws.launches import Launches
from spotkeeper_lab.local_aws.machines import Machines
from spotkeeper_lab.local_aws.market import SpotMarket
from spotkeeper_lab.local_aws.moto_group import Group, Member
from spotkeeper_lab.local_aws.planning import plan
from spotkeeper_lab.local_aws.world import World

NAMED, CHOSEN, REBALANCED, FORCED = "named", "chosen", "rebalanced", "forced"
"""Why an instance leaves its group: somebody named it; the group had too many and chose it; it is at risk and was
replaced; the group is deleted with all that is in it."""


class ResourceInUse(AutoscalingClientError):
    """A group that is to be deleted has instances."""

    code = "ResourceInUse"
    message = (
        "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in "
        "the group."
    )


class AutoScaling(AutoScalingBackend):
    """moto's backend with launches, departures and events of its own. Called under the world's lock."""

    def __init__(self, world: World, market: SpotMarket, bus: EventBus, machines: Machines) -> None:
        super().__init__(world.region, world.account)
        self._world = world
        self._activities = Activities(world, bus)
        self._launches = Launches(world, market, self._activities, machines, self.ec2_backend, self._again)
        self._departures = Departures(world, bus, self._activities, machines, self.ec2_backend, self._forget)
        self._machines = machines

    # What the API calls.

    def create_auto_scaling_group(self, *arguments: Any, **settings: Any) -> FakeAutoScalingGroup:
        """Create a group; its instances follow."""
        name, least, most = settings["name"], int(settings["min_size"]), int(settings["max_size"])
        desired = least if settings["desired_capacity"] is None else int(settings["desired_capacity"])
        if name in self.autoscaling_groups:
            raise ValidationError(
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            )
        if not least <= desired <= most:
            bounds = f"the specified min size:{least} and max size:{most}"
            raise ValidationError(f"Desired capacity:{desired} must be between {bounds}")
        group = super().create_auto_scaling_group(*arguments, **{**settings, "desired_capacity": 0})
        # moto names the class where it makes one. Its base has abstract methods that nobody needs.
        group.__class__ = Group  # type: ignore[type-abstract]  # see above
        group.desired_capacity = None
        group.set_desired_capacity(desired)
        return group

    def set_desired_capacity(self, group_name: str, desired_capacity: int | None) -> None:
        """Wish for another size, within the group's bounds."""
        group, wanted = self._group(group_name), int(desired_capacity or 0)
        for name, bound, broken in (
            ("above max", group.max_size, wanted > int(group.max_size or 0)),
            ("below min", group.min_size, wanted < int(group.min_size or 0)),
        ):
            if broken:
                said = f"New SetDesiredCapacity value {wanted} is {name} value {bound} for the AutoScalingGroup."
                raise ValidationError(said)
        group.set_desired_capacity(wanted)

    def terminate_instance(self, instance_id: str, should_decrement: bool) -> Any:
        """End a named instance, protected or not; return the activity as the API does."""
        member = self._member(instance_id)
        if member is None:
            raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
        group = member.group
        if not member.leaving:
            desired = int(group.desired_capacity or 0)
            if should_decrement and desired <= int(group.min_size or 0):
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without "
                    "replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity "
                    "flag to false or lower group's min size."
                )
            self._leave(member, "a user request", NAMED)
            group.set_desired_capacity(desired - 1 if should_decrement else desired)
        return self._activities.of_instance(group.name, instance_id).described()

    def delete_auto_scaling_group(self, group_name: str, force: bool = False) -> None:
        """Delete an empty group; with ``force`` any: its instances end at once, past their hooks, and it with them."""
        group = self._group(group_name)
        if group.members and not force:
            raise ResourceInUse
        group.deleting = True
        for member in group.members:
            self._world.events.add("leaving", member.instance_id, why=FORCED)
            self._departures.end(member)
        self._gone_if_empty(group)

    def set_instance_protection(
        self, group_name: str, instance_ids: list[str], protected_from_scale_in: bool | None
    ) -> None:
        """Protect instances from scale-in, or no longer: then those that are too many go."""
        super().set_instance_protection(group_name, instance_ids, protected_from_scale_in)
        self._again(group_name)

    def notify_terminate_instances(self, instance_ids: list[str]) -> None:
        """Somebody ended instances behind the groups' back."""
        for instance_id in instance_ids:
            if self._member(instance_id) is not None:
                self._machines.stop(instance_id, lambda: None)
                self._world.events.add("terminated", instance_id)
                self.lost(instance_id)

    def complete_lifecycle_action(
        self, group: str, hook: str, result: str, *, instance: str | None, token: str | None
    ) -> None:
        """Let an instance go on that waits for a hook."""
        self._departures.complete(self._group(group).name, hook, result, instance=instance, token=token)

    def record_lifecycle_action_heartbeat(
        self, group: str, hook: str, *, instance: str | None, token: str | None
    ) -> None:
        """Let an instance wait longer for a hook."""
        self._departures.heartbeat(self._group(group).name, hook, instance=instance, token=token)

    def describe_scaling_activities(self, group: str | None, ids: Sequence[str], most: int) -> list[Mapping[str, Any]]:
        """Return activities, newest first."""
        return self._activities.describe(group, ids, most)

    # What the rest of the local cloud calls.

    def wished(self, group: Group, before: int | None) -> None:
        """A group has a size, which may be a new one."""
        if group.desired_capacity != before:
            self._world.events.add("desired-changed", **group.labels, name=group.name, desired=group.desired_capacity)
        self._again(group.name)

    def lost(self, instance_id: str) -> None:
        """An instance is gone without its group's doing."""
        if (member := self._member(instance_id)) is not None:
            self._departures.lost(member)

    def at_risk(self, instance_id: str) -> None:
        """A rebalance recommendation was given for an instance."""
        member = self._member(instance_id)
        if member is not None and member.group.capacity_rebalance:
            member.at_risk = True
            self._again(member.group.name)

    # What follows from it.

    def _again(self, name: str, seconds: float = 0.0) -> Timer:
        return self._world.timers.after(seconds, partial(self._reconcile, name))

    def _reconcile(self, name: str) -> None:
        with self._world.lock:
            if name in self.autoscaling_groups and not self._group(name).deleting:
                group = self._group(name)
                todo = plan(int(group.desired_capacity or 0), [member.held() for member in group.members])
                for member in [member for member in group.members if member.instance_id in todo.end]:
                    why = REBALANCED if member.at_risk else CHOSEN
                    self._leave(member, "a difference between desired and actual capacity", why)
                self._launches.launch(group, todo.launch)

    def _leave(self, member: Member, reason: str, why: str) -> None:
        self._world.events.add("leaving", member.instance_id, why=why)
        self._departures.leave(member, reason, self.describe_lifecycle_hooks(member.group.name))

    def _forget(self, member: Member) -> None:
        member.group.instance_states.remove(member)
        self._gone_if_empty(member.group)
        self._again(member.group.name)

    def _gone_if_empty(self, group: Group) -> None:
        if group.deleting and not group.members:
            self.autoscaling_groups.pop(group.name, None)

    def _group(self, name: str) -> Group:
        if name not in self.autoscaling_groups:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return cast(Group, self.autoscaling_groups[name])

    def _member(self, instance_id: str) -> Member | None:
        members = (member for name in self.autoscaling_groups for member in self._group(name).members)
        return next((member for member in members if member.instance_id == instance_id), None)
