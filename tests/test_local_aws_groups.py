from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local_aws_support import cloud, group, launched, members, template, until
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def test_a_group_gets_its_instances_after_the_call(aws: LocalAws) -> None:
    group(aws, "new", 2)
    assert {one["LifecycleState"] for one in members(aws, "new")} <= {"Pending"}
    nodes = launched(aws, "new", 2)
    assert [(one["InstanceId"], one["LifecycleState"]) for one in members(aws, "new")] == [
        (node, "InService") for node in nodes
    ]


def test_a_new_size_is_written_down_once(aws: LocalAws) -> None:
    group(aws, "sized", 0)
    scale = aws.client("autoscaling").set_desired_capacity
    for size in (1, 1, 2):
        scale(AutoScalingGroupName="sized", DesiredCapacity=size)
    launched(aws, "sized", 2)
    sizes = [m.detail["desired"] for m in aws.events.moments() if m.detail.get("name") == "sized"]
    assert sizes == [0, 1, 2]


@pytest.mark.parametrize(
    ("size", "words"), [(9, "value 9 is above max value 8"), (-1, "value -1 is below min value 0")]
)
def test_a_size_out_of_bounds_is_refused(aws: LocalAws, size: int, words: str) -> None:
    name = f"bounded-{abs(size)}"
    group(aws, name, 0)
    with pytest.raises(ClientError, match=f"New SetDesiredCapacity {words} for the AutoScalingGroup"):
        aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=size)


def test_a_new_group_out_of_bounds_or_of_a_known_name_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="Desired capacity:9 must be between the specified min size:0 and max size:8"):
        group(aws, "too-large", 9)
    group(aws, "known", 0)
    with pytest.raises(ClientError, match="A group with the name known already exists"):
        aws.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName="known",
            MinSize=0,
            MaxSize=1,
            LaunchTemplate=template(aws, "known-again"),
            AvailabilityZones=["us-east-1a"],
        )


def deleted(aws: LocalAws, name: str) -> bool:
    found = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return not found["AutoScalingGroups"]


def test_a_group_with_instances_is_deleted_by_force_only_and_gone_after_the_last_of_them(aws: LocalAws) -> None:
    group(aws, "full", 1)
    (node,) = launched(aws, "full")
    delete = aws.client("autoscaling").delete_auto_scaling_group
    with pytest.raises(ClientError, match=r"ResourceInUse.*while there are instances"):
        delete(AutoScalingGroupName="full")
    assert not deleted(aws, "full")
    delete(AutoScalingGroupName="full", ForceDelete=True)
    assert not deleted(aws, "full"), "its instance is still there"
    until(aws, "leaving", node, why="forced")
    until(aws, "terminated", node)
    assert deleted(aws, "full")
    assert not [m for m in aws.events.moments() if m.what == "lifecycle-wait" and m.node == node]


def test_an_empty_group_is_deleted_at_once(aws: LocalAws) -> None:
    group(aws, "empty", 0)
    aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="empty")
    assert deleted(aws, "empty")


def test_an_instance_that_loses_its_protection_is_chosen_if_there_are_too_many(aws: LocalAws) -> None:
    group(aws, "unprotected", 1, hook_seconds=0)
    (node,) = launched(aws, "unprotected")
    client = aws.client("autoscaling")
    client.update_auto_scaling_group(AutoScalingGroupName="unprotected", MinSize=0, MaxSize=0, DesiredCapacity=0)
    assert [one["InstanceId"] for one in members(aws, "unprotected")] == [node]
    client.set_instance_protection(AutoScalingGroupName="unprotected", InstanceIds=[node], ProtectedFromScaleIn=False)
    until(aws, "leaving", node, why="chosen")
    until(aws, "terminated", node)


def test_a_smaller_size_spares_protected_instances(aws: LocalAws) -> None:
    group(aws, "protected", 1)
    group(aws, "open", 1, NewInstancesProtectedFromScaleIn=False, hook_seconds=0)
    kept, ended = *launched(aws, "protected"), *launched(aws, "open")
    for name in ("protected", "open"):
        aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
    until(aws, "terminated", ended)
    assert [one["InstanceId"] for one in members(aws, "protected")] == [kept]


def test_ending_a_named_instance_may_make_the_group_smaller_but_not_too_small(aws: LocalAws) -> None:
    group(aws, "least", 1, hook_seconds=0, MinSize=1)
    (node,) = launched(aws, "least")
    end = aws.client("autoscaling").terminate_instance_in_auto_scaling_group
    with pytest.raises(ClientError, match=r"desiredSize equals minSize \(1\)"):
        end(InstanceId=node, ShouldDecrementDesiredCapacity=True)
    activity = end(InstanceId=node, ShouldDecrementDesiredCapacity=False)["Activity"]
    assert activity["Description"] == f"Terminating EC2 instance: {node}"
    until(aws, "terminated", node)
    assert len(launched(aws, "least", 2)) == 2


def test_an_instance_that_leaves_is_not_counted_twice(aws: LocalAws) -> None:
    group(aws, "twice", 2)
    node, _ = launched(aws, "twice", 2)
    for _ in range(2):
        aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=node, ShouldDecrementDesiredCapacity=True
        )
    (found,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["twice"])[
        "AutoScalingGroups"
    ]
    assert found["DesiredCapacity"] == 1


def test_an_unknown_instance_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="No managed instance found for instance ID: i-none"):
        aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId="i-none", ShouldDecrementDesiredCapacity=True
        )


def test_an_instance_that_somebody_ended_is_replaced(aws: LocalAws) -> None:
    group(aws, "hands-on", 1)
    (node,) = launched(aws, "hands-on")
    aws.client("ec2").terminate_instances(InstanceIds=[node])
    ended = until(aws, "terminated", node)
    assert launched(aws, "hands-on", 2)[0] == node
    replaced = next(m for m in aws.events.moments() if m.what == "instance-launched" and m.at > ended.at)
    assert replaced.at - ended.at >= 0.3


def test_a_deleted_group_takes_its_instances_along(aws: LocalAws) -> None:
    group(aws, "deleted", 1)
    (node,) = launched(aws, "deleted")
    aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="deleted", ForceDelete=True)
    until(aws, "terminated", node)
    assert node not in [one.id for one in aws.nodes.running()]
    assert aws.failures() == []


def test_capacity_rebalancing_replaces_before_it_ends(aws: LocalAws) -> None:
    group(aws, "rebalanced", 1, CapacityRebalance=True)
    (node,) = launched(aws, "rebalanced")
    aws.rebalance(node)
    waits = until(aws, "lifecycle-wait", node)
    _, replacement = launched(aws, "rebalanced", 2)
    assert until(aws, "instance-launched", replacement).at < waits.at
    assert {one["InstanceId"]: one["LifecycleState"] for one in members(aws, "rebalanced")} == {
        node: "Terminating:Wait",
        replacement: "InService",
    }


def test_without_capacity_rebalancing_a_recommendation_changes_nothing(aws: LocalAws) -> None:
    group(aws, "left-alone", 1)
    (node,) = launched(aws, "left-alone")
    aws.rebalance(node)
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="left-alone", DesiredCapacity=2)
    launched(aws, "left-alone", 2)
    assert [one["LifecycleState"] for one in members(aws, "left-alone")] == ["InService", "InService"]


def test_an_update_keeps_what_it_does_not_change(aws: LocalAws) -> None:
    group(aws, "updated", 0)
    aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="updated", MaxSize=3, DesiredCapacity=1)
    (node,) = launched(aws, "updated")
    assert until(aws, "instance-launched", node).detail["lifecycle"] == "spot"
