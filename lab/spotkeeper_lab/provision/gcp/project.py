"""Where Google's resources are created, and the table that the other modules here enter their handlers in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from spotkeeper_lab.provision.gcp.rest import Rest
from spotkeeper_lab.provision.table import Table


@dataclass(frozen=True)
class Gcp:
    """Where resources are created."""

    rest: Rest
    project: str
    number: str
    """The project's."""
    region: str
    policies: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever changes who may do what."""

    @property
    def compute(self) -> str:
        """Path of the project in Compute Engine's API."""
        return f"/compute/v1/projects/{self.project}"


TABLE: Table[Gcp] = Table()
creates, updates, deletes, answers = TABLE.creates, TABLE.updates, TABLE.deletes, TABLE.answers
replaces = TABLE.replaces
