"""Roles and what they may do."""

from __future__ import annotations

from spotkeeper_lab.provision.aws.account import Aws, answers, creates, deletes
from spotkeeper_lab.provision.aws.spelling import pascal, tag_list
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Created, Inputs


@creates("aws:iam/role:Role")
def role(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a role."""
    role_name = given.take("name", name)
    made = aws.client("iam").create_role(
        RoleName=role_name,
        AssumeRolePolicyDocument=given.take("assumeRolePolicy"),
        Tags=tag_list(given.take("tags")),
        **pascal(given.take_all("description")),
    )["Role"]
    return role_name, {"name": role_name, "arn": made["Arn"], "uniqueId": made["RoleId"]}


@creates("aws:iam/rolePolicy:RolePolicy")
def role_policy(aws: Aws, name: str, given: Inputs) -> Created:
    """Allow a role something."""
    role_name, policy_name = given.take("role"), given.take("name", name)
    aws.client("iam").put_role_policy(RoleName=role_name, PolicyName=policy_name, PolicyDocument=given.take("policy"))
    return f"{role_name}:{policy_name}", {"name": policy_name}


@creates("aws:iam/instanceProfile:InstanceProfile")
def instance_profile(aws: Aws, name: str, given: Inputs) -> Created:
    """Let instances take a role."""
    iam, profile_name = aws.client("iam"), given.take("name", name)
    made = iam.create_instance_profile(InstanceProfileName=profile_name, Tags=tag_list(given.take("tags")))[
        "InstanceProfile"
    ]
    iam.add_role_to_instance_profile(InstanceProfileName=profile_name, RoleName=given.take("role"))
    return profile_name, {"name": profile_name, "arn": made["Arn"], "uniqueId": made["InstanceProfileId"]}


@deletes("aws:iam/role:Role")
def no_role(aws: Aws, resource: Resource) -> None:
    """Delete a role."""
    aws.client("iam").delete_role(RoleName=resource.id)


@deletes("aws:iam/rolePolicy:RolePolicy")
def no_role_policy(aws: Aws, resource: Resource) -> None:
    """Take away what a role was allowed."""
    role_name, _, policy_name = resource.id.partition(":")
    aws.client("iam").delete_role_policy(RoleName=role_name, PolicyName=policy_name)


@deletes("aws:iam/instanceProfile:InstanceProfile")
def no_instance_profile(aws: Aws, resource: Resource) -> None:
    """Delete an instance profile, once it carries no role any more."""
    iam = aws.client("iam")
    iam.remove_role_from_instance_profile(InstanceProfileName=resource.id, RoleName=resource.inputs["role"])
    iam.delete_instance_profile(InstanceProfileName=resource.id)


@answers("aws:index/getCallerIdentity:getCallerIdentity")
def caller_identity(aws: Aws, given: Inputs) -> dict[str, str]:  # noqa: ARG001 - one shape for all
    """Who deploys."""
    found = aws.client("sts").get_caller_identity()
    return {"accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"], "id": found["Account"]}


@answers("aws:index/getRegion:getRegion")
def region(aws: Aws, given: Inputs) -> dict[str, str]:  # noqa: ARG001 - one shape for all
    """Where it deploys to."""
    return {"region": aws.region, "name": aws.region, "id": aws.region}
