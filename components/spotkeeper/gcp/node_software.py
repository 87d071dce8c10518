"""What runs on a fleet's nodes: the agent, kept in the ledger bucket, and the scripts that install and warn it."""

import base64
import math

import pulumi
import pulumi_gcp as gcp

from spotkeeper.archives import AgentArchive
from spotkeeper.fleet import FleetPlan
from spotkeeper.fleet_documents import agent_config
from spotkeeper.gcp.market import SHUTDOWN_SECONDS
from spotkeeper.gcp.naming import Place, topic_name
from spotkeeper.node.gs import SUFFIX
from spotkeeper.user_data import render

SCRIPT_BYTES = 256 * 1024
"""Compute Engine takes no longer value of metadata."""

_SHUTDOWN = """\
#!/bin/sh
# Tells the Spotkeeper agent that this machine is preempted: the second path, for where there was no notice before.
# Where it is shut down for another reason, the agent is stopped as every service is, and saves.
asked=http://169.254.169.254/computeMetadata/v1/instance/preempted
[ "$(curl --silent --max-time 2 --header 'Metadata-Flavor: Google' "$asked")" = TRUE ] || exit 0
gone="$(($(date +%s) + {seconds}))"
exec /usr/local/bin/spotkeeper-agent notice --fleet {fleet} --kind interruption --deadline "$gone"
"""


def agent_object(
    name: str, archive: AgentArchive, *, responder: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> gcp.storage.BucketObject:
    """Put the agent into the ledger bucket, to stay: nodes of older templates and other fleets may need it.

    It is kept as base64, because the provider writes nothing but text without a file of this machine.
    """
    keep = pulumi.ResourceOptions(retain_on_delete=True)
    return gcp.storage.BucketObject(
        f"{name}-agent",
        bucket=responder,
        name=f"{archive.key}{SUFFIX}",
        content=base64.b64encode(archive.body).decode(),
        content_type="text/plain",
        opts=pulumi.ResourceOptions.merge(opts, keep),
    )


def startup_script(
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
    """Return the nodes' startup script, as soon as everything that it names is known."""
    known = pulumi.Output.all(
        region=place.region,
        ledger=responder.apply(lambda bucket: f"gs://{bucket}"),
        incarnation=incarnation,
        command=command,
        checkpoint_uri=checkpoint_uri,
        more=pulumi.Output.all(place, responder).apply(lambda both: {"topic": both[0].topic(topic_name(both[1]))}),
    )
    return known.apply(
        lambda told: render(agent_config(plan, cloud="gcp", fleet=fleet, **told), archive.sha256, SCRIPT_BYTES)
    )


def shutdown_script(plan: FleetPlan, fleet: str) -> str:
    """Return what nodes run when they are shut down, which takes no longer than a notice."""
    return _SHUTDOWN.format(fleet=fleet, seconds=math.floor(min(SHUTDOWN_SECONDS, plan.timings.notice_seconds)))
