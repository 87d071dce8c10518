"""The names of a fleet's groups and nodes on Google Cloud.

Groups are ``spotkeeper-<fleet>-spot`` and ``spotkeeper-<fleet>-backup``, which their instances' names begin with, and
nodes are what :func:`~spotkeeper_ledger.gce.node_name` says.
"""

from __future__ import annotations

import re

from spotkeeper_ledger.gce import node_name
from spotkeeper_responder.model import BACKUP, SPOT

INSTANCE = re.compile(r"spotkeeper-([a-z0-9][a-z0-9-]{0,39})-(spot|backup)-[a-z0-9]{4}")
"""Names of fleets' instances; Compute Engine allows 63 characters, which leaves 40 to the fleet's id."""
_NUMBER = re.compile(r"[0-9]{1,20}")


def node_of(instance: str, number: str) -> str:
    """Return the node that an instance is.

    Args:
        instance: its name.
        number: its ``id``.

    Raises:
        ValueError: It is no instance of a fleet.
    """
    if not INSTANCE.fullmatch(instance):
        raise ValueError(f"instance: was {instance[:80]!r}, expected one of a fleet")
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"number: was {number[:40]!r}, expected the instance's id, digits")
    return node_name(instance, number)


def place_of(node: str) -> tuple[str, str] | None:
    """Return fleet and group (``spot``, ``backup``) of a node, or ``None`` for what is no node of a fleet."""
    match = INSTANCE.fullmatch(node.partition(".")[0])
    return (match[1], SPOT if match[2] == SPOT else BACKUP) if match else None
