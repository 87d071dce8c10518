import json
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local_aws_support import cloud, group, launched, members, queue, received, until
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def end(aws: LocalAws, node: str) -> None:
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=node, ShouldDecrementDesiredCapacity=True
    )


def test_a_node_waits_for_the_hook_until_somebody_lets_it_go(aws: LocalAws) -> None:
    group(aws, "hooked", 1)
    (node,) = launched(aws, "hooked")
    end(aws, node)
    assert [one["LifecycleState"] for one in members(aws, "hooked")] == ["Terminating:Wait"]
    assert aws.nodes.metadata(node).get("autoscaling/target-lifecycle-state") == "Terminated"
    assert node in [one.id for one in aws.nodes.running()]
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName="hooked", LifecycleHookName="hook", InstanceId=node, LifecycleActionResult="CONTINUE"
    )
    until(aws, "terminated", node)
    assert until(aws, "lifecycle-completed", node).detail == {"hook": "hook", "result": "CONTINUE"}
    assert members(aws, "hooked") == []
    with pytest.raises(ClientError, match=f"No active Lifecycle Action found with instance ID {node}"):
        aws.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName="hooked", LifecycleHookName="hook", InstanceId=node, LifecycleActionResult="CONTINUE"
        )


def test_the_hook_is_told_with_a_token_that_completes_it(aws: LocalAws) -> None:
    url, arn = queue(aws, "lifecycle")
    aws.client("events").put_rule(
        Name="lifecycle", EventPattern='{"detail-type": ["EC2 Instance-terminate Lifecycle Action"]}'
    )
    aws.client("events").put_targets(Rule="lifecycle", Targets=[{"Id": "1", "Arn": arn}])
    group(aws, "told", 1)
    (node,) = launched(aws, "told")
    end(aws, node)
    (event,) = received(aws, url, 1)
    detail = event["detail"]
    token = detail.pop("LifecycleActionToken")
    assert detail == {
        "AutoScalingGroupName": "told",
        "LifecycleHookName": "hook",
        "EC2InstanceId": node,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    }
    assert event["resources"][0].endswith("autoScalingGroupName/told")
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName="told",
        LifecycleHookName="hook",
        LifecycleActionToken=token,
        LifecycleActionResult="ABANDON",
    )
    until(aws, "terminated", node)


def test_a_hook_that_nobody_completes_times_out(aws: LocalAws) -> None:
    group(aws, "timed-out", 1, hook_seconds=30)
    (node,) = launched(aws, "timed-out")
    aws.client("autoscaling").put_lifecycle_hook(  # thirty seconds are the least that the API takes
        AutoScalingGroupName="timed-out",
        LifecycleHookName="hook",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=1,
        DefaultResult="ABANDON",
    )
    end(aws, node)
    waits = until(aws, "lifecycle-wait", node)
    completed = until(aws, "lifecycle-completed", node)
    assert completed.detail["result"] == "ABANDON (timeout)"
    assert completed.at - waits.at >= 0.99
    until(aws, "terminated", node)


def test_a_node_waits_for_as_long_as_heartbeats_come(aws: LocalAws) -> None:
    group(aws, "beating", 1, hook_seconds=1)
    (node,) = launched(aws, "beating")
    end(aws, node)
    waits = until(aws, "lifecycle-wait", node)
    while time.time() - waits.at < 1.3:
        beat = time.time()
        aws.client("autoscaling").record_lifecycle_action_heartbeat(
            AutoScalingGroupName="beating", LifecycleHookName="hook", InstanceId=node
        )
    assert until(aws, "lifecycle-completed", node).at - beat >= 0.99


def test_without_a_hook_a_node_goes_at_once(aws: LocalAws) -> None:
    group(aws, "unhooked", 1, hook_seconds=0)
    (node,) = launched(aws, "unhooked")
    end(aws, node)
    until(aws, "terminated", node)
    assert not [m for m in aws.events.moments() if m.node == node and m.what == "lifecycle-wait"]


def test_a_node_that_waits_can_still_be_taken_back(aws: LocalAws) -> None:
    url, arn = queue(aws, "gone")
    own = {"detail-type": ["EC2 Instance Terminate Successful"], "detail": {"AutoScalingGroupName": ["both"]}}
    aws.client("events").put_rule(Name="gone", EventPattern=json.dumps(own))
    aws.client("events").put_targets(Rule="gone", Targets=[{"Id": "1", "Arn": arn}])
    group(aws, "both", 1)
    (node,) = launched(aws, "both")
    aws.interrupt(node)
    end(aws, node)
    until(aws, "reclaimed", node)
    with pytest.raises(ClientError, match="No active Lifecycle Action"):
        aws.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName="both", LifecycleHookName="hook", InstanceId=node, LifecycleActionResult="CONTINUE"
        )
    (event,) = received(aws, url, 1)
    assert event["detail"]["EC2InstanceId"] == node
    assert not [m for m in aws.events.moments() if m.node == node and m.what == "terminated"]
