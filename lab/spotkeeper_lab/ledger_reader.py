"""Reading what lies in the buckets of a rehearsal, as somebody who watches and trusts no node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from spotkeeper_lab.stages.stage import LocalCloud
from spotkeeper_ledger import Generation, MalformedDocument, NodeNotice, NodeReport, Progress, keys, load
from spotkeeper_ledger.checkpoints import Head
from spotkeeper_ledger.documents import FleetSpec

Document = TypeVar("Document")
FromNode = TypeVar("FromNode", NodeNotice, NodeReport, Generation, Progress)


class LedgerReader:
    """Reads the objects of one fleet, past the network: it looks several times a second, and is no part of the fleet.

    Args:
        local: The local cloud.
        bucket: The ledger's bucket.
        fleet: The fleet's id.
    """

    def __init__(self, local: LocalCloud, bucket: str, fleet: str) -> None:
        self._local, self._bucket, self._fleet = local, bucket, fleet
        self._incarnation = ""

    def documents(self) -> Mapping[str, bytes]:
        """Return all objects of the fleet by key."""
        found = self._local.objects(self._bucket, keys.fleet_prefix(self._fleet))
        spec = parse(FleetSpec, found.get(keys.spec(self._fleet)))
        self._incarnation = spec.incarnation if spec else self._incarnation
        return found

    def from_node(self, kind: type[FromNode], body: bytes | None) -> FromNode | None:
        """Return a document that a node has written, ``None`` for one that is not of this fleet's incarnation."""
        document = parse(kind, body)
        if document is None or (document.fleet, document.incarnation) != (self._fleet, self._incarnation):
            return None
        return document


def parse(kind: type[Document], body: bytes | None) -> Document | None:
    """Return a document, ``None`` where there is none or where it cannot be read."""
    with contextlib.suppress(MalformedDocument):
        return load(kind, body) if body is not None else None
    return None


def heads(bodies: Iterable[bytes]) -> list[int]:
    """Return the generation of every head that can be read."""
    return [head.generation for head in (parse(Head, body) for body in bodies) if head is not None]
