from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws_support import cloud, group, launched
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def unchecked(aws: LocalAws) -> Iterator[Any]:
    """A client that sends whatever it is given, as an agent without boto3 might."""
    keys = {"aws_access_key_id": "AKIALAB0000000000000", "aws_secret_access_key": "x", "region_name": aws.region}
    client = boto3.client("autoscaling", endpoint_url=aws.endpoint, config=Config(parameter_validation=False), **keys)
    yield client
    client.close()


GOOD = {"AutoScalingGroupName": "group", "LifecycleHookName": "hook", "InstanceId": "i-0123456789abcdef0"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"LifecycleHookName": None}, "Missing required parameter in input: LifecycleHookName"),
        ({"LifecycleHookName": "no spaces allowed"}, "LifecycleHookName was 'no spaces allowed', expected a match of"),
        ({"LifecycleHookName": ""}, "Invalid length for parameter LifecycleHookName"),
        ({"LifecycleActionToken": "short"}, "Invalid length for parameter LifecycleActionToken"),
        ({"LifecycleActionToken": "x" * 37}, "LifecycleActionToken has 37 characters, expected at most 36"),
        ({"InstanceId": "i-0123456789abcdef0000"}, "InstanceId has 22 characters, expected at most 19"),
    ],
)
@pytest.mark.parametrize("operation", ["complete_lifecycle_action", "record_lifecycle_action_heartbeat"])
def test_what_the_service_model_does_not_allow_is_refused(
    unchecked: Any, operation: str, wrong: dict[str, Any], words: str
) -> None:
    result = {"LifecycleActionResult": "CONTINUE"} if operation.startswith("complete") else {}
    asked = {name: value for name, value in {**GOOD, **result, **wrong}.items() if value is not None}
    with pytest.raises(ClientError) as refused:
        getattr(unchecked, operation)(**asked)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert words in error["Message"].replace('"', "")


def test_an_action_ends_in_one_of_two_ways(unchecked: Any) -> None:
    with pytest.raises(ClientError, match="LifecycleActionResult: was 'STOP', expected one of CONTINUE, ABANDON"):
        unchecked.complete_lifecycle_action(**GOOD, LifecycleActionResult="STOP")


def test_names_beyond_the_first_plane_are_allowed(unchecked: Any) -> None:
    with pytest.raises(ClientError, match="AutoScalingGroup name not found - AutoScalingGroup '🚀' not found"):
        unchecked.record_lifecycle_action_heartbeat(**{**GOOD, "AutoScalingGroupName": "🚀"})


def test_hooks_that_come_with_a_group_are_there_before_its_first_instance(aws: LocalAws) -> None:
    group(aws, "group", 1, hook_seconds=77)
    hooks = aws.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName="group")["LifecycleHooks"]
    (hook,) = hooks
    assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"], hook["DefaultResult"]) == ("hook", 77, "CONTINUE")
    (node,) = launched(aws, "group")
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=node, ShouldDecrementDesiredCapacity=False
    )
    (state,) = aws.client("autoscaling").describe_auto_scaling_instances(InstanceIds=[node])["AutoScalingInstances"]
    assert state["LifecycleState"] == "Terminating:Wait"
