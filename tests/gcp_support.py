"""Compute Engine's metadata server as the local Google Cloud has it, and worse than it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from spotkeeper_lab.local_gcp.metadata import ACCOUNT, FALSE, PREEMPTED, TRUE, Metadata, MetadataServer

NUMBER = "1844674407370955161"
"""The id of every instance here: larger than a JSON number may be."""


@dataclass
class GcpMetadata(Metadata):
    """One node's metadata, which notes what it is asked for."""

    host: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and query of each request."""
    etags: bool = True
    patient: bool = True
    """Whether a request for a change waits for one."""
    silent: bool = False
    """Whether requests are taken and never answered."""

    def answer(self, path: str, query: Mapping[str, Sequence[str]]) -> tuple[int, str, str]:
        with self.changed:
            self.asked.append((path, {name: values[0] for name, values in query.items()}))
            self.changed.wait_for(lambda: not self.silent or self.closed)
            status, value, version = super().answer(path, query)
            return status, value, version if self.etags else ""

    def _wait(self, path: str, wanted: Mapping[str, str]) -> None:
        self.changed.notify_all()  # heard as soon as this one waits, which lets go of the lock
        if self.patient:
            super()._wait(path, wanted)

    def wait_until_asked(self, seconds: float = 10.0) -> None:
        """Return once a request waits for a change."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.waiting > 0, seconds), "nobody waits for a change"

    def give_token(self, token: str, **more: object) -> None:
        """Let the node speak as a service account."""
        self.values[f"{ACCOUNT}token"] = json.dumps({"access_token": token, "expires_in": 3600, **more})


@contextmanager
def serving_gcp(name: str = "node-1", *, spot: bool = True) -> Iterator[GcpMetadata]:
    metadata = GcpMetadata(
        {
            "instance/name": name,
            "instance/id": NUMBER,
            "instance/zone": "projects/123/zones/europe-west4-b",
            "instance/scheduling/preemptible": TRUE if spot else FALSE,
            "instance/network-interfaces/0/ip": "10.0.0.9",
            PREEMPTED: FALSE,
        }
    )
    server = MetadataServer("127.0.0.1", metadata)
    metadata.host = server.host
    try:
        yield metadata
    finally:
        server.close()
