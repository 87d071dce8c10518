"""What runs on a fleet's nodes: the agent, kept in the ledger bucket, and the user data that installs it."""

import base64

import pulumi
import pulumi_aws as aws

from spotkeeper.archives import AgentArchive
from spotkeeper.aws.naming import HOOK, Place
from spotkeeper.fleet import FleetPlan
from spotkeeper.fleet_documents import agent_config
from spotkeeper.user_data import render

USER_DATA_BYTES = 16 * 1024
"""EC2 takes no more user data, measured before it is encoded."""


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
    known = pulumi.Output.all(
        region=place.region,
        ledger=responder.apply(lambda bucket: f"s3://{bucket}"),
        incarnation=incarnation,
        command=command,
        checkpoint_uri=checkpoint_uri,
    )
    more = {"hook": HOOK}
    return known.apply(
        lambda told: render(
            agent_config(plan, cloud="aws", fleet=fleet, more=more, **told), archive.sha256, USER_DATA_BYTES
        )
    )
