"""Departures: instances that leave a group, through its terminate hooks if any, until the group forgets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from moto.autoscaling.models import LifecycleHook
from moto.ec2.models import EC2Backend

from spotkeeper_lab.local_aws.activities import Activities, Activity
from spotkeeper_lab.local_aws.events import EventBus
from spotkeeper_lab.local_aws.lifecycle import TERMINATING, LifecycleAction, LifecycleActions
from spotkeeper_lab.local_aws.machines import Machines
from spotkeeper_lab.local_aws.moto_group import Member
from spotkeeper_lab.local_aws.planning import IN_SERVICE
from spotkeeper_lab.local_aws.world import World, iso

_HEALTH_CHECK = "an EC2 health check indicating it has been terminated or stopped"


class Departures:
    """Ends instances of groups. Called under the world's lock.

    Args:
        forgotten: is told of an instance that its group has to forget.
    """

    def __init__(
        self,
        world: World,
        bus: EventBus,
        activities: Activities,
        machines: Machines,
        ec2: EC2Backend,
        forgotten: Callable[[Member], None],
    ) -> None:
        self._world = world
        self._bus = bus
        self._activities = activities
        self._machines = machines
        self._ec2 = ec2
        self._forgotten = forgotten
        self._actions = LifecycleActions()
        self._waiting: dict[str, Member] = {}

    def leave(self, member: Member, reason: str, hooks: Sequence[LifecycleHook]) -> None:
        """Let an instance go, after the hooks if it is in service."""
        activity = self._begin(member, reason)
        waits = [
            hook for hook in hooks if hook.lifecycle_transition == TERMINATING and member.lifecycle_state == IN_SERVICE
        ]
        for hook in waits:
            self._wait(member, hook)
        if waits:
            self._activities.wait(activity)
        else:
            self.end(member)

    def complete(self, group: str, hook: str, result: str, *, instance: str | None, token: str | None) -> None:
        """Complete a lifecycle action; a terminating instance goes with either result."""
        action = self._actions.find(group, hook, instance=instance, token=token)
        self._world.events.add("lifecycle-completed", action.instance, hook=hook, result=result)
        if self._actions.end(action):
            self.end(self._waiting.pop(action.instance))

    def heartbeat(self, group: str, hook: str, *, instance: str | None, token: str | None) -> None:
        """Start the timeout of a lifecycle action again."""
        self._actions.heartbeat(self._actions.find(group, hook, instance=instance, token=token), time.monotonic())

    def end(self, member: Member) -> None:
        """Shut an instance down, whatever waits for it."""
        self._actions.forget(member.instance_id)
        member.lifecycle_state = "Terminating:Proceed"
        self._machines.stop(member.instance_id, partial(self._ended, member))

    def lost(self, member: Member) -> None:
        """An instance is gone without the group's doing; the health check finds out later."""
        self._actions.forget(member.instance_id)
        self._world.timers.after(self._world.timing.replace_delay_seconds, partial(self._found_lost, member))

    def _wait(self, member: Member, hook: LifecycleHook) -> None:
        member.lifecycle_state = "Terminating:Wait"
        self._waiting[member.instance_id] = member
        self._machines.target_state(member.instance_id, "Terminated")
        timeout = float(hook.heartbeat_timeout)
        action = self._actions.begin(member.group.name, hook.name, member.instance_id, timeout, time.monotonic())
        self._world.events.add(
            "lifecycle-wait", member.instance_id, **member.group.labels, hook=hook.name, timeout=timeout
        )
        detail = {
            "LifecycleActionToken": action.token,
            "AutoScalingGroupName": member.group.name,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": member.instance_id,
            "LifecycleTransition": TERMINATING,
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        }
        self._bus.send("EC2 Instance-terminate Lifecycle Action", "aws.autoscaling", detail, [member.group.arn])
        self._world.timers.after(timeout, partial(self._time_out, action, hook.default_result))

    def _time_out(self, action: LifecycleAction, result: str) -> None:
        with self._world.lock:
            left = self._actions.seconds_left(action.token, time.monotonic())
            if left:
                self._world.timers.after(left, partial(self._time_out, action, result))
            elif left is not None:
                self.complete(action.group, action.hook, f"{result} (timeout)", instance=None, token=action.token)

    def _ended(self, member: Member) -> None:
        with self._world.lock:
            if member.instance.state != "terminated":  # else it was taken back meanwhile
                self._ec2.terminate_instances([member.instance_id])
                self._world.events.add("terminated", member.instance_id)
            self._finish(member)

    def _found_lost(self, member: Member) -> None:
        with self._world.lock:
            if not member.leaving:
                self._begin(member, _HEALTH_CHECK)
            self._finish(member)

    def _begin(self, member: Member, reason: str) -> Activity:
        now, instance = time.time(), member.instance
        activity = Activity(
            group=member.group.name,
            group_arn=member.group.arn,
            description=f"Terminating EC2 instance: {instance.id}",
            cause=f"At {iso(now)} instance {instance.id} was taken out of service in response to {reason}.",
            started_at=now,
            zone=str(instance.availability_zone),
            subnet=str(instance.subnet_id),
            instance=instance.id,
        )
        return self._activities.begin(activity)

    def _finish(self, member: Member) -> None:
        self._waiting.pop(member.instance_id, None)
        if member not in member.group.members:
            return  # the group, or the health check, was faster
        end = self._activities.of_instance(member.group.name, member.instance_id)
        self._activities.finish(end, "EC2 Instance Terminate Successful")
        self._forgotten(member)
