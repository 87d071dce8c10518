"""The calls of the Auto Scaling API that moto lacks, checked against botocore's own model of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.model import OperationModel
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model

from spotkeeper_lab.local_aws.groups import AutoScaling

RESULTS = ("CONTINUE", "ABANDON")
_MOST_ACTIVITIES = 100


def check(operation: OperationModel, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the service's model does not allow: members, types, lengths, patterns.

    Raises:
        ValidationError: Naming the member, what it was and what is expected.
    """
    shape = operation.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(dict(parameters), shape)
    if report.has_errors():
        raise ValidationError(f"{operation.name}: {report.generate_report()}")
    for name, member in shape.members.items():
        value, metadata = parameters.get(name), member.metadata
        if isinstance(value, str) and "pattern" in metadata and not re.fullmatch(_plain(metadata["pattern"]), value):
            raise ValidationError(f"{operation.name}: {name} was {value!r}, expected a match of {metadata['pattern']}")
        if isinstance(value, str) and len(value) > metadata.get("max", len(value)):
            raise ValidationError(
                f"{operation.name}: {name} has {len(value)} characters, expected at most {metadata['max']}"
            )


def _plain(pattern: str) -> str:
    """Drop from a pattern the pairs of surrogates that Java writes for characters beyond the first 65,536."""
    return pattern.replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\U00010000-\U0010ffff")


class AutoScalingApi(AutoScalingResponse):
    """Answers one request; moto answers what is not here.

    Args:
        groups: the backend.
    """

    def __init__(self, groups: AutoScaling) -> None:
        super().__init__()
        self._groups = groups

    @property
    def autoscaling_backend(self) -> AutoScalingBackend:
        """The backend that moto's own answers use."""
        return self._groups

    def create_auto_scaling_group(self) -> ActionResult:
        """Create a group together with the hooks that come with it, so that its first instances have them."""
        answer = super().create_auto_scaling_group()
        name = self._get_param("AutoScalingGroupName")
        for hook in self._get_param("LifecycleHookSpecificationList", []):
            timeout, result = hook.get("HeartbeatTimeout"), hook.get("DefaultResult")
            transition = hook["LifecycleTransition"]
            self._groups.create_lifecycle_hook(hook["LifecycleHookName"], name, transition, timeout, result)
        return answer

    def delete_auto_scaling_group(self) -> ActionResult:
        """Delete a group; one that has instances only by force."""
        asked = self._checked("DeleteAutoScalingGroup")
        self._groups.delete_auto_scaling_group(asked["AutoScalingGroupName"], bool(asked.get("ForceDelete")))
        return EmptyResult()

    def complete_lifecycle_action(self) -> ActionResult:
        """Let an instance go on that waits for a hook."""
        asked = self._checked("CompleteLifecycleAction")
        result = asked["LifecycleActionResult"]
        if result not in RESULTS:
            raise ValidationError(f"LifecycleActionResult: was {result!r}, expected one of {', '.join(RESULTS)}")
        self._groups.complete_lifecycle_action(
            asked["AutoScalingGroupName"],
            asked["LifecycleHookName"],
            result,
            instance=asked.get("InstanceId"),
            token=asked.get("LifecycleActionToken"),
        )
        return EmptyResult()

    def record_lifecycle_action_heartbeat(self) -> ActionResult:
        """Let an instance wait longer for a hook."""
        asked = self._checked("RecordLifecycleActionHeartbeat")
        self._groups.record_lifecycle_action_heartbeat(
            asked["AutoScalingGroupName"],
            asked["LifecycleHookName"],
            instance=asked.get("InstanceId"),
            token=asked.get("LifecycleActionToken"),
        )
        return EmptyResult()

    def describe_scaling_activities(self) -> ActionResult:
        """Return activities, newest first, on one page."""
        asked = self._checked("DescribeScalingActivities")
        most = min(asked.get("MaxRecords") or _MOST_ACTIVITIES, _MOST_ACTIVITIES)
        found = self._groups.describe_scaling_activities(
            asked.get("AutoScalingGroupName"), asked.get("ActivityIds") or (), most
        )
        return ActionResult({"Activities": found})

    def _checked(self, operation: str) -> Mapping[str, Any]:
        asked = {name: value for name, value in self._get_params().items() if value is not None}
        check(get_service_model("autoscaling").operation_model(operation), asked)
        return asked
