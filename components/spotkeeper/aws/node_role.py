"""The role of a fleet's nodes, and what has to be there before the first of them starts."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import Place
from spotkeeper.aws.policies import assumed_by, node_policy
from spotkeeper.aws.tags import Tags
from spotkeeper.naming import BucketUri


@dataclass(frozen=True)
class NodeRole:
    """The role, its policy and the instance profile that carries it."""

    role: aws.iam.Role
    policy: aws.iam.RolePolicy
    profile: aws.iam.InstanceProfile


def node_role(
    name: str,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    responder: pulumi.Output[str],
    checkpoint: pulumi.Output[BucketUri],
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> NodeRole:
    """Make the role that is a fleet's own. Its unique id, new with every creation, is the fleet's incarnation."""
    role = aws.iam.Role(
        f"{name}-node",
        assume_role_policy=json.dumps(assumed_by("ec2.amazonaws.com")),
        description=f"Nodes of Spotkeeper fleet {fleet}",
        tags=tags,
        opts=opts,
    )
    document = pulumi.Output.all(place, responder, checkpoint).apply(
        lambda known: json.dumps(node_policy(known[0], fleet=fleet, responder=known[1], checkpoint=known[2]))
    )
    return NodeRole(
        role=role,
        policy=aws.iam.RolePolicy(f"{name}-node", role=role.name, policy=document, opts=opts),
        profile=aws.iam.InstanceProfile(f"{name}-node", role=role.name, tags=tags, opts=opts),
    )
