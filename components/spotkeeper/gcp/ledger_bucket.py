"""The bucket that holds every fleet's ledger: private, versioned, and open to accounts only through IAM."""

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp.labels import Labels
from spotkeeper.gcp.naming import Place

KEEP_NONCURRENT_DAYS = 7
"""How long what was overwritten stays readable: long enough to look into a weekend's incident."""


def ledger_bucket(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> gcp.storage.Bucket:
    """Make the bucket.

    It is never emptied by Pulumi: while a fleet lives there, or its records do, destroying the responder fails.
    """
    return gcp.storage.Bucket(
        f"{name}-ledger",
        name=responder,
        location=place.apply(lambda known: known.region.upper()),
        uniform_bucket_level_access=True,  # conditions of grants need it
        public_access_prevention="enforced",
        force_destroy=False,
        versioning={"enabled": True},
        # Versions are kept in any case: nothing that was overwritten has to be kept, and paid for, twice.
        soft_delete_policy={"retention_duration_seconds": 0},
        # Only what is no longer current may expire: a spec or a generation is read however old it is.
        lifecycle_rules=[
            {"action": {"type": "Delete"}, "condition": {"days_since_noncurrent_time": KEEP_NONCURRENT_DAYS}}
        ],
        labels=labels,
        opts=opts,
    )
