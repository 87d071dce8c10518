"""The account of a fleet's nodes, and what has to be there before the first of them starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp.account import account, granted, member
from spotkeeper.gcp.grants import NODE, node_grants
from spotkeeper.gcp.naming import Place, topic_name
from spotkeeper.naming import BucketUri


@dataclass(frozen=True)
class NodeAccount:
    """The account, and what it may do."""

    account: gcp.serviceaccount.Account
    bindings: Sequence[pulumi.Resource]


def node_account(
    name: str,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    responder: pulumi.Output[str],
    checkpoint: pulumi.Output[BucketUri],
    opts: pulumi.ResourceOptions,
) -> NodeAccount:
    """Make the account that is a fleet's own. Its unique id, new with every creation, is the fleet's incarnation."""
    made = account(name, "node", owner=fleet, description=f"Nodes of Spotkeeper fleet {fleet}", opts=opts)
    grants = pulumi.Output.all(responder, checkpoint).apply(
        lambda known: node_grants(fleet, responder=known[0], checkpoint=known[1])
    )
    tells = gcp.pubsub.TopicIAMMember(
        f"{name}-notices",
        topic=pulumi.Output.all(place, responder).apply(lambda known: known[0].topic(topic_name(known[1]))),
        role="roles/pubsub.publisher",
        member=member(made),
        opts=opts,
    )
    return NodeAccount(made, [tells, *granted(name, NODE, grants, to=made, opts=opts)])
