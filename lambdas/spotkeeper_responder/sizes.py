"""How large both groups should be. Pure.

The responder remembers how many on-demand nodes it wants to *hold*; nodes that are on their way out come on top,
because their group still counts them. Every desired size follows from that alone, at every event, so that one that was
lost, refused or changed by hand is put right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from spotkeeper_ledger import DRAIN, FailureRecord, FleetLedger, FleetSpec, NoticeRecord
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import Situation
from spotkeeper_responder.model import BACKUP, CAPACITY, CONFIGURATION, QUOTA, SPOT, Event, FleetView, LaunchFailed
from spotkeeper_responder.notices import leaving, over
from spotkeeper_responder.policies import policy_of
from spotkeeper_responder.strength import Strength

MESSAGE_CHARACTERS = 300
"""How much of a launch failure's message is remembered."""
SETTLE_SECONDS = 60.0
"""How long a node that was asked to be terminated may still be described as running."""


@dataclass(frozen=True, eq=False, repr=False)
class Refusals(Fact):
    """What the cloud has said to the spot launches of the present shortfall."""

    refused: bool
    """There is no capacity: nobody need wait for it."""
    blocked: bool
    """Since then, or instead, a quota or the configuration is in the way: on-demand is no answer to that."""


def record_failures(ledger: FleetLedger, events: Iterable[Event], now: float) -> dict[str, FailureRecord]:
    """Return the launch failures by class after ``events``.

    Those of the backup group are kept apart (``backup-capacity``, …): they say nothing about spot. A failure that is
    not newer than the last one of its class is the same one, told again.
    """
    after = dict(ledger.failures)
    failed = sorted((e for e in events if isinstance(e, LaunchFailed)), key=lambda e: (e.at, e.message))
    for event in failed:
        name = failure_key(event.group, event.failure_class)
        before, at = after.get(name), min(event.at, now)
        if before is None or at > before.last_at:
            count = 1 + (before.count if before else 0)
            after[name] = FailureRecord(count=count, last_at=at, message=event.message[:MESSAGE_CHARACTERS])
    return after


def failure_key(group: str, failure_class: str) -> str:
    """Return the key of a group's failures of one class in the ledger."""
    return failure_class if group == SPOT else f"{group}-{failure_class}"


def refusals(spec: FleetSpec, ledger: FleetLedger) -> Refusals:
    """Return what was said since spot fell below strength.

    The clock starts when the shortfall is first seen, which may be just after the first refusal: hence the grace.
    """
    if ledger.shortfall_since is None:
        return Refusals(refused=False, blocked=False)
    never = float("-inf")
    last = {name: record.last_at for name, record in ledger.failures.items()}
    since = ledger.shortfall_since - spec.launch_grace_seconds
    capacity = last.get(CAPACITY, never)
    other = max(last.get(QUOTA, never), last.get(CONFIGURATION, never))
    return Refusals(refused=capacity >= max(since, other), blocked=other >= since and other > capacity)


def held(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> int:
    """Return how many on-demand nodes the fleet has wanted to hold so far.

    Where nothing is remembered, it is what the group is asked for.
    """
    if ledger.backup_desired is not None:
        return ledger.backup_desired
    asked = view.backup.desired - len(_outgoing(view, BACKUP, ledger.notices, now))
    return max(spec.base, min(asked, spec.maximum))


def raised(spec: FleetSpec, strength: Strength, ledger: FleetLedger, size: int, now: float) -> int:
    """Return ``size``, or what the shortfall asks for if that is more.

    A fleet that boots is not a fleet that has lost nodes: what was neither lost nor refused is given time to appear.
    """
    said = refusals(spec, ledger)
    waited = ledger.shortfall_since is not None and now - ledger.shortfall_since >= spec.launch_grace_seconds
    wait_over = said.refused or (waited and not said.blocked)
    missing = strength.missing if wait_over else min(strength.missing, strength.lost)
    return max(size, _asked(spec, missing, ledger, size, now))


def lowered(
    spec: FleetSpec, strength: Strength, ledger: FleetLedger, size: int, now: float, *, tick: bool
) -> FleetLedger:
    """Return the ledger with the size to hold in it, lowered if spot has been back for long enough, and that clock."""
    size = min(size, spec.maximum) if tick else size
    enough = _asked(spec, strength.unjoined, ledger, size, now)
    if enough >= size:
        same = ledger.backup_desired == size and ledger.surplus_since is None
        return ledger if same else replace(ledger, backup_desired=size, surplus_since=None, surplus_wanted=None)
    since = now if ledger.surplus_since is None else ledger.surplus_since
    most = max(enough, ledger.surplus_wanted or 0)
    if not tick or now - since < spec.hysteresis_seconds:
        return replace(ledger, backup_desired=size, surplus_since=since, surplus_wanted=most)
    lower = replace(ledger, backup_desired=min(most, size), surplus_since=None, surplus_wanted=None)
    return lower if enough == most else replace(lower, surplus_since=now, surplus_wanted=enough)  # anew for the rest


def outgoing(view: FleetView, group: str, records: Mapping[str, NoticeRecord], now: float) -> frozenset[str]:
    """Return the nodes whose slots in a group come on top of what is wanted, until they are terminated by name.

    All leaving nodes of the backup group, so that they are replaced at once where they are needed; of the spot group
    the drained ones only, because the group itself replaces what the cloud takes.
    """
    nodes = _outgoing(view, group, records, now)
    return nodes if group == BACKUP else frozenset(node for node in nodes if records[node].kind == DRAIN)


def resized(spec: FleetSpec, view: FleetView, group: str, wanted: int, ledger: FleetLedger, now: float) -> int:
    """Return the desired size of a group that should hold ``wanted`` nodes; ``ledger`` holds this moment's notices.

    Never below the number of nodes that live in it, less those whose termination by name is under way: a size must
    not choose who goes.
    """
    seen = view.spot if group == SPOT else view.backup
    most = min(spec.maximum, seen.maximum) if group == BACKUP else seen.maximum
    goal = min(wanted + len(outgoing(view, group, ledger.notices, now)), most)
    if goal == seen.desired:
        return goal
    return max(goal, sum(not terminating(ledger.notices.get(i.node), now) for i in seen.live))


def terminating(record: NoticeRecord | None, now: float) -> bool:
    """Whether the node was asked to be terminated a moment ago, whatever its group says."""
    if record is None or not leaving(record) or not over(record):
        return False
    return now - (record.ended_at or 0) < SETTLE_SECONDS


def _outgoing(view: FleetView, group: str, records: Mapping[str, NoticeRecord], now: float) -> frozenset[str]:
    live = (view.spot if group == SPOT else view.backup).live
    return frozenset(i.node for i in live if leaving(records.get(i.node)) and not terminating(records[i.node], now))


def _asked(spec: FleetSpec, missing: int, ledger: FleetLedger, size: int, now: float) -> int:
    policy, wanted = policy_of(spec, ledger), 0
    if missing:  # nothing is wanted in place of nothing
        lasted = 0.0 if ledger.shortfall_since is None else now - ledger.shortfall_since
        held, target = max(0, size - spec.base), max(0, spec.spot_target)
        situation = Situation(missing=missing, lasted=lasted, held=held, wanted=target, base=spec.base)
        wanted = policy.answer(situation).on_demand
    return max(spec.base, min(spec.base + wanted, spec.maximum))
