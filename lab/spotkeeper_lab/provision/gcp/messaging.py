"""Topics, subscriptions, sinks of the audit log, and the clock."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.provision.gcp.project import Gcp, creates
from spotkeeper_lab.provision.gcp.spelling import Fields, one, same, spelled
from spotkeeper_lab.provision.table import Created, Inputs

PUSH: Fields = same("pushEndpoint", "attributes") | {
    "oidcToken": ("oidcToken", one(same("serviceAccountEmail", "audience")))
}


def _expires(policy: dict[str, Any]) -> dict[str, Any]:
    """An empty time to live means that it never does, which the API says with none."""
    return {"ttl": policy["ttl"]} if policy.get("ttl") else {}


SUBSCRIPTION: Fields = {
    **same("topic", "ackDeadlineSeconds", "messageRetentionDuration", "labels", "filter", "enableMessageOrdering"),
    **same("retainAckedMessages", "enableExactlyOnceDelivery"),
    "expirationPolicy": ("expirationPolicy", _expires),
    "pushConfig": ("pushConfig", one(PUSH)),
    "retryPolicy": ("retryPolicy", one(same("minimumBackoff", "maximumBackoff"))),
    "deadLetterPolicy": ("deadLetterPolicy", one(same("deadLetterTopic", "maxDeliveryAttempts"))),
}
"""Inputs of a subscription to its body."""
TOPIC: Fields = same("labels", "messageRetentionDuration", "kmsKeyName", "messageStoragePolicy")
JOB: Fields = {
    **same("description", "schedule", "timeZone", "attemptDeadline"),
    "pubsubTarget": ("pubsubTarget", one(same("topicName", "attributes", "data"))),
}
"""Inputs of a job of the clock to its body."""


@creates("gcp:pubsub/topic:Topic")
def topic(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a topic."""
    short = given.take("name", name)
    path = f"projects/{gcp.project}/topics/{short}"
    gcp.rest.call("PUT", f"/v1/{path}", spelled(given.take_all(*TOPIC), TOPIC))
    return path, {"name": short, "project": gcp.project}


@creates("gcp:pubsub/subscription:Subscription")
def subscription(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a subscription."""
    short = given.take("name", name)
    path = f"projects/{gcp.project}/subscriptions/{short}"
    gcp.rest.call("PUT", f"/v1/{path}", spelled(given.take_all(*SUBSCRIPTION), SUBSCRIPTION))
    return path, {"name": short, "project": gcp.project}


@creates("gcp:logging/projectSink:ProjectSink")
def sink(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Send what of the logs matches a filter somewhere else."""
    unique = bool(given.take("uniqueWriterIdentity", True))
    body = {"name": name, **given.take_all("name", "description", "destination", "filter", "disabled")}
    made = gcp.rest.call("POST", f"/v2/projects/{gcp.project}/sinks", body, uniqueWriterIdentity=str(unique).lower())
    return f"projects/{gcp.project}/sinks/{body['name']}", {
        "name": body["name"],
        "writerIdentity": made["writerIdentity"],
    }


@creates("gcp:cloudscheduler/job:Job")
def job(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Do something by the clock."""
    short, region = given.take("name", name), given.take("region", gcp.region)
    parent = f"projects/{gcp.project}/locations/{region}"
    path = f"{parent}/jobs/{short}"
    gcp.rest.call("POST", f"/v1/{parent}/jobs", {"name": path, **spelled(given.take_all(*JOB), JOB)})
    return path, {"name": short, "state": "ENABLED"}
