"""Getting signals to agents by two paths, either of which is enough: a command, and ``signal.json`` in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
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
from spotkeeper_responder.model import Event, NoticeHeard
from spotkeeper_responder.notices import SENDING, deadline_of
from spotkeeper_responder.ports import Cloud, Log
from spotkeeper_responder.watch import WatchedBoard

NODES_PER_COMMAND = 50
"""Most nodes that one command names; above that it takes several."""
_TRIES = 3


def send(
    board: WatchedBoard, cloud: Cloud, log: Log, fleet: str, signals: Sequence[Signal], posted: SignalBoard | None
) -> bool:
    """Send ``signals`` by both paths, whatever becomes of the other one; return whether one of them took them.

    Args:
        board: the ledger.
        cloud: sends the command.
        log: is told which path failed and why.
        fleet: whose agents.
        signals: at least one.
        posted: what ``signal.json`` is to hold; ``None`` where the ledger could not be asked: then the signals are
            added to whatever it holds, and after the command, because that waits for nothing.
    """
    ledger = partial(_add, board, fleet, signals) if posted is None else partial(post, board, posted)
    paths: list[tuple[str, Callable[[], None]]] = [("signal.json", ledger)]
    real = [signal for signal in signals if not signal.drill]
    if real:  # a command cannot say that it is an exercise
        paths.insert(0 if posted is None else 1, ("command", partial(_command, cloud, fleet, real)))
    taken = [_taken(path, fleet, action, log) for path, action in paths]
    return any(taken)


def post(board: WatchedBoard, posted: SignalBoard) -> None:
    """Put ``posted`` up as ``signal.json``, unless a later decision already has: its signals hold ours.

    Raises:
        BoardError: The ledger does not take it.
    """
    key = keys.signals(posted.fleet)
    for _ in range(_TRIES):
        stored = board.read(key)
        present = None if stored is None else _parse(stored.body)
        if present and present.incarnation == posted.incarnation and present.revision >= posted.revision:
            return
        try:
            board.write(key, dump(posted), expect=ABSENT if stored is None else stored.version)
        except Conflict:
            continue
        return
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


def _taken(path: str, fleet: str, action: Callable[[], None], log: Log) -> bool:
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other path must be tried
        log("ERROR", "a path of signals failed", path=path, fleet=fleet, error=f"{type(error).__name__}: {error}")
        return False
    return True


def _command(cloud: Cloud, fleet: str, signals: Iterable[Signal]) -> None:
    """Send one command for each kind of notice: a node must not be told more than is true of it."""
    for kind, grouped in groupby(sorted(signals, key=lambda s: (s.kind, s.node)), key=lambda s: s.kind):
        alike = [*grouped]
        for first in range(0, len(alike), NODES_PER_COMMAND):
            some = alike[first : first + NODES_PER_COMMAND]
            deadlines = [s.deadline for s in some if s.deadline is not None]
            cloud.signal(fleet, kind, min(deadlines, default=None), [s.node for s in some])


def _add(board: WatchedBoard, fleet: str, signals: Iterable[Signal]) -> None:
    key = keys.signals(fleet)
    stored = board.read(key)
    present = None if stored is None else _parse(stored.body)
    if stored is None or present is None:
        raise Unavailable(f"{key}: holds nothing to add to")
    new = tuple(signals)
    kept = tuple(s for s in present.signals if s.notice_id not in {n.notice_id for n in new})
    board.write(key, dump(replace(present, signals=new + kept)), expect=stored.version)


def _parse(body: bytes) -> SignalBoard | None:
    try:
        return load(SignalBoard, body)
    except MalformedDocument:
        return None
