"""Launch templates, security groups, and what is asked about subnets and instance types."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.provision.aws.account import Aws, answers, creates, deletes, updates
from spotkeeper_lab.provision.aws.spelling import pascal, tag_list
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs, ProvisionError

TEMPLATE_SETTINGS = ("blockDeviceMappings", "imageId", "metadataOptions", "userData")
VERSIONED = (*TEMPLATE_SETTINGS, "iamInstanceProfile", "networkInterfaces", "tagSpecifications")
"""What a version of a launch template holds."""
ALL_OUT = [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}]


def _switches(value: Any) -> Any:
    """Launch templates in Pulumi spell some switches as strings."""
    if isinstance(value, dict):
        return {key: _switches(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_switches(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


@creates("aws:ec2/launchTemplate:LaunchTemplate")
def launch_template(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a launch template with its first version."""
    template_name = given.take("name", name)
    arguments = {"VersionDescription": given.take("description")}
    if tags := given.take("tags"):
        arguments["TagSpecifications"] = [{"ResourceType": "launch-template", "Tags": tag_list(tags)}]
    made = aws.client("ec2").create_launch_template(
        LaunchTemplateName=template_name,
        LaunchTemplateData=_version(given),
        **{key: value for key, value in arguments.items() if value is not None},
    )["LaunchTemplate"]
    identity = made["LaunchTemplateId"]
    arn = f"arn:aws:ec2:{aws.region}:{aws.account}:launch-template/{identity}"
    return identity, {"name": template_name, "arn": arn, "latestVersion": 1, "defaultVersion": 1}


@updates("aws:ec2/launchTemplate:LaunchTemplate", *VERSIONED)
def new_version(aws: Aws, change: Change) -> dict[str, Any]:
    """Add a version; the ones before it stay as they are."""
    made = aws.client("ec2").create_launch_template_version(
        LaunchTemplateId=change.before.id,
        VersionDescription=change.inputs["description"],
        LaunchTemplateData=_version(Inputs(change.inputs)),
    )["LaunchTemplateVersion"]
    return {"latestVersion": made["VersionNumber"]}


@deletes("aws:ec2/launchTemplate:LaunchTemplate")
def no_launch_template(aws: Aws, resource: Resource) -> None:
    """Delete all versions."""
    aws.client("ec2").delete_launch_template(LaunchTemplateId=resource.id)


def _version(given: Inputs) -> dict[str, Any]:
    """What a version holds, as the API takes it."""
    data: dict[str, Any] = _switches(pascal(given.take_all(*TEMPLATE_SETTINGS)))
    if interfaces := given.take("networkInterfaces"):
        data["NetworkInterfaces"] = [_interface(each) for each in interfaces]
    if profile := given.take("iamInstanceProfile"):
        data["IamInstanceProfile"] = pascal(profile)
    data["TagSpecifications"] = [
        {"ResourceType": each["resourceType"], "Tags": tag_list(each["tags"])}
        for each in given.take("tagSpecifications", [])
    ]
    return data


def _interface(interface: dict[str, Any]) -> dict[str, Any]:
    renamed = _switches(pascal(interface))
    renamed["Groups"] = renamed.pop("SecurityGroups", [])
    return renamed  # type: ignore[no-any-return]  # an object stays an object


@creates("aws:ec2/securityGroup:SecurityGroup")
def security_group(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a security group with its rules."""
    ec2, group_name = aws.client("ec2"), given.take("name", name)
    arguments = {"VpcId": given.take("vpcId"), "Description": given.take("description", "Managed by Pulumi")}
    if tags := given.take("tags"):
        arguments["TagSpecifications"] = [{"ResourceType": "security-group", "Tags": tag_list(tags)}]
    made = ec2.create_security_group(GroupName=group_name, **{k: v for k, v in arguments.items() if v is not None})
    group = made["GroupId"]
    if ingress := given.take("ingress"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_rule(each, group) for each in ingress])
    if given.take("egress", ALL_OUT) != ALL_OUT:
        raise ProvisionError(f"{name}: egress is expected to be {ALL_OUT}, which is what EC2 gives a new group")
    arn = f"arn:aws:ec2:{aws.region}:{aws.account}:security-group/{group}"
    return group, {"name": group_name, "arn": arn, "vpcId": arguments["VpcId"]}


@deletes("aws:ec2/securityGroup:SecurityGroup")
def no_security_group(aws: Aws, resource: Resource) -> None:
    """Delete a security group."""
    aws.client("ec2").delete_security_group(GroupId=resource.id)


def _rule(rule: dict[str, Any], group: str) -> dict[str, Any]:
    if not rule.pop("self", False):
        raise ProvisionError(f"ingress: was {rule}, expected a rule for traffic between the nodes themselves")
    permission = {"IpProtocol": str(rule["protocol"]), "FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    return {**permission, "UserIdGroupPairs": [{"GroupId": group, "Description": rule.get("description", "")}]}


@answers("aws:ec2/getSubnet:getSubnet")
def subnet(aws: Aws, given: Inputs) -> dict[str, Any]:
    """One subnet."""
    found = aws.client("ec2").describe_subnets(SubnetIds=[given.take("id")])["Subnets"][0]
    return {"id": found["SubnetId"], "vpcId": found["VpcId"], "availabilityZone": found["AvailabilityZone"]}


@answers("aws:ec2/getAmi:getAmi")
def image(aws: Aws, given: Inputs) -> dict[str, Any]:
    """The newest image that matches."""
    found = aws.client("ec2").describe_images(
        Filters=pascal(given.take("filters", [])), **pascal(given.take_all("includeDeprecated"))
    )
    if not found["Images"]:
        raise ProvisionError("getAmi: no image matches")
    newest = max(found["Images"], key=lambda each: str(each["CreationDate"]))
    return {"id": newest["ImageId"], "imageId": newest["ImageId"], "rootDeviceName": newest["RootDeviceName"]}
