import time
from collections.abc import Iterator

import pytest

from local_aws_support import cloud, group, launched, members, until
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.market import MESSAGES


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def described(aws: LocalAws, node: str) -> dict[str, object]:
    (reservation,) = aws.client("ec2").describe_instances(InstanceIds=[node])["Reservations"]
    return dict(reservation["Instances"][0])


@pytest.mark.parametrize("on_demand", [False, True])
def test_an_instance_is_what_its_group_and_template_say(aws: LocalAws, on_demand: bool) -> None:
    name = f"kind-{on_demand}".lower()
    group(aws, name, 1, on_demand=on_demand)
    (node,) = launched(aws, name)
    moment = until(aws, "instance-launched", node)
    assert moment.detail["group"] == ("backup" if on_demand else "spot")
    assert moment.detail["fleet"] == f"fleet-{name}"
    instance = described(aws, node)
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert instance.get("InstanceLifecycle") == (None if on_demand else "spot")
    assert instance["InstanceType"] == "g5.2xlarge"
    assert instance["State"]["Name"] == "running"
    assert tags["spotkeeper:fleet"] == f"fleet-{name}"
    assert tags["aws:autoscaling:groupName"] == name


def test_a_group_uses_all_of_its_zones(aws: LocalAws) -> None:
    group(aws, "spread", 3)
    launched(aws, "spread", 3)
    assert {one["AvailabilityZone"] for one in members(aws, "spread")} == {"us-east-1a", "us-east-1b", "us-east-1c"}


def test_new_instances_start_from_the_version_that_the_group_names(aws: LocalAws) -> None:
    group(aws, "versions", 1)
    (found,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["versions"])[
        "AutoScalingGroups"
    ]
    policy = found["MixedInstancesPolicy"]
    specification = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
    aws.client("ec2").create_launch_template_version(
        LaunchTemplateId=specification["LaunchTemplateId"],
        SourceVersion="1",
        LaunchTemplateData={
            "ImageId": aws.image_id,
            "UserData": "dHJ1ZQ==",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "new", "Value": "yes"}]},
                {"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "volume"}]},
            ],
        },
    )
    old = launched(aws, "versions")[0]
    specification["Version"] = "2"
    specification.pop("LaunchTemplateName")
    aws.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="versions", MixedInstancesPolicy=policy, DesiredCapacity=2
    )
    new = launched(aws, "versions", 2)[1]
    assert {one["InstanceId"]: one["LaunchTemplate"]["Version"] for one in members(aws, "versions")} == {
        old: "1",
        new: "2",
    }
    instance = described(aws, new)
    assert {"Key": "new", "Value": "yes"} in instance["Tags"]
    volumes = aws.client("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [new]}])
    assert {"Key": "of", "Value": "volume"} in volumes["Volumes"][0]["Tags"]


@pytest.mark.parametrize("kind", list(MESSAGES))
def test_a_refused_launch_is_told_and_tried_again(aws: LocalAws, kind: str) -> None:
    aws.market.set_capacity(0, kind)
    group(aws, f"refused-{kind}", 1)
    fleet = f"fleet-refused-{kind}"
    first = until(aws, "launch-refused", fleet=fleet)
    again = until(aws, "launch-refused", fleet=fleet, after=first.at)
    assert first.detail == {"group": "spot", "fleet": fleet, "kind": kind}
    assert again.at - first.at >= 0.29
    aws.market.set_capacity(None)
    launched(aws, f"refused-{kind}")
    activities = aws.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=f"refused-{kind}")
    oldest = activities["Activities"][-1]
    assert (oldest["StatusCode"], oldest["StatusMessage"]) == ("Failed", MESSAGES[kind])


def test_on_demand_is_not_refused(aws: LocalAws) -> None:
    aws.market.set_capacity(0)
    group(aws, "drought", 1)
    group(aws, "bought", 1, on_demand=True)
    until(aws, "launch-refused", fleet="fleet-drought")
    launched(aws, "bought")
    aws.market.set_capacity(None)
    launched(aws, "drought")


def test_nothing_is_tried_again_for_a_group_that_wants_no_more(aws: LocalAws) -> None:
    aws.market.set_capacity(0)
    group(aws, "given-up", 1)
    until(aws, "launch-refused", fleet="fleet-given-up")
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="given-up", DesiredCapacity=0)
    given_up = time.time()
    group(aws, "still-wanted", 1)
    for _ in range(3):  # as long as three tries of the other group
        given_up = until(aws, "launch-refused", fleet="fleet-still-wanted", after=given_up).at
    refused = [m for m in aws.events.moments() if m.detail.get("fleet") == "fleet-given-up"]
    assert [m.what for m in refused].count("launch-refused") == 1
    aws.market.set_capacity(None)
    launched(aws, "still-wanted")
    assert members(aws, "given-up") == []
