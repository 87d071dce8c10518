"""What has to hold where the cloud itself failed: crashes, throttling, a ledger that was away, launches that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import sqrt

from spotkeeper_lab.evidence import FOREVER, LAG_SECONDS, Evidence
from spotkeeper_lab.timeline import BACKUP, SPOT, Fault, Notice, Timeline, last
from spotkeeper_ledger.documents import notice_id

CALLERS: Mapping[str, str] = {"responder": "the responder", "agents": "the agents"}
"""Callers that have to meet a fault for it to prove anything, in words."""
FEWEST_CALLS = 10
"""Fewest calls of a caller that say anything about a share of them."""
SIGMAS = 4.0
"""How many standard deviations a share of refused calls may be off."""


def _crashed_in_between(evidence: Evidence) -> Iterator[str]:
    """A function that died had remembered and not acted, and its message came again to another process."""
    timeline = evidence.timeline
    for fault in _of(timeline, "crash"):
        settled = fault.detail.get("settled", ())
        if fault.ended_at is None or not settled:
            yield "nothing was proved: the function never died between remembering a notice and acting on it"
            continue
        for notice in timeline.notices:
            if notice_id(notice.node, notice.kind) in settled:
                yield from _not_sent_before(notice, fault.ended_at)
        if not any(at > fault.ended_at for at in timeline.repeated):
            yield "nothing was proved: what the dead function had been given was not given to another one"


def _not_sent_before(notice: Notice, died_at: float) -> Iterator[str]:
    sent = [at for at in (notice.signalled_at, notice.first_command_at) if at is not None and at <= died_at]
    if sent:
        yield (
            f"nothing was proved: {notice.node} was told of its {notice.kind} {died_at - min(sent):.1f} s before the "
            "function died, which should have died before that"
        )


def _share_was_refused(evidence: Evidence) -> Iterator[str]:
    """About as many calls were refused as the scenario asked for, of the responder and of the agents."""
    for fault in _of(evidence.timeline, "throttle"):
        if fault.ended_at is None:
            yield "nothing was proved: the rehearsal ended before the throttling did"
            continue
        share = fault.detail["share"]
        for caller, words in CALLERS.items():
            calls = fault.detail["calls"].get(caller, 0)
            refused = fault.detail["refused"].get(caller, 0)
            if calls < FEWEST_CALLS:
                yield f"nothing was proved: {words} made {calls} calls while calls were refused"
            elif abs(refused / calls - share) > SIGMAS * sqrt(share * (1 - share) / calls):
                yield f"nothing was proved: {refused} of {calls} calls of {words} were refused, expected {share:.0%}"


def _dark_was_met(evidence: Evidence) -> Iterator[str]:
    """The ledger was away for all, and came back; a node was interrupted meanwhile and told past the ledger."""
    timeline = evidence.timeline
    for fault in _of(timeline, "dark"):
        if fault.ended_at is None:
            yield "nothing was proved: the rehearsal ended before the ledger was back"
            continue
        for caller, words in CALLERS.items():
            for fare in ("hung", "refused"):
                if not fault.detail[fare].get(caller):
                    yield f"nothing was proved: no call of {words} {fare} while the ledger was away"
        noticed = [each for each in timeline.interruptions if fault.began_at <= each.at]
        within = [each for each in noticed if each.deadline is not None and each.deadline <= fault.ended_at]
        if not within:
            yield "nothing was proved: no notice came and was over while the ledger was away"
        for notice in within:
            told_at, who = notice.first_command_at, "no command told"
            if not evidence.commands:
                told_at, who = notice.heard_at, "its own metadata did not tell"
            if told_at is None or told_at > (notice.deadline or 0):
                yield f"{who} {notice.node} of its {notice.kind} while the ledger was away"


def _dark_changed_nothing(evidence: Evidence) -> Iterator[str]:
    """While the ledger was away no size was touched, nobody was declared dead, and the job went on."""
    timeline = evidence.timeline
    for fault in _of(timeline, "dark"):
        end = timeline.ended_at if fault.ended_at is None else fault.ended_at
        for group in (SPOT, BACKUP):
            for at, size in timeline.desired[group]:
                if fault.began_at + LAG_SECONDS < at < end:
                    yield f"{size} {group} nodes were asked for {at - fault.began_at:.1f} s after the ledger went away"
        yield from _declared_dead(timeline, fault)
        if evidence.trains:
            yield from _went_on(timeline, fault.began_at, end)


def _declared_dead(timeline: Timeline, fault: Fault) -> Iterator[str]:
    for before, after in pairwise(timeline.holdings):
        known = [notice.node for notice in timeline.notices if notice.at <= after.start]
        known += [strike.node for strike in timeline.strikes if strike.at <= after.start]
        if after.start > fault.began_at and before.node not in (*known, *after.nodes):
            yield f"{after.node} took the job of {before.node}, which had only been unable to reach the ledger"


def _went_on(timeline: Timeline, began: float, end: float) -> Iterator[str]:
    """The holder goes on until it is noticed itself: it makes steps in the last half of that time."""
    holder = next((each.node for each in reversed(timeline.holdings) if each.start <= began), None)
    noticed = [notice.at for notice in timeline.notices if notice.node == holder and notice.at >= began]
    until = min([end, *noticed])
    before, after = (last(timeline.steps, at) for at in ((began + until) / 2, until))
    if holder is None or before is None or after is None or after <= before:
        half = (until - began) / 2
        yield f"the job did not go on without the ledger: step {before} after {half:.1f} s, {after} after twice that"


def _held_while_blocked(evidence: Evidence) -> Iterator[str]:
    """While launches failed for a quota or the configuration, and no node was lost, sizes stayed what they were."""
    timeline = evidence.timeline
    told = min((*(each.at for each in timeline.notices), *(each.at for each in timeline.strikes)), default=FOREVER)
    for why in dict.fromkeys(why for _, why in timeline.blocked):
        failed = [at for at, each in timeline.blocked if each == why]
        for group in (SPOT, BACKUP):
            for (_, before), (at, size) in pairwise(timeline.desired[group]):  # what is seen first is no change
                if size != before and failed[0] < at <= min(failed[-1], told):
                    yield (
                        f"{size} {group} nodes were asked for {at - failed[0]:.1f} s after launches began to fail for "
                        f"{why}, expected {before} as before"
                    )


def _alarms_as_expected(evidence: Evidence) -> Iterator[str]:
    """Whoever is on call is called for what the scenario says, and for nothing else."""
    rang = {alarm.name: alarm for alarm in evidence.timeline.alarms}
    for name in evidence.expect.alarms:
        if not any(each.endswith(f"-{name}") for each in rang):
            yield f"the alarm {name} did not ring"
    for name, alarm in rang.items():
        if not any(name.endswith(f"-{each}") for each in (*evidence.expect.alarms, *evidence.expect.may_ring)):
            yield f"the alarm {name} rang and nobody should have been called: {alarm.reason}"


def _of(timeline: Timeline, kind: str) -> list[Fault]:
    return [fault for fault in timeline.faults if fault.kind == kind]


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    _crashed_in_between,
    _share_was_refused,
    _dark_was_met,
    _dark_changed_nothing,
    _held_while_blocked,
    _alarms_as_expected,
)
"""In the order in which they are told."""
