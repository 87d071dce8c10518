"""From words about nodes to one notice record a node: merged, never doubled, ended in time. Pure.

Words come repeated, late and in any order, so every rule here gives the same whichever came first: the graver kind
wins, the earlier deadline wins, and what is over stays over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from spotkeeper_ledger import (
    DRAIN,
    INTERRUPTION,
    REBALANCE,
    SCALE_IN,
    FleetSpec,
    NoticeRecord,
    Signal,
    notice_id,
)
from spotkeeper_responder.model import Event, FleetView, NoticeHeard, State

SENDING, SIGNALLED, ENDED = "sending", "signalled", "ended"
GRAVITY = {REBALANCE: 0, DRAIN: 1, SCALE_IN: 2, INTERRUPTION: 3}
"""A graver kind replaces a lesser one."""
RESEND_SECONDS = 5.0
"""A signal that was remembered as being sent, and not as sent, for this long is sent again: its sender has failed."""
TOMBSTONE_SECONDS = 3600.0
"""How long the record of a node that is gone is kept, so that what is said late about it does nothing."""


def leaving(record: NoticeRecord | None) -> bool:
    """Whether the node of ``record`` will go, or has gone: it is no capacity any more. A drill takes nothing away."""
    return record is not None and record.kind != REBALANCE and not record.drill


def over(record: NoticeRecord) -> bool:
    """Whether nothing is left to be done about the notice."""
    return record.stage == ENDED


def hear(
    spec: FleetSpec,
    view: FleetView,
    records: Mapping[str, NoticeRecord],
    events: Iterable[Event],
    now: float,
    *,
    job_over: bool,
) -> dict[str, NoticeRecord]:
    """Return the records after ``events``, what is seen in ``view`` and the passing of time.

    Words about nodes that neither group lists do nothing: such a node is gone, or not this fleet's.

    Args:
        spec: the fleet's.
        view: both groups.
        records: by node, as remembered.
        events: all but :class:`NoticeHeard` are passed over.
        now: Unix seconds.
        job_over: the job has nothing left to save, so that new notices are recorded without a signal.
    """
    after = dict(records)
    words = sorted((event for event in events if isinstance(event, NoticeHeard)), key=lambda w: (w.event_at, w.kind))
    for name, group in view.groups():
        listed = {i.node: i for i in group.instances}
        words_here = [word for word in words if word.node in listed]
        # A hook that holds a node says that it goes, whether or not the event about it has come.
        held = (node for node, i in listed.items() if i.state is State.HELD and not leaving(after.get(node)))
        words_here += [NoticeHeard(node=node, kind=SCALE_IN, event_at=now) for node in held]
        for word in words_here:
            after[word.node] = _merge(spec, after.get(word.node), word, name, now, job_over=job_over)
    present = view.nodes()
    closed = {node: _close(spec, record, now, present=node in present) for node, record in after.items()}
    return {node: record for node, record in closed.items() if node in present or not _forgotten(record, now)}


def drain(spec: FleetSpec, node: str, group: str, now: float) -> NoticeRecord:
    """Return the record of a node that the responder itself has decided to let go."""
    return _new(spec, NoticeHeard(node=node, kind=DRAIN, event_at=now), group, now, job_over=False)


def due(before: Mapping[str, NoticeRecord], after: Mapping[str, NoticeRecord], now: float) -> tuple[Signal, ...]:
    """Return the signals to send now: of new notices, and of those whose sender never came back to say it was done."""
    return tuple(
        signal_of(node, r) for node, r in sorted(after.items()) if r.stage == SENDING and _due(before.get(node), r, now)
    )


def signal_of(node: str, record: NoticeRecord) -> Signal:
    """Return the order to save that goes with a record."""
    return Signal(
        notice_id=record.notice_id,
        node=node,
        kind=record.kind,
        at=record.heard_at,
        deadline=record.deadline,
        drill=record.drill,
    )


def deadline_of(spec: FleetSpec | type[FleetSpec], word: NoticeHeard) -> float | None:
    """Return when the node goes: what the word says, else what is usual for its kind; ``None`` for a rebalance.

    ``spec`` may be the class itself, for a fleet whose spec cannot be read: its defaults are the cloud's.
    """
    if word.kind == REBALANCE:
        return None
    usual = spec.notice_seconds if word.kind == INTERRUPTION else spec.hook_seconds
    return word.event_at + usual if word.deadline is None else word.deadline


def _due(before: NoticeRecord | None, record: NoticeRecord, now: float) -> bool:
    if (
        before is None
        or before.stage != SENDING
        or (before.notice_id, before.drill, before.heard_at) != (record.notice_id, record.drill, record.heard_at)
    ):
        return True
    return now - record.heard_at >= RESEND_SECONDS


def _merge(
    spec: FleetSpec, record: NoticeRecord | None, word: NoticeHeard, group: str, now: float, *, job_over: bool
) -> NoticeRecord:
    word = replace(word, event_at=min(word.event_at, now))
    if record is None or _supersedes(spec, word, record):
        return _new(spec, word, group, now, job_over=job_over)
    if notice_id(word.node, word.kind) != record.notice_id:
        return record  # a recommendation to rebalance says nothing new about a node that goes
    if (word.drill and not record.drill) or (over(record) and not leaving(record)):
        return record
    deadlines = [d for d in (record.deadline, deadline_of(spec, word)) if d is not None]
    return replace(
        record,
        kind=max(record.kind, word.kind, key=GRAVITY.__getitem__),
        event_at=min(record.event_at, word.event_at),
        deadline=min(deadlines, default=None),
        hook=max(record.hook, word.hook),
        drill=record.drill and word.drill,
    )


def _supersedes(spec: FleetSpec, word: NoticeHeard, record: NoticeRecord) -> bool:
    """Whether the word is of another notice than the record's, and of more weight."""
    if leaving(record):
        return False  # it goes; all further words are about that
    if word.kind != REBALANCE and not word.drill:
        return True
    if word.drill and record.drill and word.kind == record.kind == REBALANCE:  # asked to save once more
        return word.event_at >= record.heard_at + spec.save_gap_seconds
    if over(record):
        return word.event_at > (record.ended_at or 0)  # said after that one was over: not an echo of it
    return word.kind != REBALANCE and record.kind == REBALANCE


def _new(spec: FleetSpec, word: NoticeHeard, group: str, now: float, *, job_over: bool) -> NoticeRecord:
    record = NoticeRecord(
        notice_id=notice_id(word.node, word.kind),
        kind=word.kind,
        group=group,
        event_at=word.event_at,
        heard_at=now,
        deadline=deadline_of(spec, word),
        stage=SENDING,
        hook=word.hook,
        drill=word.drill,
    )
    ignored = word.kind == REBALANCE and not word.drill and spec.on_rebalance == "ignore"
    quiet = job_over or ignored
    return _end(record, now) if quiet else record


def _close(spec: FleetSpec, record: NoticeRecord, now: float, *, present: bool) -> NoticeRecord:
    """Return the record, ended if the node is gone or the notice has come to nothing."""
    if over(record):
        return record
    if record.kind == REBALANCE:
        lapsed = now >= record.event_at + spec.rebalance_expiry_seconds
    else:
        lapsed = record.drill and record.deadline is not None and now >= record.deadline
    return record if present and not lapsed else _end(record, now)


def _end(record: NoticeRecord, now: float) -> NoticeRecord:
    return replace(record, stage=ENDED, ended_at=now)


def _forgotten(record: NoticeRecord, now: float) -> bool:
    return now >= (record.ended_at or now) + TOMBSTONE_SECONDS
