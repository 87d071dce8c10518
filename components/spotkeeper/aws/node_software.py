"""What runs on a fleet's nodes: the agent, kept in the ledger bucket, and the user data that installs it."""

import base64

import pulumi
import pulumi_aws as aws

from spotkeeper.archives import AgentArchive
from spotkeeper.aws.fleet_documents import agent_config
from spotkeeper.aws.naming import Place
from spotkeeper.fleet import FleetPlan
from spotkeeper.user_data import render


def agent_object(
    name: str, archive: AgentArchive, *, responder: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> aws.s3.BucketObjectv2:
    """Put the agent into the ledger bucket, to stay: nodes of older templates and other fleets may need it."""
    keep = pulumi.ResourceOptions(retain_on_delete=True)
    return aws.s3.BucketObjectv2(
        f"{name}-agent",
        bucket=responder,
        key=archive.key,
        content_base64=base64.b64encode(archive.body).decode(),
        content_type="application/zip",
        opts=pulumi.ResourceOptions.merge(opts, keep),
    )


def user_data(
    plan: FleetPlan,
    archive: AgentArchive,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    responder: pulumi.Output[str],
    incarnation: pulumi.Output[str],
    command: pulumi.Output[str],
    checkpoint_uri: pulumi.Output[str],
) -> pulumi.Output[str]:
    """Return the nodes' user data, as soon as everything that it names is known."""
    return pulumi.Output.all(
        place=place, responder=responder, incarnation=incarnation, command=command, checkpoint_uri=checkpoint_uri
    ).apply(lambda known: render(agent_config(plan, fleet=fleet, **known), archive.sha256))
