"""The bucket that holds every fleet's ledger: private, encrypted, versioned."""

import json
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import Place
from spotkeeper.aws.policies import bucket_policy
from spotkeeper.aws.tags import Tags

KEEP_NONCURRENT_DAYS = 7
"""How long what was overwritten stays readable: long enough to look into a weekend's incident."""


def ledger_bucket(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> tuple[aws.s3.Bucket, Sequence[pulumi.Resource]]:
    """Make the bucket and its settings; return it and them.

    It is never emptied by Pulumi: while a fleet lives there, or its records do, destroying the responder fails.
    """
    bucket = aws.s3.Bucket(f"{name}-ledger", bucket=responder, force_destroy=False, tags=tags, opts=opts)
    ownership = aws.s3.BucketOwnershipControls(
        f"{name}-ledger", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts
    )
    access = aws.s3.BucketPublicAccessBlock(
        f"{name}-ledger",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-ledger",
        bucket=bucket.id,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=opts,
    )
    versioning = aws.s3.BucketVersioning(
        f"{name}-ledger", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
    )
    lifecycle = aws.s3.BucketLifecycleConfiguration(
        f"{name}-ledger",
        bucket=bucket.id,
        # Only what is no longer current may expire: a spec or a generation is read however old it is.
        rules=[
            {
                "id": "overwritten",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": KEEP_NONCURRENT_DAYS},
            }
        ],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[versioning])),
    )
    policy = aws.s3.BucketPolicy(
        f"{name}-ledger",
        bucket=bucket.id,
        policy=pulumi.Output.all(place, bucket.id).apply(lambda known: json.dumps(bucket_policy(*known))),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[access])),
    )
    return bucket, [ownership, access, encryption, versioning, lifecycle, policy]
