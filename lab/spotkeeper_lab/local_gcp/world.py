"""What all parts of the local Google Cloud share."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol

from spotkeeper_lab.local_gcp.timing import Timing

ROOT = "https://www.googleapis.com/compute/v1/"
"""What the API writes before the path of a resource, wherever it is served."""
PROJECT_NUMBER = "123456789012"
"""The number of the one project; services take it wherever they take the project's id (AIP-2510)."""

REGIONS: Mapping[str, Sequence[str]] = {
    region: tuple(f"{region}-{letter}" for letter in letters)
    for region, letters in {"europe-west4": "abc", "us-central1": "abcf"}.items()
}
"""Region to its zones, where nothing else is said."""


class Later(Protocol):
    """Does things when they are due."""

    def after(self, seconds: float, action: Callable[[], None]) -> object:
        """Do ``action`` in so many seconds; those of one moment in the order in which they were asked for."""


class Tell(Protocol):
    """Is told what happens, when it happens. Called under the world's lock: it must be short."""

    def __call__(self, what: str, node: str | None, /, **details: Any) -> object:
        """Something happened to an instance of that name, or to none."""


@dataclass(frozen=True)
class World:
    """The place and the time in which the parts act, and the lock under which they do."""

    timing: Timing
    later: Later
    tell: Tell
    project: str = "local-project"
    regions: Mapping[str, Sequence[str]] = field(default_factory=lambda: REGIONS)
    lock: threading.RLock = field(default_factory=threading.RLock)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000_000_000_000_007, 1_000_003))
    """Numbers of resources, no two alike in the whole life of the cloud."""

    random: Random = field(default_factory=Random)
    """Where the ends of names come from."""

    def new_id(self) -> str:
        """Return a number that no resource has had."""
        return str(next(self.ids))

    def path(self, *parts: str) -> str:
        """Return the path of a resource of this project."""
        return "/".join(("projects", self.project, *parts))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, under the lock."""

        def locked() -> None:
            with self.lock:
                action()

        self.later.after(seconds, locked)


def now() -> str:
    """Return the time as the API writes it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
