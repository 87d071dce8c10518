"""The spec in the ledger bucket."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import Place
from spotkeeper.fleet import FleetPlan
from spotkeeper.fleet_documents import fleet_spec
from spotkeeper_ledger import keys
from spotkeeper_ledger.codec import dump


def spec_object(
    name: str,
    plan: FleetPlan,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    responder: pulumi.Output[str],
    incarnation: pulumi.Output[str],
    command_version: pulumi.Output[str],
    checkpoint_uri: pulumi.Output[str],
    node_types: Sequence[str],
    opts: pulumi.ResourceOptions,
) -> aws.s3.BucketObjectv2:
    """Put the spec into the ledger: from then on the responder keeps the fleet at strength."""
    known = pulumi.Output.all(
        region=place.region, incarnation=incarnation, command_version=command_version, checkpoint_uri=checkpoint_uri
    )
    return aws.s3.BucketObjectv2(
        f"{name}-spec",
        bucket=responder,
        key=keys.spec(fleet),
        content=known.apply(
            lambda values: dump(fleet_spec(plan, cloud="aws", fleet=fleet, node_types=node_types, **values)).decode()
        ),
        content_type="application/json",
        opts=opts,
    )
