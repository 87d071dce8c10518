"""What a cloud knows of an instance that it has created, and what the lab sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

M = TypeVar("M")
"""What a machine is told about itself, as its cloud's metadata service has it."""


@dataclass(frozen=True)
class Node:
    """An instance as the lab sees it."""

    id: str
    group: str
    """``spot`` or ``backup``, as the instance is labelled; empty where it is not."""
    fleet: str
    """As the instance is labelled; empty where it is not."""
    dir: Path
    """What the node has for its root directory."""
    launched_at: float
    """Unix seconds."""


class MetadataServer(Protocol):
    """Serves a machine's metadata until it is closed."""

    endpoint: str
    """URL."""

    def close(self) -> None:
        """End all connections, and wait for whoever serves them."""


@dataclass(frozen=True)
class Machine(Generic[M]):
    """What a cloud knows of an instance that it has created."""

    id: str
    group: str
    fleet: str
    script: str
    """What runs when it boots, as root would run it; empty: nothing."""
    metadata: M
    serve: Callable[[], MetadataServer]
    """Starts its metadata server; called when it boots."""
    environment: Callable[[str], Mapping[str, str]]
    """What a process finds in its environment so that it finds the metadata server, by that one's URL."""
