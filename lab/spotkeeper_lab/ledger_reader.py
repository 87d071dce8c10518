"""Reading what lies in the buckets of a rehearsal, as somebody who watches and trusts no node."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from spotkeeper_lab.deployment import CHECKPOINTS, HEAD_KEY
from spotkeeper_ledger import Generation, MalformedDocument, NodeNotice, NodeReport, Progress, keys, load
from spotkeeper_ledger.documents import FleetSpec, Head

Document = TypeVar("Document")
FromNode = TypeVar("FromNode", NodeNotice, NodeReport, Generation, Progress)


class LedgerReader:
    """Reads the objects of one fleet; each of them again only when it has changed.

    Args:
        s3: Client of the local cloud.
        bucket: The ledger's bucket.
        fleet: The fleet's id.
    """

    def __init__(self, s3: Any, bucket: str, fleet: str) -> None:
        self._s3, self._bucket, self._fleet = s3, bucket, fleet
        self._bodies: dict[str, tuple[str, bytes]] = {}
        self._incarnation = ""

    def documents(self) -> Mapping[str, bytes]:
        """Return all objects of the fleet by key."""
        found: dict[str, bytes] = {}
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=keys.fleet_prefix(self._fleet))
        for entry in listed.get("Contents", []):
            key, etag = entry["Key"], entry["ETag"]
            if self._bodies.get(key, ("", b""))[0] != etag:
                with contextlib.suppress(ClientError):  # gone since it was listed
                    answer = self._s3.get_object(Bucket=self._bucket, Key=key)
                    self._bodies[key] = (answer["ETag"], answer["Body"].read())
            if key in self._bodies:
                found[key] = self._bodies[key][1]
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
