"""Reading what lies in the buckets of a rehearsal, as somebody who watches and trusts no node."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, TypeVar

from spotkeeper_lab.deployment import CHECKPOINTS, HEAD_KEY
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_ledger import Generation, MalformedDocument, NodeNotice, NodeReport, Progress, keys, load
from spotkeeper_ledger.documents import FleetSpec, Head

Document = TypeVar("Document")
FromNode = TypeVar("FromNode", NodeNotice, NodeReport, Generation, Progress)


class LedgerReader:
    """Reads the objects of one fleet, past the network: it looks several times a second, and is no part of the fleet.

    Args:
        local: The local cloud.
        bucket: The ledger's bucket.
        fleet: The fleet's id.
    """

    def __init__(self, local: LocalAws, bucket: str, fleet: str) -> None:
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


def heads(s3: Any) -> list[int]:
    """Return the generation of every head that the checkpoints ever had, oldest first."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=CHECKPOINTS, Prefix=HEAD_KEY)
    versions = [version["VersionId"] for page in pages for version in page.get("Versions", [])]
    bodies = [
        s3.get_object(Bucket=CHECKPOINTS, Key=HEAD_KEY, VersionId=version)["Body"].read()
        for version in reversed(versions)
    ]
    return [head.generation for head in (parse(Head, body) for body in bodies) if head is not None]
