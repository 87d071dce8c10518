"""Cloud Scheduler: jobs that publish to a topic, all of them once a tick, whatever their schedules say.

Not done: jobs that call addresses, retries, time zones.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from spotkeeper_lab.local_gcp.pubsub import PubSub
from spotkeeper_lab.local_gcp.refusals import invalid, not_done, required
from spotkeeper_lab.local_gcp.services import Given, Kept, Method

_CRON = re.compile(r"[\d*,/-]+( [\d*,/A-Za-z-]+){4}|every .+")
ENABLED, PAUSED = "ENABLED", "PAUSED"


class Scheduler:
    """The jobs of a project."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self.jobs = Kept()

    def fire(self) -> None:
        """Let every job that is not paused do what it does, once."""
        for job in self.jobs:
            if job["state"] == ENABLED:
                self._run(job)

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        jobs = "cloudscheduler.projects.locations.jobs"
        return {
            f"{jobs}.create": lambda asked, body: self._create(asked["parent"], body),
            f"{jobs}.get": lambda asked, _: self.jobs.get(asked["name"]),
            f"{jobs}.list": lambda asked, _: {"jobs": self.jobs.below(asked["parent"])},
            f"{jobs}.patch": self._patch,
            f"{jobs}.delete": lambda asked, _: self.jobs.remove(asked["name"]),
            f"{jobs}.pause": lambda asked, _: self.jobs.patch(asked["name"], {"state": PAUSED}),
            f"{jobs}.resume": lambda asked, _: self.jobs.patch(asked["name"], {"state": ENABLED}),
            f"{jobs}.run": lambda asked, _: self._run(self.jobs.get(asked["name"])),
        }

    def _run(self, job: Given) -> Given:
        target = job["pubsubTarget"]
        data = base64.b64decode(target.get("data", ""))
        self._pubsub.publish(target["topicName"], data, target.get("attributes", {}))
        return job

    def _create(self, parent: str, body: Given) -> Given:
        if not body.get("name"):
            raise required("job.name")
        if not str(body["name"]).startswith(f"{parent}/jobs/"):
            raise invalid("job.name", body["name"], f"Must begin with {parent}/jobs/.")
        _check(body)
        return self.jobs.add(str(body["name"]), {"timeZone": "UTC", **body, "state": ENABLED})

    def _patch(self, asked: Given, body: Given) -> Given:
        _check({**self.jobs.get(asked["name"]), **body})
        return self.jobs.patch(asked["name"], body)


def _check(job: Given) -> None:
    if "pubsubTarget" not in job:
        raise not_done("a job whose target is no topic")
    target = job["pubsubTarget"]
    if not target.get("data") and not target.get("attributes"):
        raise invalid("job.pubsubTarget", target, "Must have either data or at least one attribute.")
    if not _CRON.fullmatch(str(job.get("schedule", ""))):
        raise invalid("job.schedule", job.get("schedule"), "Must be in the unix-cron format.")
