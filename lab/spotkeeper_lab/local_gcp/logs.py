"""Cloud Logging: entries on their way through sinks to topics, and to whoever watches for them.

Not done: keeping entries, sinks to other places than topics, exclusions, writing entries over the API.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from spotkeeper_lab.local_gcp import log_filter
from spotkeeper_lab.local_gcp.pubsub import PubSub
from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_done, not_found
from spotkeeper_lab.local_gcp.services import Given, Kept, Method

_TOPIC = "pubsub.googleapis.com/"
Entry = Mapping[str, Any]


class Logs:
    """The entries of a project.

    Args:
        project: its id.
        pubsub: where sinks lead.
    """

    def __init__(self, project: str, pubsub: PubSub) -> None:
        self._project, self._pubsub = project, pubsub
        self.sinks, self.metrics = Kept(), Kept()
        self.watchers: list[Callable[[Entry], object]] = []
        """Are told of every entry."""

    def write(self, entry: Entry) -> list[str]:
        """Write an entry; return the names of the sinks that it went through."""
        found = []
        for sink in self.sinks:
            if not sink.get("disabled") and log_filter.parse(str(sink.get("filter", "")))(entry):
                at = {"logging.googleapis.com/timestamp": str(entry["timestamp"])}
                topic = str(sink["destination"]).removeprefix(_TOPIC)
                try:
                    self._pubsub.publish(topic, json.dumps(entry).encode(), at)
                except Refused:
                    continue  # as on the real thing: a sink whose topic is gone loses what it is given
                found.append(str(sink["name"]))
        for watch in self.watchers:
            watch(entry)
        return found

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        sinks, metrics = "logging.projects.sinks", "logging.projects.metrics"
        return {
            f"{sinks}.create": lambda asked, body: self._sink(asked["parent"], body),
            f"{sinks}.get": lambda asked, _: _told(self.sinks.get(asked["sinkName"])),
            f"{sinks}.update": self._update,
            f"{sinks}.patch": self._update,
            f"{sinks}.delete": lambda asked, _: self.sinks.remove(asked["sinkName"]),
            f"{sinks}.list": lambda asked, _: {"sinks": [_told(one) for one in self.sinks.below(asked["parent"])]},
            f"{metrics}.create": lambda asked, body: self._metric(asked["parent"], body),
            f"{metrics}.get": lambda asked, _: _told(self.metrics.get(asked["metricName"])),
            f"{metrics}.update": lambda asked, body: _told(self.metrics.patch(asked["metricName"], _nameless(body))),
            f"{metrics}.delete": lambda asked, _: self.metrics.remove(asked["metricName"]),
        }

    def _sink(self, parent: str, body: Given) -> Given:
        self._check(body)
        writer = "serviceAccount:service-1@gcp-sa-logging.iam.gserviceaccount.com"
        return _told(self.sinks.add(f"{parent}/sinks/{body['name']}", {**body, "writerIdentity": writer}))

    def _update(self, asked: Given, body: Given) -> Given:
        name = asked["sinkName"]
        self._check({**self.sinks.get(name), **body})
        return _told(self.sinks.patch(name, _nameless(body)))

    def _check(self, body: Given) -> None:
        log_filter.parse(str(body.get("filter", "")))
        destination = str(body.get("destination", ""))
        if not destination.startswith(_TOPIC):
            raise not_done(f"the destination {destination!r} of a sink")
        if body.get("exclusions"):
            raise not_done("the field exclusions of a sink")
        try:
            self._pubsub.topics.get(destination.removeprefix(_TOPIC))
        except Refused:
            raise not_found(destination) from None

    def _metric(self, parent: str, body: Given) -> Given:
        if not body.get("filter"):
            raise invalid("filter", "", "Must not be empty.")
        log_filter.parse(str(body["filter"]))
        return _told(self.metrics.add(f"{parent}/metrics/{body['name']}", body))


_numbers = itertools.count(1)


def preempted(project: str, zone: str, name: str, number: str, happened_at: float) -> Entry:
    """Return what the audit log says of a preemption. Its timestamp is the present: the entry trails the event.

    Args:
        project: its id.
        zone: of the instance.
        name: of the instance.
        number: its id.
        happened_at: when it was preempted, Unix seconds; the entry has it in the id of its operation only.
    """
    method = "compute.instances.preempted"
    operation = f"systemevent-{int(happened_at * 1000)}-{next(_numbers):x}"
    written = time.time()
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": {"message": "Instance was preempted."},
            "authenticationInfo": {"principalEmail": "system@google.com"},
            "serviceName": "compute.googleapis.com",
            "methodName": method,
            "resourceName": f"projects/{project}/zones/{zone}/instances/{name}",
            "request": {"@type": f"type.googleapis.com/{method}"},
        },
        "insertId": uuid4().hex[:12],
        "resource": {
            "type": "gce_instance",
            "labels": {"instance_id": number, "project_id": project, "zone": zone},
        },
        "timestamp": _stamp(written),
        "severity": "INFO",
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2Fsystem_event",
        "operation": {"id": operation, "producer": method, "first": True, "last": True},
        "receiveTimestamp": _stamp(written),
    }


def printed(project: str, function: str, line: str) -> Entry:
    """Return the entry that a line becomes which a function has printed: fields of JSON, or text."""
    resource = {"type": "cloud_run_revision", "labels": {"service_name": function, "project_id": project}}
    entry: dict[str, Any] = {
        "resource": resource,
        "timestamp": _stamp(time.time()),
        "logName": f"projects/{project}/logs/run.googleapis.com%2Fstdout",
        "severity": "DEFAULT",
    }
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return {**entry, "textPayload": line}
    entry["severity"] = str(fields.pop("severity", "DEFAULT"))
    entry["timestamp"] = str(fields.pop("time", entry["timestamp"]))
    return {**entry, "jsonPayload": fields}


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _told(kept: Given) -> Given:
    """A sink and a metric are told by the last part of their names."""
    return {**kept, "name": str(kept["name"]).rpartition("/")[2]}


def _nameless(body: Given) -> Given:
    return {key: value for key, value in body.items() if key != "name"}
