"""Names by convention on AWS: what finds what, without anybody passing ARNs around."""

import re
from dataclasses import dataclass

from spotkeeper.errors import InputError
from spotkeeper_ledger import keys

SPOT, BACKUP = "spot", "backup"

TAG_FLEET = "spotkeeper:fleet"
TAG_RESPONDER = "spotkeeper:responder"
TAG_GROUP = "spotkeeper:group"

HOOK = "spotkeeper-terminate"
"""Name of the terminate hook on both groups of every fleet."""
GROUP_PREFIX = "spotkeeper-"
"""What every group's name starts with: event rules and policies go by it."""

MAX_FLEET = 100
"""Longest fleet id: with prefix and suffix it has to fit where AWS takes 128 characters."""
MAX_RESPONDER = 52
"""Longest bucket name of a responder: with the longest suffix it has to fit where AWS takes 64 characters."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_S3_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.'()=/-]*))?")
_FOREIGN = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True)
class S3Uri:
    """``s3://bucket/prefix``; the prefix has no slash at either end and may be empty."""

    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        """The URI, without a slash at its end."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def objects(self) -> str:
        """Every object below the URI, as the resource part of an ARN."""
        return f"{self.bucket}/{self.prefix}/*" if self.prefix else f"{self.bucket}/*"


@dataclass(frozen=True)
class Place:
    """Where resources are: what every ARN starts with."""

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a regional resource of this account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def s3(self, resource: str) -> str:
        """Return the ARN of a bucket or of objects."""
        return f"arn:{self.partition}:s3:::{resource}"

    def groups(self, names: str) -> str:
        """Return the ARN of the Auto Scaling groups of these names; the id that AWS puts in the middle matches any."""
        return self.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{names}")


def fleet_id(project: str, stack: str, name: str) -> str:
    """Return ``<project>-<stack>-<name>`` in lower case, other characters than letters, digits and hyphens as hyphens.

    Raises:
        InputError: the id is longer than :data:`MAX_FLEET`, or starts with a hyphen.
    """
    fleet = _FOREIGN.sub("-", f"{project}-{stack}-{name}".lower())
    try:
        keys.check_fleet(fleet)
    except ValueError:
        raise InputError("name", name, f"a name that makes a fleet id, not {fleet!r}") from None
    if len(fleet) > MAX_FLEET:
        raise InputError("name", name, f"a shorter one: the fleet id {fleet!r} may have {MAX_FLEET} characters")
    return fleet


def group_name(fleet: str, kind: str) -> str:
    """Return the name of the fleet's Auto Scaling group of this kind (``spot`` or ``backup``)."""
    return f"{GROUP_PREFIX}{fleet}-{kind}"


def parse_responder(uri: str) -> str:
    """Return the responder that ``s3://<its ledger bucket>`` names."""
    bucket = uri.removeprefix("s3://").rstrip("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise InputError("responder", uri, "the uri of an AwsInterruptionResponder: s3://<its ledger bucket>")
    return bucket


def parse_checkpoint_uri(uri: str) -> S3Uri:
    """Return bucket and prefix of the checkpoint URI.

    Characters that an IAM policy would take for a pattern are refused, because the prefix becomes a part of one.
    """
    match = _S3_URI.fullmatch(uri)
    if match is None:
        raise InputError("checkpoint_uri", uri, "s3://bucket/prefix of letters, digits and any of !_.'()=/-")
    return S3Uri(match[1], (match[2] or "").strip("/"))


def check_apart(checkpoint: S3Uri, responder: str) -> S3Uri:
    """Return ``checkpoint`` if it is not where the ledger keeps what a node must not write."""
    if checkpoint.bucket == responder and checkpoint.prefix.split("/")[0] in ("", "fleets", "agent", keys.MEMBERS):
        raise InputError(
            "checkpoint_uri",
            checkpoint.uri,
            "another bucket, or another folder than the responder's own: nodes may write what lies below this URI",
        )
    return checkpoint


def check_bucket_name(name: str) -> str:
    """Return the ledger bucket's name if the names of the responder's other parts can be made of it."""
    if not _BUCKET.fullmatch(name) or len(name) > MAX_RESPONDER:
        raise InputError("bucket_name", name, f"3 to {MAX_RESPONDER} lower-case letters, digits and hyphens")
    return name


def function_name(responder: str) -> str:
    """Return the name of the responder's function, and of its role."""
    return f"{responder}-responder"


def queue_name(responder: str) -> str:
    """Return the name of the queue that all events go through."""
    return f"{responder}-events"


def dead_letter_name(responder: str) -> str:
    """Return the name of the queue for what could not be delivered or handled."""
    return f"{responder}-events-dead"


def document_name(responder: str) -> str:
    """Return the name of the SSM document that signals nodes."""
    return f"{responder}-notice"


def topic_name(responder: str) -> str:
    """Return the name of the topic for alarms."""
    return f"{responder}-alerts"
