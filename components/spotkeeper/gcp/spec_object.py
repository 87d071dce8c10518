"""The spec in the ledger bucket."""

import pulumi
import pulumi_gcp as gcp

from spotkeeper.fleet import FleetPlan
from spotkeeper.fleet_documents import fleet_spec
from spotkeeper.gcp.naming import Place
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
    opts: pulumi.ResourceOptions,
) -> gcp.storage.BucketObject:
    """Put the spec into the ledger: from then on the responder keeps the fleet at strength."""
    known = pulumi.Output.all(
        region=place.region, incarnation=incarnation, command_version=command_version, checkpoint_uri=checkpoint_uri
    )
    return gcp.storage.BucketObject(
        f"{name}-spec",
        bucket=responder,
        name=keys.spec(fleet),
        content=known.apply(lambda values: dump(fleet_spec(plan, cloud="gcp", fleet=fleet, **values)).decode()),
        content_type="application/json",
        # Where the provider cannot change an object in place: its replacement has the same name.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
