"""What all parts of the local cloud share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_aws.timing import Timing


@dataclass(frozen=True)
class World:
    """The place and the time in which the parts act, and the lock under which they touch moto."""

    work_dir: Path
    timing: Timing
    events: EventLog
    timers: Timers
    region: str = "us-east-1"
    account: str = DEFAULT_ACCOUNT_ID
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held by whoever reads or changes moto's state, and while moto answers a request. Nobody waits for a process
    while holding it."""

    def arn(self, service: str, resource: str) -> str:
        """Return the name of a resource in this region and account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def iso(at: float) -> str:
    """Return Unix seconds as AWS writes them in events and metadata: UTC, whole seconds, rounded down."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
