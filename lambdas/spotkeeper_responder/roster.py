"""The roster: which fleet a node belongs to, kept in ``members.json`` so that a foreign event costs one read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from spotkeeper_ledger import ABSENT, BoardError, Conflict, MalformedDocument, Members, dump, keys, load
from spotkeeper_responder.model import Heard, NodeGone, NodeLaunched, NoticeHeard, NoticeWritten, Tick
from spotkeeper_responder.ports import Log
from spotkeeper_responder.watch import WatchedBoard

_TRIES = 3


def read(board: WatchedBoard, log: Log) -> Members | None:
    """Return the roster; ``None`` where the board is away or what it holds is no roster."""
    try:
        with board.before_signal():
            stored = board.read(keys.MEMBERS)
        return Members() if stored is None else load(Members, stored.body)
    except (BoardError, MalformedDocument) as error:
        log("ERROR", "the roster cannot be read", error=f"{type(error).__name__}: {error}")
        return None


def unplaced(heard: Iterable[Heard]) -> set[str]:
    """Return the nodes of events that name no fleet."""
    return {_node(each) for each in heard if each.fleet is None} - {""}


def route(
    heard: Sequence[Heard], fleets: Sequence[str], members: Members | None, owners: Mapping[str, str]
) -> dict[str, list[Heard]]:
    """Return what every fleet has to hear; what is not in the answer is foreign.

    Args:
        heard: the batch.
        fleets: those that a tick goes to.
        members: the roster; ``None`` where it cannot be asked: then fleets that events name are believed.
        owners: the fleet by node, for those that the roster does not hold.
    """
    plan: dict[str, list[Heard]] = {}
    # A node may be launched and noticed in one batch: whoever names its fleet names it for all.
    named = {_node(each): each.fleet for each in heard if each.fleet is not None and _node(each)}
    owners = {**owners, **named, **(members.nodes if members else {})}
    for each in heard:
        for fleet in _addressees(each, fleets, members, owners):
            plan.setdefault(fleet, []).append(each)
    # Those with news first: a tick can wait, a notice cannot.
    return dict(sorted(plan.items(), key=lambda item: all(isinstance(h.event, Tick) for h in item[1])))


def update(
    board: WatchedBoard,
    known: Members | None,
    seen: Mapping[str, frozenset[str]],
    fleets: Collection[str] | None,
    log: Log,
) -> None:
    """Bring the roster up to what was seen; written only if that changes it. A failure is left to the next tick.

    Args:
        board: where it lies.
        known: the roster as it was read a moment ago, if it was.
        seen: the nodes of each fleet that was served.
        fleets: all fleets there are, on a tick: nodes that are gone are dropped then. ``None`` between ticks: nodes are
            only added.
        log: is told of a failure.
    """
    if known is not None and _updated(known, seen, fleets) == known:
        return
    try:
        for _ in range(_TRIES):
            stored = board.read(keys.MEMBERS)
            before = Members() if stored is None else _parse(stored.body)
            after = _updated(before, seen, fleets)
            if after == before:
                return
            try:
                expect = ABSENT if stored is None else stored.version
                board.write(keys.MEMBERS, dump(replace(after, revision=before.revision + 1)), expect=expect)
            except Conflict:
                continue
            return
    except BoardError as error:
        log("WARNING", "the roster was not updated", error=f"{type(error).__name__}: {error}")


def _addressees(
    heard: Heard, fleets: Sequence[str], members: Members | None, owners: Mapping[str, str]
) -> Sequence[str]:
    if isinstance(heard.event, Tick):
        return fleets
    fleet = heard.fleet or owners.get(_node(heard))
    known = members is None or isinstance(heard.event, NoticeWritten) or fleet in members.fleets
    return [fleet] if fleet and known else []


def _node(heard: Heard) -> str:
    return heard.event.node if isinstance(heard.event, NoticeHeard | NodeLaunched | NodeGone) else ""


def _updated(before: Members, seen: Mapping[str, frozenset[str]], fleets: Collection[str] | None) -> Members:
    here = {node: fleet for fleet, nodes in seen.items() for node in nodes}
    if fleets is None:
        return replace(before, nodes={**before.nodes, **here}, fleets=tuple(sorted({*before.fleets, *seen})))
    left = {*fleets} - {*seen}  # not served this time: what was known of them stands
    kept = {node: fleet for node, fleet in before.nodes.items() if fleet in left}
    return replace(before, nodes={**kept, **here}, fleets=tuple(sorted({*seen, *(left & {*before.fleets})})))


def _parse(body: bytes) -> Members:
    try:
        return load(Members, body)
    except MalformedDocument:
        return Members()
