"""Reading what the ledger holds of fleets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from spotkeeper_ledger import (
    Board,
    FleetLedger,
    FleetSpec,
    Generation,
    MalformedDocument,
    Progress,
    keys,
    load,
)
from spotkeeper_responder.observe import MAX_NODE_DOCUMENT_BYTES
from spotkeeper_responder.reconcile import fresh

NodeDocument = TypeVar("NodeDocument", Generation, Progress)


class UnknownFleet(Exception):
    """The ledger has no such fleet; the message names those that it has."""


@dataclass(frozen=True)
class Fleet:
    """What the ledger holds of one fleet."""

    spec: FleetSpec
    ledger: FleetLedger
    version: str | None
    """Of ``ledger.json``; ``None`` where the responder has not written one yet."""


@dataclass(frozen=True)
class Job:
    """What the nodes have written about their job; ``None`` where they have written nothing that can be read."""

    generation: Generation | None
    progress: Progress | None


def read_fleets(board: Board) -> list[Fleet]:
    """Return all fleets that have a spec, by name; raises as :func:`read_fleet` does."""
    found = [_find(board, name) for name in sorted(board.list_folders(keys.FLEETS))]
    return [fleet for fleet in found if fleet is not None]


def read_fleet(board: Board, name: str) -> Fleet:
    """Return one fleet.

    Raises:
        UnknownFleet: there is none of this name: never, or no longer.
        MalformedDocument: its spec or its ledger cannot be read.
        BoardError: the ledger cannot be read.
    """
    found = _find(board, name)
    if found is None:
        known = [fleet.spec.fleet for fleet in read_fleets(board)]
        there = f"expected one of {', '.join(known)}" if known else "and this ledger has no fleet at all"
        raise UnknownFleet(f"fleet: was {name!r}, {there}")
    return found


def read_job(board: Board, spec: FleetSpec) -> Job:
    """Return how the fleet's job is."""
    return Job(
        generation=_document(board, Generation, keys.generation(spec.fleet), spec),
        progress=_document(board, Progress, keys.progress(spec.fleet), spec),
    )


def reported_at(board: Board, spec: FleetSpec) -> dict[str, float]:
    """Return when each node's agent has last reported, Unix seconds by the store's clock."""
    start, end = keys.nodes(spec.fleet) + spec.node_prefix, "/report.json"
    found = [entry for entry in board.list(start) if entry.key.endswith(end)]
    return {entry.key.removeprefix(start).removesuffix(end): entry.modified_at for entry in found}


def _find(board: Board, name: str) -> Fleet | None:
    """Return a fleet; ``None`` for one without a spec: it never was, or is being destroyed."""
    try:
        found = board.read(keys.spec(name))
    except ValueError:  # no fleet can have this name
        return None
    if found is None:
        return None
    stored = board.read(keys.ledger(name))
    try:
        spec = load(FleetSpec, found.body)
        ledger = fresh(spec) if stored is None else load(FleetLedger, stored.body)
    except MalformedDocument as error:
        raise MalformedDocument(f"fleet {name}: {error}") from None
    if stored is None:
        return Fleet(spec, ledger, None)
    ours = ledger.incarnation == spec.incarnation
    return Fleet(spec, ledger if ours else fresh(spec, ledger.revision), stored.version)


def _document(board: Board, kind: type[NodeDocument], key: str, spec: FleetSpec) -> NodeDocument | None:
    """Return a document of the fleet's nodes, which nobody has to trust."""
    stored = board.read(key)
    if stored is None:
        return None
    try:
        document = load(kind, stored.body, max_bytes=MAX_NODE_DOCUMENT_BYTES)
    except MalformedDocument:
        return None
    return document if document.incarnation == spec.incarnation else None
