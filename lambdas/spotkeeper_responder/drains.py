"""Who is let go, and when: named nodes, saved first, at most so many a tick. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from spotkeeper_ledger import DRAIN, REBALANCE, FleetLedger, FleetSpec, NoticeRecord
from spotkeeper_responder.model import BACKUP, SPOT, Completion, FleetView, Instance, State, Termination
from spotkeeper_responder.notices import drain, leaving, over
from spotkeeper_responder.sizes import terminating
from spotkeeper_responder.updates import outdated, replaceable

CALLS_PER_TICK = 20
"""Most calls of the kinds that a cloud takes one node at a time."""


def drained(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> dict[str, NoticeRecord]:
    """Return the notices with a drain for each node beyond what its group should hold, or of an old version. For ticks.

    Nodes that do not run the job go first, then those of an old version, those that have not joined it, the youngest.
    """
    after = dict(ledger.notices)
    wanted = {SPOT: ledger.spot_desired or 0, BACKUP: ledger.backup_desired or 0}
    for name, group in view.groups():
        staying = [i for i in group.live if not leaving(after.get(i.node)) and not _replaced(spec, after.get(i.node))]
        surplus = max(0, len(staying) - wanted[name])
        ranked = sorted(staying, key=lambda i: _worth(spec, view, ledger, i))
        after |= {i.node: drain(spec, i.node, name, now) for i in ranked[:surplus]}
    unnoticed = [i for _, group in view.groups() for i in group.live if not leaving(after.get(i.node))]
    for instance in replaceable(spec, view, unnoticed):
        after[instance.node] = drain(spec, instance.node, view.group_of(instance.node) or SPOT, now)
    return after


def completions(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> list[Completion]:
    """Return the hooks that wait for nodes whose time is up and whose agents are silent: nobody else completes them."""
    return [
        Completion(i.node, group.name, ledger.notices[i.node].hook)
        for _, group in view.groups()
        for i in group.instances
        if i.state is State.HELD and _is_up(ledger.notices.get(i.node), now) and not _speaks(spec, view, i.node, now)
    ]


def terminations(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, sizes: Mapping[str, int], now: float
) -> list[Termination]:
    """Return the nodes to terminate by name: drained ones that have confirmed, and any that have outstayed their time.

    A group that is asked for more than it should hold shrinks with them; otherwise it replaces them.

    Args:
        spec: the fleet's.
        view: both groups.
        ledger: holds this moment's notices and sizes to hold.
        sizes: desired size of each group once this decision is carried out.
        now: Unix seconds.
    """
    wanted = {SPOT: ledger.spot_desired or 0, BACKUP: ledger.backup_desired or 0}
    found: list[Termination] = []
    for name, group in view.groups():
        spare = sizes[name] - wanted[name]
        for instance in group.live:
            if _ready(spec, view, ledger.notices.get(instance.node), instance.node, now):
                found.append(Termination(instance.node, decrement=spare > 0))
                spare -= 1
    return found


def dismissals(view: FleetView) -> list[Termination]:
    """Return every node that still lives, to be terminated without any ado: for a fleet whose job is over."""
    return [Termination(i.node, decrement=False) for _, group in view.groups() for i in group.live]


def _replaced(spec: FleetSpec, record: NoticeRecord | None) -> bool:
    """Whether the group itself is about to replace the node, so that for a while it lives beside its successor."""
    if record is None or record.kind != REBALANCE or record.drill or over(record):
        return False
    return spec.on_rebalance == "replace"


def _worth(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, instance: Instance
) -> tuple[bool, bool, bool, float, str]:
    seen = ledger.seen.get(instance.node)
    age = -seen.first_at if seen else float("-inf")
    runs, joined = instance.node in view.members, instance.node in view.reported_at
    return runs, not outdated(spec, instance), joined, age, instance.node


def _ready(spec: FleetSpec, view: FleetView, record: NoticeRecord | None, node: str, now: float) -> bool:
    if record is None or not leaving(record) or terminating(record, now):
        return False
    if record.kind != DRAIN:
        # Whatever said that it would be gone by now was wrong. It runs no job any more, and keeps its successor away.
        return record.deadline is not None and now >= record.deadline + spec.report_stale_seconds
    report = view.reports.get(node)
    confirmed = report is not None and report.notice_id == record.notice_id and report.confirmed_at is not None
    return confirmed or record.confirmed_step is not None or _is_up(record, now)


def _is_up(record: NoticeRecord | None, now: float) -> bool:
    return record is not None and leaving(record) and record.deadline is not None and now >= record.deadline


def _speaks(spec: FleetSpec, view: FleetView, node: str, now: float) -> bool:
    reported_at = view.reported_at.get(node)
    return reported_at is not None and now - reported_at <= spec.report_stale_seconds
