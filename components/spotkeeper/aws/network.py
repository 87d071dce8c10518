"""Where a fleet's nodes live: the zones and the VPC of its subnets, and the security group that nodes share."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.pools import Market, check_market
from spotkeeper.aws.tags import Tags
from spotkeeper.errors import InputError


@dataclass(frozen=True)
class Network:
    """Subnets that have been checked together, and their VPC."""

    subnet_ids: tuple[str, ...]
    vpc_id: str


def plan_network(subnets: Sequence[tuple[str, str, str]], market: Market) -> Network:
    """Check a fleet's subnets.

    Args:
        subnets: id, zone and VPC of each.
        market: the instances that are to start in them.

    Raises:
        InputError: no subnets, subnets of several VPCs, or too few candidate pools.
    """
    ids = [subnet for subnet, _, _ in subnets]
    vpcs = sorted({vpc for _, _, vpc in subnets})
    if len(vpcs) != 1:
        raise InputError("subnet_ids", ids, "subnets of one VPC", note=f" in {' and '.join(vpcs)}" if vpcs else "")
    check_market(market, [zone for _, zone, _ in subnets])
    return Network(tuple(ids), vpcs[0])


def network_of(
    component: pulumi.ComponentResource, subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]], market: Market
) -> pulumi.Output[Network]:
    """Look the subnets up and check them. In a preview that does not know them yet, this waits for the update."""
    opts = pulumi.InvokeOptions(parent=component)

    def look_up(ids: Sequence[pulumi.Input[str]]) -> pulumi.Output[Network]:
        found = [aws.ec2.get_subnet_output(id=subnet, opts=opts) for subnet in ids]
        return pulumi.Output.all(*found).apply(
            lambda subnets: plan_network([(s.id, s.availability_zone, s.vpc_id) for s in subnets], market)
        )

    return pulumi.Output.from_input(subnet_ids).apply(look_up)


def security_groups(
    name: str,
    *,
    fleet: str,
    given: pulumi.Input[Sequence[pulumi.Input[str]]] | None,
    network: pulumi.Output[Network],
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[Sequence[str]]:
    """Return the given security groups, else make one: nodes reach each other and the outside, nothing reaches in."""
    if given is not None:
        return pulumi.Output.from_input(given).apply(lambda ids: pulumi.Output.all(*ids))
    group = aws.ec2.SecurityGroup(
        f"{name}-nodes",
        description=f"Nodes of Spotkeeper fleet {fleet}",
        vpc_id=network.vpc_id,
        ingress=[{"description": "Each other", "protocol": "-1", "from_port": 0, "to_port": 0, "self": True}],
        egress=[{"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": ["0.0.0.0/0"]}],
        tags=tags,
        opts=opts,
    )
    return group.id.apply(lambda group_id: [group_id])
