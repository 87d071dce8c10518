from collections.abc import Iterator

import pytest

from local_aws_support import PATIENCE, cloud, group, launched, template, until
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


REQUIREMENTS = {"InstanceRequirements": {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 1024}}}


@pytest.mark.parametrize(
    ("name", "overrides", "expected"),
    [
        ("listed", [{"InstanceType": "g6.4xlarge"}, {"InstanceType": "g5.4xlarge"}], "g6.4xlarge"),
        ("required", [REQUIREMENTS], "g5.xlarge"),
        ("neither", [], "g5.xlarge"),
    ],
)
def test_the_type_is_the_first_that_is_listed_else_the_templates(
    aws: LocalAws, name: str, overrides: list[dict[str, object]], expected: str
) -> None:
    specification = template(aws, name, "true")
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": specification, "Overrides": overrides}}
    group(aws, name, 1, MixedInstancesPolicy=policy)
    (node,) = launched(aws, name)
    assert aws.nodes.metadata(node).get("instance-type") == expected


def test_a_group_without_a_policy_is_on_demand(aws: LocalAws) -> None:
    aws.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="plain",
        MinSize=1,
        MaxSize=1,
        VPCZoneIdentifier=aws.subnet_ids[0],
        LaunchTemplate=template(aws, "plain", "true"),
    )
    moment = until(aws, "instance-launched", lifecycle="on-demand", fleet="")
    assert moment.detail["group"] == ""
    until(aws, "node-started", moment.node)


def test_members_are_protected_as_the_group_says_when_they_are_launched(aws: LocalAws) -> None:
    group(aws, "protected", 1)
    (node,) = launched(aws, "protected")
    client = aws.client("autoscaling")
    (state,) = client.describe_auto_scaling_instances(InstanceIds=[node])["AutoScalingInstances"]
    assert state["ProtectedFromScaleIn"] is True
    client.set_instance_protection(AutoScalingGroupName="protected", InstanceIds=[node], ProtectedFromScaleIn=False)
    client.set_desired_capacity(AutoScalingGroupName="protected", DesiredCapacity=0)
    aws.events.wait(lambda moment: moment.node == node and moment.what == "lifecycle-wait", PATIENCE)
