"""What is left of a fleet in the local cloud once it was destroyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from spotkeeper_ledger import keys

TAG_FLEET = "spotkeeper:fleet"


def remains(client: Callable[[str], Any], fleet: str, bucket: str) -> list[str]:
    """Return what costs something, acts, or would be in the way of the next fleet of that name, in words.

    Records in the ledger, checkpoints and the agent's archive are kept on purpose and are not among it.

    Args:
        client: returns a boto3 client of a service.
        fleet: the fleet's id.
        bucket: the ledger's.
    """
    return [*_compute(client, fleet), *_identity(client("iam"), fleet), *_spec(client("s3"), fleet, bucket)]


def _compute(client: Callable[[str], Any], fleet: str) -> Iterator[str]:
    for group in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
        if _fleet_of(group["Tags"]) == fleet:
            yield f"group {group['AutoScalingGroupName']}"
    ec2 = client("ec2")
    ours = [{"Name": f"tag:{TAG_FLEET}", "Values": [fleet]}]
    for reservation in ec2.describe_instances(Filters=ours)["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                yield f"instance {instance['InstanceId']} ({instance['State']['Name']})"
    for template in ec2.describe_launch_templates(Filters=ours)["LaunchTemplates"]:
        yield f"launch template {template['LaunchTemplateName']}"
    for security_group in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]:
        yield f"security group {security_group['GroupName']}"


def _identity(iam: Any, fleet: str) -> Iterator[str]:
    for role in iam.list_roles()["Roles"]:
        if _fleet_of(iam.list_role_tags(RoleName=role["RoleName"])["Tags"]) == fleet:
            yield f"role {role['RoleName']}"
    for profile in iam.list_instance_profiles()["InstanceProfiles"]:
        if _fleet_of(profile.get("Tags", [])) == fleet:
            yield f"instance profile {profile['InstanceProfileName']}"


def _fleet_of(tags: Sequence[Mapping[str, str]]) -> str | None:
    return next((tag["Value"] for tag in tags if tag["Key"] == TAG_FLEET), None)


def _spec(s3: Any, fleet: str, bucket: str) -> Iterator[str]:
    try:
        s3.head_object(Bucket=bucket, Key=keys.spec(fleet))
    except ClientError:
        return
    yield "the spec"
