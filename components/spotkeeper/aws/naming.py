"""Names by convention on AWS: what finds what, without anybody passing ARNs around."""

from dataclasses import dataclass

TAG_FLEET = "spotkeeper:fleet"
TAG_RESPONDER = "spotkeeper:responder"
TAG_GROUP = "spotkeeper:group"

HOOK = "spotkeeper-terminate"
"""Name of the terminate hook on both groups of every fleet."""

MAX_FLEET = 100
"""Longest fleet id: with prefix and suffix it has to fit where AWS takes 128 characters."""
MAX_RESPONDER = 52
"""Longest bucket name of a responder: with the longest suffix it has to fit where AWS takes 64 characters."""


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
