"""Looking at one fleet: its spec and ledger, its groups, and what its nodes have written.

What nodes have written is checked before it is believed, and believed about that node only. A document of theirs that
cannot be read is passed over and never keeps the fleet from being looked after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from spotkeeper_ledger import (
    DRAIN,
    NOTICE_KINDS,
    Entry,
    FleetLedger,
    FleetSpec,
    Generation,
    MalformedDocument,
    NodeNotice,
    NodeReport,
    NoticeRecord,
    Progress,
    keys,
    load,
    notice_id,
)
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.drains import CALLS_PER_TICK
from spotkeeper_responder.model import Event, FleetView, JobEnded, NoticeHeard, NoticeWritten, PriceTold, Tick
from spotkeeper_responder.notices import leaving, over
from spotkeeper_responder.ports import PRICE_SECONDS, Cloud, Log
from spotkeeper_responder.reconcile import fresh
from spotkeeper_responder.updates import outdated
from spotkeeper_responder.watch import WatchedBoard

MAX_NODE_DOCUMENT_BYTES = 64 * 1024
"""Largest document of a node that is parsed."""
LOOK_FOR_FAILURES_AFTER_SECONDS = 60.0
"""Age of a shortfall from which on the group's own record is asked why: the event about it may be lost."""
LOST_NOTICES_PER_TICK = 50
"""Most notices of nodes that are read on a tick because nobody has said that they were written."""

NodeDocument = TypeVar("NodeDocument", NodeNotice, NodeReport, Generation, Progress)


@dataclass(frozen=True, eq=False, repr=False)
class Look(Fact):
    """All that is decided on."""

    spec: FleetSpec
    view: FleetView
    ledger: FleetLedger
    version: str | None
    """Of ``ledger.json``; ``None`` where there is none yet."""
    events: tuple[Event, ...]
    """What was heard, and what was found besides."""


@dataclass(frozen=True, eq=False, repr=False)
class Remembered(Fact):
    """A fleet's spec and ledger as read."""

    spec: FleetSpec
    ledger: FleetLedger
    version: str | None


def recall(board: WatchedBoard, fleet: str) -> Remembered | None:
    """Read spec and ledger; ``None`` for a fleet without a spec: it is not made yet, or being destroyed.

    Raises:
        BoardError: The ledger cannot be read.
        MalformedDocument: Neither Pulumi nor a responder can have written it.
    """
    found = board.read(keys.spec(fleet))
    if found is None:
        return None
    spec = load(FleetSpec, found.body)
    stored = board.read(keys.ledger(fleet))
    if stored is None:
        return Remembered(spec, fresh(spec), None)
    return Remembered(spec, load(FleetLedger, stored.body), stored.version)


def look(board: WatchedBoard, cloud: Cloud, known: Remembered, events: Sequence[Event], now: float, log: Log) -> Look:
    """Look at everything that a decision on ``events`` needs.

    Raises:
        BoardError: The ledger cannot be read.
        Exception: Whatever the cloud raises where it cannot be asked.
    """
    spec, tick = known.spec, any(isinstance(event, Tick) for event in events)
    own = keys.nodes(spec.fleet) + spec.node_prefix
    files = {entry.key: entry for entry in board.list(own)}
    spot, backup = cloud.groups(spec)
    view = FleetView(spot, backup, reported_at=_reported_at(spec, files))
    ledger = known.ledger if known.ledger.incarnation == spec.incarnation else fresh(spec, known.ledger.revision)
    reader = _Reader(board, spec, log)
    with board.unhurried():
        found: list[Event] = [event for event in events if not isinstance(event, NoticeWritten)]
        folders = [event.folder for event in events if isinstance(event, NoticeWritten)]
        if tick:
            folders += list(_unheard(spec, view, ledger, files))[:LOST_NOTICES_PER_TICK]
        found += reader.notices(view, dict.fromkeys(folders))
        if tick:
            view = replace(view, reports=reader.reports(_awaited(view, ledger)), members=reader.members(view))
        if ledger.job_ended_at is None and (tick or spec.deadline is not None):
            view = replace(view, progress=reader.progress())
            found += _job_end(view.progress) if tick else []
    since = now if ledger.shortfall_since is None else ledger.shortfall_since
    if tick and (cloud.shows_failures or now - since >= LOOK_FOR_FAILURES_AFTER_SECONDS):
        found += cloud.launch_failures(spec, since - spec.launch_grace_seconds)
    found += _price(cloud, spec, view, ledger, now, log) if tick else []
    return Look(spec, view, known.ledger, known.version, tuple(found))


class _Reader:
    """Reads what nodes have written."""

    def __init__(self, board: WatchedBoard, spec: FleetSpec, log: Log) -> None:
        self._board = board
        self._spec = spec
        self._log = log

    def notices(self, view: FleetView, folders: Iterable[str]) -> Iterator[NoticeHeard]:
        nodes, prefix = view.nodes(), self._spec.node_prefix
        for folder in folders:
            node = folder.removeprefix(prefix)
            if not folder.startswith(prefix) or node not in nodes:
                continue  # of another incarnation, or gone
            notice = self._document(NodeNotice, keys.notice(self._spec.fleet, folder))
            if notice is None or notice.node != node:
                continue
            if notice.kind not in NOTICE_KINDS or notice.notice_id != notice_id(node, notice.kind):
                self._log("WARNING", "notice of no known kind", fleet=self._spec.fleet, node=node, kind=notice.kind)
                continue
            yield NoticeHeard(
                node=node,
                kind=notice.kind,
                event_at=notice.heard_at,
                deadline=notice.deadline,
                drill=notice.drill,
            )

    def reports(self, nodes: Sequence[str]) -> dict[str, NodeReport]:
        found: dict[str, NodeReport] = {}
        for node in nodes:
            report = self._document(NodeReport, keys.report(self._spec.fleet, self._spec.node_prefix + node))
            if report is not None and report.node == node:
                found[node] = report
        return found

    def members(self, view: FleetView) -> frozenset[str]:
        """Who runs the job; asked only where somebody may have to be let go."""
        surplus = len(view.spot.live) > self._spec.spot_target or len(view.backup.live) > self._spec.base
        if not surplus and not any(outdated(self._spec, i) for _, group in view.groups() for i in group.live):
            return frozenset()
        generation = self._document(Generation, keys.generation(self._spec.fleet))
        return frozenset(member.node for member in generation.members) if generation else frozenset()

    def progress(self) -> Progress | None:
        return self._document(Progress, keys.progress(self._spec.fleet))

    def _document(self, kind: type[NodeDocument], key: str) -> NodeDocument | None:
        stored = self._board.read(key)
        if stored is None:
            return None
        try:
            document = load(kind, stored.body, max_bytes=MAX_NODE_DOCUMENT_BYTES)
        except MalformedDocument as error:
            self._log("WARNING", "malformed document of a node", fleet=self._spec.fleet, key=key, error=str(error))
            return None
        ours = (document.fleet, document.incarnation) == (self._spec.fleet, self._spec.incarnation)
        return document if ours else None


def _job_end(progress: Progress | None) -> list[JobEnded]:
    ended = progress is not None and progress.state in ("finished", "failed")
    return [JobEnded(progress.state, progress.at)] if progress is not None and ended else []


def _price(
    cloud: Cloud, spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float, log: Log
) -> list[PriceTold]:
    """Ask for the spot price, where somebody wants to know it and has not asked for some minutes.

    What fails is not tried again before the next tick: the policy knows how old its price is.
    """
    terms, known = spec.deadline, ledger.account.price if ledger.account else None
    if terms is None or terms.spot_price is not None or (known and now - known.at < PRICE_SECONDS):
        return []
    try:
        price = cloud.spot_price(spec, [instance.node for instance in view.spot.live], now)
    except Exception as error:  # noqa: BLE001 - whatever it is, the fleet has to be looked after without a price
        log("WARNING", "the spot price is not known", fleet=spec.fleet, error=f"{type(error).__name__}: {error}")
        return []
    return [] if price is None else [PriceTold(price)]


def _reported_at(spec: FleetSpec, files: Mapping[str, Entry]) -> dict[str, float]:
    start, end = keys.nodes(spec.fleet) + spec.node_prefix, "/report.json"
    return {
        key.removeprefix(start).removesuffix(end): entry.modified_at
        for key, entry in files.items()
        if key.endswith(end)
    }


def _unheard(spec: FleetSpec, view: FleetView, ledger: FleetLedger, files: Mapping[str, Entry]) -> Iterator[str]:
    """Folders of nodes that may have written of a notice that nobody has heard of, or of a graver one."""
    for node in sorted(view.nodes()):
        entry = files.get(keys.notice(spec.fleet, spec.node_prefix + node))
        record = ledger.notices.get(node)
        if entry and not leaving(record) and entry.modified_at > _last_word(record):
            yield spec.node_prefix + node


def _last_word(record: NoticeRecord | None) -> float:
    return 0.0 if record is None else record.ended_at or record.heard_at


def _awaited(view: FleetView, ledger: FleetLedger) -> list[str]:
    """Nodes whose report may hold the confirmation of a notice, those first that are let go once it does."""
    records = {node: ledger.notices[node] for node in view.nodes() if node in ledger.notices}
    waiting = [n for n, r in records.items() if not over(r) and r.confirmed_step is None and n in view.reported_at]
    return sorted(waiting, key=lambda node: (records[node].kind != DRAIN, node))[:CALLS_PER_TICK]
