"""A rehearsal on the local AWS."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from spotkeeper_lab.durations import Durations
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_aws import LocalAws, Timing
from spotkeeper_lab.local_aws.events import INTERRUPTION_WARNING
from spotkeeper_lab.provision import Provider
from spotkeeper_lab.provision.aws import Aws, provider
from spotkeeper_lab.stages.aws_remains import remains
from spotkeeper_lab.stages.stage import CHECKPOINTS, HEAD_KEY

CALLER = "pulumi"


class AwsStage:
    """A :class:`~spotkeeper_lab.stages.stage.Stage` around a local AWS."""

    name, title, stack = "aws", "AWS", "local-aws"
    fleet_type = "spotkeeper:index:AwsTrainingFleet"
    checkpoint_uri = f"s3://{CHECKPOINTS}/job"
    commands = hooks = True

    def __init__(self, local: LocalAws) -> None:
        self.local = local

    @classmethod
    def open(cls, work_dir: Path, durations: Durations, events: EventLog) -> Self:
        """See :func:`spotkeeper_lab.stages.open_stage`."""
        known = {field.name for field in fields(Timing)}
        own = {name: value for name, value in durations.cloud.items() if name in known}
        return cls(LocalAws(work_dir, Timing(notice_seconds=durations.notice_seconds, **own), events=events))

    def prepare(self) -> Mapping[str, Any]:
        """Make the bucket for checkpoints; every version is kept, so that the proof sees all that the head ever was."""
        s3 = self.local.client("s3")
        s3.create_bucket(Bucket=CHECKPOINTS)
        s3.put_bucket_versioning(Bucket=CHECKPOINTS, VersioningConfiguration={"Status": "Enabled"})
        return {"subnetIds": self.local.subnet_ids, "imageId": self.local.image_id}

    def provider(self) -> Provider:
        """Return what creates resources by boto3."""
        local = self.local
        return provider(Aws(lambda service: local.client(service, CALLER), local.account, local.region))

    def find(self) -> tuple[str, str]:
        """Find the fleet and its ledger by the tags of the fleet's groups."""
        groups = self.local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
        return tags["spotkeeper:fleet"], tags["spotkeeper:responder"]

    def remains(self, fleet: str, bucket: str) -> list[str]:
        """Return what is there of a destroyed fleet and should not be."""
        return remains(self.local.client, fleet, bucket)

    def heads(self) -> Sequence[bytes]:
        """Return all that the checkpoints' head ever was, oldest first."""
        return head_versions(self.local.client("s3"))

    def rebalance(self, node: str, *, warn: bool) -> None:
        """Recommend to rebalance a node."""
        self.local.rebalance(node, warn=warn)

    def send_foreign(self) -> None:
        """Send an interruption warning of an instance that is nobody's."""
        detail = {"instance-id": f"i-{uuid.uuid4().hex[:17]}", "instance-action": "terminate"}
        self.local.send_event(INTERRUPTION_WARNING, "aws.ec2", detail)


def head_versions(s3: Any) -> list[bytes]:
    """Return every version of the checkpoints' head, oldest first."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=CHECKPOINTS, Prefix=HEAD_KEY)
    versions = [version["VersionId"] for page in pages for version in page.get("Versions", [])]
    return [
        s3.get_object(Bucket=CHECKPOINTS, Key=HEAD_KEY, VersionId=version)["Body"].read()
        for version in reversed(versions)
    ]
