"""Getting signals to agents by two paths, either of which is enough: a command, and ``signal.json`` in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from spotkeeper_ledger import (
    ABSENT,
    REBALANCE,
    Conflict,
    FleetLedger,
    FleetSpec,
    MalformedDocument,
    Signal,
    SignalBoard,
    Unavailable,
    dump,
    keys,
    load,
    notice_id,
)
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.model import Event, NoticeHeard
from spotkeeper_responder.notices import SENDING, deadline_of
from spotkeeper_responder.ports import Cloud, Log
from spotkeeper_responder.watch import WatchedBoard

NODES_PER_COMMAND = 1000
"""Most nodes that one command names: 20 KB, well below the 64 KB that a document may have. AWS names no limit."""
_TRIES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Sent(Fact):
    """Signals that at least one path has taken."""

    version: str
    """Of ``signal.json``; empty where that path failed."""


def send(
    board: WatchedBoard,
    cloud: Cloud,
    log: Log,
    fleet: str,
    signals: Sequence[Signal],
    posted: SignalBoard | None,
    version: str = "",
) -> Sent | None:
    """Send ``signals`` by all paths there are, whatever becomes of the other one; return ``None`` if none took them.

    Args:
        board: the ledger.
        cloud: sends the command.
        log: is told which path failed and why.
        fleet: whose agents.
        signals: at least one.
        posted: what ``signal.json`` is to hold; ``None`` where the ledger could not be asked: then the signals are
            added to whatever it holds, and after the command, because that waits for nothing.
        version: of ``signal.json`` as last heard of; empty where nothing is known.
    """
    ledger = partial(_add, board, fleet, signals) if posted is None else partial(post, board, posted, version)
    paths: list[tuple[str, Callable[[], str]]] = [("signal.json", ledger)]
    real = [signal for signal in signals if not signal.drill]
    if real and cloud.reaches_nodes:  # a command cannot say that it is an exercise
        paths.insert(0 if posted is None else 1, ("command", partial(_command, cloud, fleet, real)))
    taken = {path: _taken(path, fleet, action, log) for path, action in paths}
    if all(answer is None for answer in taken.values()):
        return None
    return Sent(taken["signal.json"] or "")


def post(board: WatchedBoard, posted: SignalBoard, version: str = "") -> str:
    """Put ``posted`` up as ``signal.json``, unless a later decision already has: its signals hold ours.

    Returns:
        The version that it has now.

    Raises:
        BoardError: The ledger does not take it.
    """
    key, body = keys.signals(posted.fleet), dump(posted)
    if version:  # what an earlier decision has put up: if it is still there, there is nothing to be compared with
        with suppress(Conflict):
            return board.write(key, body, expect=version)
    for _ in range(_TRIES):
        stored = board.read(key)
        present = None if stored is None else _parse(stored.body)
        if stored and present and present.incarnation == posted.incarnation and present.revision >= posted.revision:
            return stored.version
        with suppress(Conflict):
            return board.write(key, body, expect=ABSENT if stored is None else stored.version)
    raise Unavailable(f"{key}: others kept writing it")


def blind(events: Iterable[Event], ledger: FleetLedger | None, now: float) -> tuple[Signal, ...]:
    """Return the signals that ``events`` call for when nothing else could be asked, less those known to be sent.

    Only word that a node *will* go: a recommendation can wait until the fleet's choice about it can be read.
    """
    words = (e for e in events if isinstance(e, NoticeHeard) and e.kind != REBALANCE and not e.drill)
    signals = {
        word.node: Signal(notice_id(word.node, word.kind), word.node, word.kind, now, deadline_of(FleetSpec, word))
        for word in words
    }
    known = {} if ledger is None else ledger.notices
    sent = {node for node, record in known.items() if record.stage != SENDING}
    return tuple(s for s in signals.values() if s.node not in sent or known[s.node].notice_id != s.notice_id)


def _taken(path: str, fleet: str, action: Callable[[], str], log: Log) -> str | None:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other path must be tried
        log("ERROR", "a path of signals failed", path=path, fleet=fleet, error=f"{type(error).__name__}: {error}")
        return None


def _command(cloud: Cloud, fleet: str, signals: Iterable[Signal]) -> str:
    """Send one command for each kind of notice: a node must not be told more than is true of it."""
    for kind, grouped in groupby(sorted(signals, key=lambda s: (s.kind, s.node)), key=lambda s: s.kind):
        alike = [*grouped]
        for first in range(0, len(alike), NODES_PER_COMMAND):
            some = alike[first : first + NODES_PER_COMMAND]
            deadlines = [s.deadline for s in some if s.deadline is not None]
            cloud.signal(fleet, kind, min(deadlines, default=None), [s.node for s in some])
    return ""


def _add(board: WatchedBoard, fleet: str, signals: Iterable[Signal]) -> str:
    key = keys.signals(fleet)
    stored = board.read(key)
    present = None if stored is None else _parse(stored.body)
    if stored is None or present is None:
        raise Unavailable(f"{key}: holds nothing to add to")
    new = tuple(signals)
    kept = tuple(s for s in present.signals if s.notice_id not in {n.notice_id for n in new})
    return board.write(key, dump(replace(present, signals=new + kept)), expect=stored.version)


def _parse(body: bytes) -> SignalBoard | None:
    try:
        return load(SignalBoard, body)
    except MalformedDocument:
        return None
