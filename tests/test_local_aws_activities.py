from collections.abc import Iterator

import pytest

from local_aws_support import cloud, group, launched, queue, received, until
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.activities import FAILED, Activity
from spotkeeper_lab.local_aws.market import MESSAGES


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def history(aws: LocalAws) -> tuple[list[str], list[dict[str, object]]]:
    """A launch, a refusal and an end, as told by events, and the instances of the group."""
    url, arn = queue(aws, "history")
    pattern = '{"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [{"prefix": "gro"}]}}'
    aws.client("events").put_rule(Name="history", EventPattern=pattern)
    aws.client("events").put_targets(Rule="history", Targets=[{"Id": "1", "Arn": arn}])
    group(aws, "group", 1, hook_seconds=0)
    nodes = launched(aws, "group")
    aws.market.set_capacity(1)
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="group", DesiredCapacity=2)
    until(aws, "launch-refused")
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=nodes[0], ShouldDecrementDesiredCapacity=True
    )
    until(aws, "terminated", nodes[0])
    nodes = launched(aws, "group", 2)
    return nodes, received(aws, url, 4)


def test_every_activity_is_told_by_an_event_in_the_shape_that_aws_gives_it(
    aws: LocalAws, history: tuple[list[str], list[dict[str, object]]]
) -> None:
    nodes, events = history
    by_type = {str(event["detail-type"]): event for event in reversed(events)}
    assert sorted(by_type) == [
        "EC2 Instance Launch Successful",
        "EC2 Instance Launch Unsuccessful",
        "EC2 Instance Terminate Successful",
    ]
    success = by_type["EC2 Instance Launch Successful"]
    assert success["account"] == "123456789012"
    assert success["source"] == "aws.autoscaling"
    assert success["resources"][1] == f"arn:aws:ec2:us-east-1:123456789012:instance/{nodes[0]}"
    detail = success["detail"]
    assert (detail["StatusCode"], detail["EC2InstanceId"]) == ("InProgress", nodes[0])
    assert (detail["Origin"], detail["Destination"]) == ("EC2", "AutoScalingGroup")
    assert detail["Details"]["Availability Zone"] == "us-east-1a"
    assert detail["Cause"].endswith("increasing the capacity from 0 to 1.")
    refusal = by_type["EC2 Instance Launch Unsuccessful"]["detail"]
    assert (refusal["StatusCode"], refusal["StatusMessage"]) == ("Failed", MESSAGES["capacity"])
    end = by_type["EC2 Instance Terminate Successful"]["detail"]
    assert end["Description"] == f"Terminating EC2 instance: {nodes[0]}"
    assert (end["Origin"], end["Destination"]) == ("AutoScalingGroup", "EC2")


def test_the_api_describes_them_newest_first(aws: LocalAws, history: tuple[list[str], list[dict[str, object]]]) -> None:
    nodes, _ = history
    describe = aws.client("autoscaling").describe_scaling_activities
    found = describe(AutoScalingGroupName="group")["Activities"]
    times = [activity["StartTime"] for activity in found]
    assert times == sorted(times, reverse=True)
    first = found[-1]
    assert (first["Description"], first["StatusCode"]) == (f"Launching a new EC2 instance: {nodes[0]}", "Successful")
    assert first["EndTime"] >= first["StartTime"]
    assert describe(AutoScalingGroupName="group", MaxRecords=1)["Activities"] == found[:1]
    assert describe(ActivityIds=[first["ActivityId"]])["Activities"] == [first]
    assert describe(AutoScalingGroupName="other")["Activities"] == []


def test_an_activity_that_goes_on_has_no_end_and_no_message() -> None:
    described = Activity("group", "arn", "Launching", "because", started_at=0.0).described()
    assert described["StatusCode"] == "InProgress"
    assert not {"EndTime", "StatusMessage"} & described.keys()
    failed = Activity("group", "arn", "Launching", "because", 0.0, status=FAILED, message="no", ended_at=1.0)
    assert failed.described()["StatusMessage"] == "no"
    assert failed.described()["Progress"] == 100
