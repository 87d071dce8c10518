"""Buckets and objects."""

from __future__ import annotations

import base64
import json
from typing import Any

from spotkeeper_lab.provision.aws.account import Aws, creates, deletes, updates
from spotkeeper_lab.provision.aws.spelling import pascal, tag_list
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs


@creates("aws:s3/bucket:Bucket")
def bucket(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a bucket; deleting it with its objects is nothing that happens here."""
    given.take("forceDestroy")
    s3, bucket_name = aws.client("s3"), given.take("bucket", name)
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    s3.create_bucket(Bucket=bucket_name, **where)
    if tags := given.take("tags"):
        s3.put_bucket_tagging(Bucket=bucket_name, Tagging={"TagSet": tag_list(tags)})
    return bucket_name, {"bucket": bucket_name, "arn": f"arn:aws:s3:::{bucket_name}", "region": aws.region}


@creates("aws:s3/bucketVersioning:BucketVersioning")
def versioning(aws: Aws, _: str, given: Inputs) -> Created:
    """Set versioning."""
    owner = given.take("bucket")
    aws.client("s3").put_bucket_versioning(
        Bucket=owner, VersioningConfiguration=pascal(given.take("versioningConfiguration"))
    )
    return owner, {}


@creates("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def encryption(aws: Aws, _: str, given: Inputs) -> Created:
    """Set encryption at rest."""
    owner = given.take("bucket")
    configuration = {"Rules": pascal(given.take("rules"))}
    aws.client("s3").put_bucket_encryption(Bucket=owner, ServerSideEncryptionConfiguration=configuration)
    return owner, {}


@creates("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def public_access_block(aws: Aws, _: str, given: Inputs) -> Created:
    """Keep the bucket private."""
    owner = given.take("bucket")
    switches = given.take_all("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    aws.client("s3").put_public_access_block(Bucket=owner, PublicAccessBlockConfiguration=pascal(switches))
    return owner, {}


@creates("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def ownership(aws: Aws, _: str, given: Inputs) -> Created:
    """Set who owns objects."""
    owner = given.take("bucket")
    aws.client("s3").put_bucket_ownership_controls(
        Bucket=owner, OwnershipControls={"Rules": [pascal(given.take("rule"))]}
    )
    return owner, {}


@creates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def lifecycle(aws: Aws, _: str, given: Inputs) -> Created:
    """Set when versions expire."""
    owner = given.take("bucket")
    configuration = {"Rules": pascal(given.take("rules"))}
    aws.client("s3").put_bucket_lifecycle_configuration(Bucket=owner, LifecycleConfiguration=configuration)
    return owner, {}


@creates("aws:s3/bucketPolicy:BucketPolicy")
def policy(aws: Aws, _: str, given: Inputs) -> Created:
    """Set who may use the bucket, less what refuses plain HTTP: the local cloud speaks nothing else."""
    owner, document = given.take("bucket"), json.loads(given.take("policy"))
    kept = [
        each for each in document["Statement"] if each.get("Condition") != {"Bool": {"aws:SecureTransport": "false"}}
    ]
    if kept:
        aws.client("s3").put_bucket_policy(Bucket=owner, Policy=json.dumps({**document, "Statement": kept}))
    return owner, {}


@creates("aws:s3/bucketNotification:BucketNotification")
def notification(aws: Aws, _: str, given: Inputs) -> Created:
    """Send notifications of new objects to queues."""
    owner = given.take("bucket")
    queues = []
    for each in given.take("queues", []):
        rules = [
            {"Name": rule, "Value": each[f"filter{rule.title()}"]}
            for rule in ("prefix", "suffix")
            if f"filter{rule.title()}" in each
        ]
        queues.append(
            {"QueueArn": each["queueArn"], "Events": each["events"], "Filter": {"Key": {"FilterRules": rules}}}
        )
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=owner, NotificationConfiguration={"QueueConfigurations": queues}
    )
    return owner, {}


@creates("aws:s3/bucketObjectv2:BucketObjectv2")
def stored_object(aws: Aws, _: str, given: Inputs) -> Created:
    """Write one object."""
    owner, key, text, encoded = (given.take(each) for each in ("bucket", "key", "content", "contentBase64"))
    body = base64.b64decode(encoded) if encoded is not None else text.encode()
    aws.client("s3").put_object(Bucket=owner, Key=key, Body=body, **pascal(given.take_all("contentType")))
    return f"{owner}/{key}", {"key": key}


@updates("aws:s3/bucketObjectv2:BucketObjectv2", "content")
def rewritten_object(aws: Aws, change: Change) -> dict[str, Any]:
    """Write the object again."""
    stored_object(aws, change.before.name, Inputs(change.inputs))
    return {}


@deletes("aws:s3/bucketObjectv2:BucketObjectv2")
def no_object(aws: Aws, resource: Resource) -> None:
    """Delete an object, all its versions as the provider does."""
    s3, where = aws.client("s3"), {"Bucket": resource.inputs["bucket"]}
    key = resource.inputs["key"]
    found = s3.list_object_versions(Prefix=key, **where)
    for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        if each["Key"] == key:
            s3.delete_object(Key=key, VersionId=each["VersionId"], **where)
