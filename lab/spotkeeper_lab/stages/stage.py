"""What a rehearsal needs of a cloud: a stand-in that runs on this machine, and a stage around it for the real stack."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from spotkeeper_lab.local import CallCounter, EventLog
from spotkeeper_lab.local.faults import CallFaults
from spotkeeper_lab.provision import Provider

CHECKPOINTS = "spotkeeper-rehearsal-checkpoints"
"""Bucket for the job's checkpoints: a user's own, which the stack does not make."""
HEAD_KEY = "job/head.json"


class Node(Protocol):
    """An instance as the lab sees it."""

    @property
    def dir(self) -> Path:
        """What the node has for its root directory."""


class Nodes(Protocol):
    """The instances of a local cloud."""

    def node(self, node_id: str) -> Node:
        """Return a node, also one that is gone; raises ``KeyError`` where there never was one."""

    def run(self, node_id: str, script: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script on a node for at most ``timeout`` seconds; raises ``ProcessLookupError`` if it is gone."""


class EventFaults(Protocol):
    """What goes wrong with the cloud's own events. May be switched at any time."""

    drop_warnings: bool
    """Lose every warning that a node will go."""
    duplicate: bool
    """Deliver every event several times."""
    shuffle: bool
    """Deliver events late and out of order."""


class Market(Protocol):
    """The spot market."""

    def set_capacity(self, instances: int | None, why: str = ...) -> None:
        """Let at most so many spot instances run from now on, ``None``: any number; others are refused for ``why``."""


class LocalCloud(Protocol):
    """A cloud on this machine: what every rehearsal does to it and asks of it, whichever cloud it is.

    Times and names of what happens are told to :attr:`events`, see :class:`spotkeeper_lab.local.Moment`.
    """

    @property
    def events(self) -> EventLog:
        """Where what happens is written down."""

    @property
    def calls(self) -> CallCounter:
        """Who has called what."""

    @property
    def market(self) -> Market:
        """The spot market."""

    @property
    def nodes(self) -> Nodes:
        """The instances."""

    @property
    def faults(self) -> EventFaults:
        """What goes wrong with the cloud's own events."""

    @property
    def call_faults(self) -> CallFaults[Any]:
        """What goes wrong with calls."""

    def close(self) -> None:
        """End every process, thread and connection."""

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Return the objects of a bucket whose keys begin with ``prefix``. No call is counted."""

    def environment(self, caller: str) -> dict[str, str]:
        """Return what a process needs in its environment to call this cloud under the name of ``caller``."""

    def deploy_function(self) -> None:
        """Start the function, whatever brings it its messages, and the clock that ticks."""

    def kill_function(self) -> None:
        """Kill the function's process, if there is one, and return when it is gone."""

    def interrupt(self, node_id: str, *, warn: bool = True) -> None:
        """Take a node back as the spot market does; ``warn``: whether the account is told as well."""

    def kill(self, node_id: str) -> None:
        """Let a node die without any notice."""

    def freeze(self, node_id: str) -> None:
        """Stop everything that runs on a node."""

    def thaw(self, node_id: str, *, job_only: bool = False) -> None:
        """Let a stopped node go on, or only its training."""

    def send_raw(self, body: str) -> None:
        """Bring the function a message with any text."""


class Stage(Protocol):
    """A local cloud that is open, and what the real stack and its judges have to know of it."""

    name: str
    """As users write it."""
    title: str
    """As people say it."""
    stack: str
    """Name of the stack whose configuration is run."""
    fleet_type: str
    """Type of the component that a destruction is of."""
    checkpoint_uri: str
    """Where the job's checkpoints go: in the bucket :data:`CHECKPOINTS`."""
    commands: bool
    """Whether the responder can tell a node something past the ledger."""
    hooks: bool
    """Whether a node that is let go waits until it has said that it is ready."""

    @property
    def local(self) -> LocalCloud:
        """The cloud itself."""

    def prepare(self) -> Mapping[str, Any]:
        """Make what the stack expects to be there; return the configuration that names it, by key."""

    def provider(self) -> Provider:
        """Return what creates the stack's resources."""

    def find(self) -> tuple[str, str]:
        """Return the id of the fleet and the ledger's bucket, as anybody finds them who has not deployed them."""

    def remains(self, fleet: str, bucket: str) -> list[str]:
        """Return what is there of a destroyed fleet that costs something, acts, or is in the way of its next one.

        In words. Records in the ledger, checkpoints and the agent's archive are kept on purpose and are not among it.
        """

    def heads(self) -> Sequence[bytes]:
        """Return all that the checkpoints' head ever was, oldest first."""

    def rebalance(self, node: str, *, warn: bool) -> None:
        """Recommend to rebalance a node; raises ``NotImplementedError`` where the cloud knows no such thing."""

    def send_foreign(self) -> None:
        """Send a warning about an instance that is nobody's."""
