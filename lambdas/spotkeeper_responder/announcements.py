"""What people are told of besides alarms: each thing once. Pure.

What happens is remembered under its topic first, and sent after that; once it has been sent that is remembered too. So
it is sent again only where nobody knows whether it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from spotkeeper_ledger import AnnouncementRecord, FleetLedger, FleetSpec
from spotkeeper_responder import limits, plans, sizes
from spotkeeper_responder.model import BACKUP, CONFIGURATION, QUOTA, SPOT, Announcement, FleetView
from spotkeeper_responder.wording import WORDINGS, worded

DROUGHT, JOB, CAP, DEADLINE = "drought", "job", "cap", "deadline"
"""Topics, besides the classes of launch failures that are one each. A topic holds one thing at a time."""
BEGUN, OVER, REACHED, FAILED, RISK = "begun", "over", "reached", "failed", "risk"
"""What can have happened to one; to a job, whatever its state says."""
QUIET_SECONDS = 3600.0
"""Launch failures of one class that are no further apart than this are one occurrence."""


def remembered(spec: FleetSpec, ledger: FleetLedger, now: float) -> dict[str, AnnouncementRecord]:
    """Return the announcements by topic after what the rest of ``ledger`` now holds. For ticks.

    That a drought is over is told of as well, unless the fleet wants no spot any more. Whatever else is over is
    forgotten once it has been sent.
    """
    present = _present(spec, ledger, now)
    after = {topic: known for topic, known in ledger.announcements.items() if topic in present or known.sent_at is None}
    wants_spot = ledger.job_ended_at is None and not limits.stopped(ledger) and plans.asks_for_spot(ledger)
    if DROUGHT not in present and _known(ledger) and wants_spot:
        after[DROUGHT] = AnnouncementRecord(OVER, now)
    for topic, record in present.items():
        if topic not in after or after[topic].word != record.word:
            after[topic] = record
    return after


def due(spec: FleetSpec, view: FleetView, ledger: FleetLedger) -> tuple[Announcement, ...]:
    """Return what is remembered and was not sent, in words. What only a newer version has words for is passed over."""
    waiting = [(topic, r) for topic, r in sorted(ledger.announcements.items()) if r.sent_at is None]
    return tuple(worded(spec, view, ledger, topic, r) for topic, r in waiting if (topic, r.word) in WORDINGS)


def told(ledger: FleetLedger, announced: Iterable[Announcement], now: float) -> dict[str, AnnouncementRecord]:
    """Return the announcements of ``ledger`` with those marked that were sent."""
    after = dict(ledger.announcements)
    for each in announced:
        record = after.get(each.topic)
        if record and record.word == each.word and record.sent_at is None:
            after[each.topic] = replace(record, sent_at=now)
    return after


def _present(spec: FleetSpec, ledger: FleetLedger, now: float) -> Mapping[str, AnnouncementRecord]:
    """Return what is the case at present, and since when."""
    found = {}
    short_since, ended_at = ledger.shortfall_since, ledger.job_ended_at
    if ended_at is not None:
        found[JOB] = AnnouncementRecord(ledger.job_state, _moment(ended_at, now))
    elif short_since is not None and _lasts(spec, ledger, now):
        found[DROUGHT] = AnnouncementRecord(BEGUN, short_since)
    if limits.used_up(spec, ledger):
        found[CAP] = AnnouncementRecord(REACHED, now)
    if plans.problem(ledger):
        found[DEADLINE] = AnnouncementRecord(RISK, now)
    for name in (QUOTA, CONFIGURATION):
        keys = [sizes.failure_key(group, name) for group in (SPOT, BACKUP)]
        last = max((ledger.failures[key].last_at for key in keys if key in ledger.failures), default=None)
        if last is not None and now - last < QUIET_SECONDS:
            found[name] = AnnouncementRecord(FAILED, _moment(last, now))
    return found


def _lasts(spec: FleetSpec, ledger: FleetLedger, now: float) -> bool:
    """Whether there is a drought: spot is refused, and has been missing for longer than a launch may take.

    One that people know of lasts until nothing is missing, whatever is refused, or for whatever reason, meanwhile.
    """
    if _known(ledger):
        return True
    waited = now - (ledger.shortfall_since or now) >= spec.launch_grace_seconds
    return waited and sizes.refusals(spec, ledger).refused


def _known(ledger: FleetLedger) -> bool:
    """Whether a drought has been announced, or is to be, and not its end."""
    record = ledger.announcements.get(DROUGHT)
    return record is not None and record.word == BEGUN


def _moment(at: float, now: float) -> float:
    """Return a time that others have told as one that can have been."""
    return min(max(0.0, at), now)
