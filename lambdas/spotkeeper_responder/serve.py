"""Serving one fleet: look, decide, remember, act, remember the outcome; and again, whenever somebody else was quicker.

Nothing is done that is not remembered first, under a revision that was won; the outcome is written under that same
revision. If that write is lost, somebody has decided in between: so we look again before we return, and the last to
finish agrees with the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from spotkeeper_ledger import ABSENT, DRAIN, Conflict, FleetLedger, Signal, SignalBoard, dump, keys
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder import pacing
from spotkeeper_responder.model import SPOT, Announcement, Decision, Event, Facts, NoticeHeard, NoticeWritten
from spotkeeper_responder.observe import Look, Remembered, look, recall
from spotkeeper_responder.ports import Cloud, Log, TimeLeft
from spotkeeper_responder.reconcile import decide, settle
from spotkeeper_responder.signals import blind, send
from spotkeeper_responder.watch import WatchedBoard


class Unserved(Exception):
    """A fleet could not be served to the end; its messages have to come again."""


@dataclass(frozen=True, eq=False, repr=False)
class Means(Fact):
    """What a batch is served with."""

    board: WatchedBoard
    cloud: Cloud
    log: Log
    now: Callable[[], float]
    """Unix seconds."""
    time_left: TimeLeft
    pause: Callable[[float], None]
    """Sleeps for seconds."""


@dataclass(slots=True)
class Served:
    """What came of serving a fleet."""

    nodes: frozenset[str] | None = None
    """All nodes of both groups; ``None`` for a fleet without a spec."""
    facts: Facts = field(default_factory=Facts)
    signalled: dict[str, str] = field(default_factory=dict)
    """Notice ids that were signalled, by node."""
    seconds_to_signal: list[float] = field(default_factory=list)
    """From each event to its signal."""
    terminated: set[str] = field(default_factory=set)
    """Nodes whose termination was accepted."""
    announced: list[Announcement] = field(default_factory=list)
    """What people were told of."""
    signals_version: str = ""
    """Of ``signal.json`` as written; empty where it was not."""
    problems: list[str] = field(default_factory=list)
    """What went wrong when the last decision was carried out."""
    lost: bool = False
    """Whether somebody else was quicker at least once."""
    rest_seconds: float = 0.0
    """How long to rest before the next batch."""


def serve(means: Means, fleet: str, events: Sequence[Event]) -> Served:
    """Serve ``fleet``.

    Raises:
        Unserved: Something could not be read, decided, remembered or done, and what. What could be signalled has been.
    """
    served, done = Served(), False
    while not done:
        if means.time_left() <= 0:
            raise Unserved("no time is left: others kept writing its ledger, or it was never its turn")
        began = means.now()
        try:
            done = _served(means, fleet, events, served)
        except Exception as error:
            raise Unserved(f"{type(error).__name__}: {error}") from error
        finally:
            means.board.refill()
        if not done:
            served.lost = True
            means.pause(min(pacing.yield_seconds(means.now() - began), max(0.0, means.time_left())))
    if served.problems:
        raise Unserved("; ".join(served.problems))
    return served


def _served(means: Means, fleet: str, events: Sequence[Event], served: Served) -> bool:
    """Serve the fleet once; return whether nobody else has interfered."""
    known: Remembered | None = None
    signals: tuple[Signal, ...] = ()
    hurry = any(isinstance(event, NoticeHeard | NoticeWritten) for event in events)
    try:
        with means.board.before_signal() if hurry else nullcontext():
            known = recall(means.board, fleet)
            if known is None:
                return _unclaimed(means, fleet, events)
            signals = blind(events, known.ledger, means.now())
            seen = look(means.board, means.cloud, known, events, means.now(), means.log)
            decision = _decide(seen, served, means.now())
            signals = decision.signals
            kept = _remember(means.board, seen, decision)
    except Conflict:
        return False
    except Exception:
        urgent = signals if known is not None else blind(events, None, means.now())
        # A drain is our own decision: nobody must be told of one that is not remembered.
        urgent = tuple(s for s in urgent if s.kind != DRAIN and served.signalled.get(s.node) != s.notice_id)
        if urgent:
            send(means.board, means.cloud, means.log, fleet, urgent, None)
        raise
    served.nodes, served.facts = seen.view.nodes(), decision.facts
    served.rest_seconds = _rest_seconds(seen, decision, served, means.now())
    if not decision.acts:
        return True
    _act(means, seen, decision, kept, served)
    return _remember_outcome(means, kept, served)


def _rest_seconds(seen: Look, decision: Decision, served: Served, now: float) -> float:
    ages = (now - decision.ledger.notices[signal.node].event_at for signal in decision.signals)
    return pacing.rest_seconds(seen.spec, decision.ledger, now, waited=max(ages, default=0.0), lost=served.lost)


@dataclass(frozen=True, eq=False, repr=False)
class _Kept(Fact):
    """A ledger as written."""

    ledger: FleetLedger
    version: str


def _decide(seen: Look, served: Served, now: float) -> Decision:
    ledger = settle(seen.ledger, served.signalled, served.terminated, now, announced=served.announced)
    return decide(seen.spec, seen.view, ledger, seen.events, now)


def _remember(board: WatchedBoard, seen: Look, decision: Decision) -> _Kept:
    if decision.ledger == seen.ledger and not decision.acts and seen.version is not None:
        return _Kept(seen.ledger, seen.version)
    return _write(board, decision.ledger, seen.version)


def _remember_outcome(means: Means, kept: _Kept, served: Served) -> bool:
    ledger = settle(kept.ledger, served.signalled, served.terminated, means.now(), announced=served.announced)
    ledger = replace(ledger, signals_version=served.signals_version or ledger.signals_version)
    try:
        _write(means.board, ledger, kept.version)
    except Conflict:
        return False
    return True


def _write(board: WatchedBoard, ledger: FleetLedger, version: str | None) -> _Kept:
    after = replace(ledger, revision=ledger.revision + 1)
    expect = ABSENT if version is None else version
    return _Kept(after, board.write(keys.ledger(after.fleet), dump(after), expect=expect))


def _unclaimed(means: Means, fleet: str, events: Sequence[Event]) -> bool:
    """Serve a fleet without a spec. If it had one it is being destroyed: nodes are told, sizes are left alone."""
    urgent = blind(events, None, means.now())
    if urgent and means.board.read(keys.ledger(fleet)) is not None:
        send(means.board, means.cloud, means.log, fleet, urgent, None)
    return True


def _act(means: Means, seen: Look, decision: Decision, kept: _Kept, served: Served) -> None:
    """Carry out a decision, signals first; what fails does not keep the rest from being done."""
    served.problems = []
    cloud, spec = means.cloud, seen.spec
    if decision.signals:
        revision = kept.ledger.revision
        posted = SignalBoard(spec.fleet, spec.incarnation, revision, signals=decision.standing)
        version = kept.ledger.signals_version
        if sent := send(means.board, cloud, means.log, spec.fleet, decision.signals, posted, version):
            _note_signals(decision, served, means.now())
            served.signals_version = sent.version
        else:
            served.problems.append("no path took the signals")
    for group, desired in decision.sizes.items():
        name = spec.spot_group if group == SPOT else spec.backup_group
        _try(served, partial(cloud.resize, name, desired))
    for completion in decision.completions:
        _try(served, partial(cloud.complete, completion))
    for termination in decision.terminations:
        if _try(served, partial(cloud.terminate, termination)):
            served.terminated.add(termination.node)
    _announce(means, decision, served)


def _announce(means: Means, decision: Decision, served: Served) -> None:
    """Tell people. What fails is left to the next tick: a topic that is away must not keep fleets from being served."""
    try:
        for announcement in decision.announcements:
            if means.time_left() <= 0:
                return
            means.cloud.announce(announcement.subject, announcement.text)
            served.announced.append(announcement)
    except Exception as error:  # noqa: BLE001 - whatever it is, the fleet has been served
        why = f"{type(error).__name__}: {error}"
        means.log("WARNING", "people were not told", fleet=decision.ledger.fleet, error=why)


def _note_signals(decision: Decision, served: Served, now: float) -> None:
    for signal in decision.signals:
        served.signalled[signal.node] = signal.notice_id
        served.seconds_to_signal.append(max(0.0, now - decision.ledger.notices[signal.node].event_at))


def _try(served: Served, action: Callable[[], None]) -> bool:
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the rest of the decision has to be carried out; the caller hears of it
        served.problems.append(f"{type(error).__name__}: {error}")
        return False
    return True
