"""A rehearsal on the local Google Cloud."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from spotkeeper_lab.durations import Durations
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from spotkeeper_lab.local_gcp.callers import token_of
from spotkeeper_lab.local_gcp.world import PROJECT_NUMBER
from spotkeeper_lab.provision import Provider
from spotkeeper_lab.provision.gcp import Gcp, Rest, provider
from spotkeeper_lab.stages.gcp_remains import remains
from spotkeeper_lab.stages.stage import CHECKPOINTS, HEAD_KEY

CALLER, LAB = "pulumi", "lab"
FLEET, RESPONDER = "spotkeeper-fleet", "spotkeeper-responder"
"""Labels of everything that belongs to a fleet."""


class GcpStage:
    """A :class:`~spotkeeper_lab.stages.stage.Stage` around a local Google Cloud."""

    name, title, stack = "gcp", "Google Cloud", "local-gcp"
    fleet_type = "spotkeeper:index:GcpTrainingFleet"
    checkpoint_uri = f"gs://{CHECKPOINTS}/job"
    commands = hooks = False

    def __init__(self, local: LocalGcp) -> None:
        self.local = local
        self._rest = Rest(local.endpoint, token_of(LAB))

    @classmethod
    def open(cls, work_dir: Path, durations: Durations, events: EventLog) -> Self:
        """See :func:`spotkeeper_lab.stages.open_stage`."""
        return cls(LocalGcp(work_dir, timing(durations), events=events))

    def prepare(self) -> Mapping[str, Any]:
        """Make the bucket for checkpoints; every version is kept, so that the proof sees all that the head ever was."""
        body = {
            "name": CHECKPOINTS,
            "location": self.local.region.upper(),
            "versioning": {"enabled": True},
            "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
        }
        self._rest.call("POST", "/storage/v1/b", body, project=self.local.project)
        return {"subnetwork": "default", "image": f"projects/{self.local.project}/global/images/family/training"}

    def provider(self) -> Provider:
        """Return what creates resources over HTTP."""
        rest = Rest(self.local.endpoint, token_of(CALLER))
        return provider(Gcp(rest, self.local.project, PROJECT_NUMBER, self.local.region))

    def find(self) -> tuple[str, str]:
        """Find the fleet and its ledger by the labels of what its groups start nodes from."""
        where = f"/compute/v1/projects/{self.local.project}/regions/{self.local.region}"
        group = self._rest.call("GET", f"{where}/instanceGroupManagers")["items"][0]
        template = group["versions"][0]["instanceTemplate"].rpartition("/")[2]
        labels = self._rest.call("GET", f"{where}/instanceTemplates/{template}")["properties"]["labels"]
        return labels[FLEET], labels[RESPONDER]

    def remains(self, fleet: str, bucket: str) -> list[str]:
        """Return what is there of a destroyed fleet and should not be."""
        return remains(self._rest, self.local.project, self.local.region, fleet, bucket)

    def heads(self) -> Sequence[bytes]:
        """Return all that the checkpoints' head ever was, oldest first."""
        with self.local.buckets.lock:
            return [stored.body for stored in self.local.buckets.find(CHECKPOINTS).versions(HEAD_KEY)]

    def rebalance(self, node: str, *, warn: bool) -> None:
        """Refuse: the scenario is refused before."""
        raise NotImplementedError(f"{node}: Google Cloud recommends no rebalancing ({warn})")

    def send_foreign(self) -> None:
        """Write the preemption of an instance that is nobody's into the audit log."""
        number = str(uuid.uuid4().int % 10**19)
        self.local.send_event(f"somebody-{number[:4]}", number)


def timing(durations: Durations) -> Timing:
    """Return how long the local cloud takes for its part.

    Its group knows of a lost instance as late as the API does, which is what is told apart here; what follows takes no
    time of its own.
    """
    cloud = durations.cloud
    return Timing(
        notice_seconds=durations.notice_seconds,
        shutdown_seconds=cloud["shutdown_seconds"],
        boot_seconds=cloud["boot_seconds"],
        status_lag_seconds=cloud["replace_delay_seconds"],
        repair_delay_seconds=0.0,
        retry_seconds=max(cloud["replace_delay_seconds"], 0.1),
        operation_seconds=cloud["operation_seconds"],
        audit_seconds=cloud["audit_seconds"],
        tick_seconds=cloud["tick_seconds"],
        redelivery_seconds=cloud["visibility_seconds"],
    )
