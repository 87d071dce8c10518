import json
from collections.abc import Iterator

import pytest

from local_aws_support import cloud, group, launched, template
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        iam = made.client("iam")
        iam.create_role(RoleName="node-role", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="profile")
        iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="node-role")
        yield made


def launch(aws: LocalAws, name: str, **data: object) -> str:
    """Launch an instance of a group with a template of its own."""
    specification = template(aws, f"own-{name}", "true", **data)
    group(aws, name, 0)
    aws.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name,
        MixedInstancesPolicy={"LaunchTemplate": {"LaunchTemplateSpecification": specification}},
        DesiredCapacity=1,
    )
    return launched(aws, name)[0]


def test_an_instance_is_told_what_it_is(aws: LocalAws) -> None:
    node = launch(aws, "plain")
    metadata = aws.nodes.metadata(node)
    address = str(metadata.get("local-ipv4"))
    assert address.startswith("127.0.")
    assert metadata.get("hostname") == f"ip-{address.replace('.', '-')}.ec2.internal"
    facts = ("instance-id", "instance-life-cycle", "ami-id", "placement/availability-zone", "placement/region")
    assert [metadata.get(path) for path in facts] == [node, "spot", aws.image_id, "us-east-1a", "us-east-1"]
    assert metadata.get("autoscaling/target-lifecycle-state") == "InService"
    assert metadata.get("iam/") is None
    assert metadata.get("tags/") is None


def test_on_demand_instances_know_that_they_are(aws: LocalAws) -> None:
    group(aws, "bought", 1, on_demand=True)
    (node,) = launched(aws, "bought")
    assert aws.nodes.metadata(node).get("instance-life-cycle") == "on-demand"


@pytest.mark.parametrize("by", ["Name", "Arn"])
def test_the_role_is_that_of_the_templates_profile(aws: LocalAws, by: str) -> None:
    profile = aws.client("iam").get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]
    named = {"Name": "profile", "Arn": profile["Arn"]}[by]
    node = launch(aws, f"role-{by.lower()}", IamInstanceProfile={by: named})
    metadata = aws.nodes.metadata(node)
    assert metadata.role == "node-role"
    assert json.loads(str(metadata.get("iam/info")))["InstanceProfileArn"] == profile["Arn"]


def test_tags_are_told_where_the_template_allows_it(aws: LocalAws) -> None:
    node = launch(aws, "tagged", MetadataOptions={"InstanceMetadataTags": "enabled"})
    assert aws.nodes.metadata(node).get("tags/instance/spotkeeper:fleet") == "fleet-tagged"
