"""moto's Auto Scaling group, less what moto does at once and wrongly: sizes are only wishes here."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion

from spotkeeper_lab.local_aws.planning import PENDING, Held

FLEET_TAG, GROUP_TAG = "spotkeeper:fleet", "spotkeeper:group"


class Member(InstanceState):
    """An instance of a group, from its launch until the group forgets it."""

    def __init__(
        self, instance: Instance, group: FakeAutoScalingGroup, template: LaunchTemplateVersion, launched_at: float
    ) -> None:
        protected = group.new_instances_protected_from_scale_in
        super().__init__(instance, lifecycle_state=PENDING, protected_from_scale_in=protected, autoscaling_group=group)
        self._template = template
        self.launched_at = launched_at
        self.at_risk = False

    @property
    def group(self) -> Group:
        """The group that it belongs to."""
        return cast(Group, self.auto_scaling_group)

    @property
    def launch_template(self) -> dict[str, Any] | None:
        """The version that it was launched from (moto tells the template's default)."""
        template = self._template.template
        return {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Version": str(self._template.number),
        }

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out."""
        return self.lifecycle_state.startswith("Terminating")

    def held(self) -> Held:
        """Return what planning needs to know of it."""
        return Held(
            self.instance_id, self.lifecycle_state, bool(self.protected_from_scale_in), self.launched_at, self.at_risk
        )


class Group(FakeAutoScalingGroup):
    """A group that tells its backend of a new size and launches or ends nothing by itself."""

    deleting = False
    """Whether it goes with the last of its instances."""

    def set_desired_capacity(self, new_capacity: int | None) -> None:
        """Remember the size that is wished for (default: the group's minimum)."""
        before = self.desired_capacity
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        self.autoscaling_backend.wished(self, before)  # type: ignore[attr-defined]  # only our backend makes such groups

    def update(self, *arguments: Any, **changes: Any) -> None:
        """Change what is given; moto also drops what of a mixed-instances policy is not given."""
        if self.mixed_instances_policy and not changes.get("launch_template"):
            policy = copy.deepcopy({**self.mixed_instances_policy, **(changes.get("mixed_instances_policy") or {})})
            specification = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
            if "LaunchTemplateId" in specification:
                specification.pop("LaunchTemplateName", None)  # moto keeps both, and takes one
            changes["mixed_instances_policy"] = policy
        super().update(*arguments, **changes)

    @property
    def members(self) -> list[Member]:
        """All instances that the group knows."""
        return cast(list[Member], self.instance_states)

    @property
    def distribution(self) -> Mapping[str, Any]:
        """The ``InstancesDistribution`` of its mixed-instances policy, empty where it has none."""
        distribution: Mapping[str, Any] = (self.mixed_instances_policy or {}).get("InstancesDistribution", {})
        return distribution

    @property
    def version(self) -> LaunchTemplateVersion:
        """The version of the launch template that new instances start from."""
        if self.ec2_launch_template is None:
            raise NotImplementedError(
                f"group {self.name}: has no launch template, expected one (launch configurations start no node here)"
            )
        return self.ec2_launch_template.get_version(self.launch_template_version)

    @property
    def new_type(self) -> str:
        """The instance type of new instances: the policy's first, else the template's."""
        overrides = (self.mixed_instances_policy or {}).get("LaunchTemplate", {}).get("Overrides") or []
        named = [override["InstanceType"] for override in overrides if override.get("InstanceType")]
        return str(named[0] if named else self.version.instance_type or "m5.large")

    @property
    def subnets(self) -> list[str]:
        """The subnets that it launches in."""
        return (self.vpc_zone_identifier or "").split(",")

    @property
    def labels(self) -> Mapping[str, str]:
        """What moments say about the group: which of the two it is, and whose."""
        tags = {tag["Key"]: tag["Value"] for tag in self.tags}
        return {"group": tags.get(GROUP_TAG, ""), "fleet": tags.get(FLEET_TAG, "")}
