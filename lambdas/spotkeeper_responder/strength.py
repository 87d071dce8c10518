"""How strong the spot group is: who serves, who has joined, what is missing, and what of that was lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spotkeeper_ledger import DRAIN, FleetLedger, FleetSpec, NodeSeen, NoticeRecord
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.model import BACKUP, SPOT, FleetView, GroupView, Instance, State
from spotkeeper_responder.notices import leaving


@dataclass(frozen=True, eq=False, repr=False)
class Strength(Fact):
    """The spot group, counted."""

    shortfall: int
    """Nodes that the group should have and that do not serve."""
    missing: int
    """The shortfall less what is launching already: what buying could be for."""
    lost: int
    """Nodes that have served, or were about to, and that are gone, going or silent. Bounds nothing by itself."""
    unjoined: int
    """Nodes that the group should have and whose agents have not reported: what giving back has to wait for."""


def see(
    spec: FleetSpec,
    view: FleetView,
    seen: Mapping[str, NodeSeen],
    records: Mapping[str, NoticeRecord],
    now: float,
    *,
    tick: bool,
) -> dict[str, NodeSeen]:
    """Return when each node was first and last seen running.

    Nodes of the spot group are kept after they are gone, until :func:`forget`, unless we let them go ourselves; of
    those the last so many as the fleet wants: more cannot be missed. Nodes of the backup group are kept until the next
    tick, which still has to count them. ``last_at`` moves on ticks only, so that an event that changes nothing writes
    nothing.

    Args:
        spec: the fleet's.
        view: both groups.
        seen: as remembered.
        records: this moment's notices.
        now: Unix seconds.
        tick: whether time is taken.
    """
    after = dict(seen)
    for name, group in view.groups():
        for instance in group.instances:
            before = after.get(instance.node)
            if before is None and instance.state is not State.PENDING:
                after[instance.node] = NodeSeen(group=name, first_at=now, last_at=now)
            elif before is not None and tick:
                after[instance.node] = replace(before, last_at=now)
    present = view.nodes()
    gone = [node for node, s in after.items() if node not in present and s.group == SPOT and not _ours(records, node)]
    missed = sorted(gone, key=lambda node: (-after[node].last_at, node))[: spec.target]
    counted = {node for node, s in after.items() if s.group == BACKUP and not tick}
    return {node: s for node, s in after.items() if node in present or node in missed or node in counted}


def forget(view: FleetView, seen: Mapping[str, NodeSeen]) -> dict[str, NodeSeen]:
    """Return ``seen`` less the spot nodes that are gone: for ticks on which spot is at strength, so none is missed."""
    present = view.nodes()
    return {node: s for node, s in seen.items() if node in present or s.group == BACKUP}


def measure(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> Strength:
    """Count the spot group. ``ledger`` holds this moment's notices and nodes seen."""
    serving, pending, joined = set(), 0, 0
    for instance in view.spot.live:
        node = instance.node
        if leaving(ledger.notices.get(node)):
            continue
        if instance.state is State.PENDING:
            pending += 1
        elif instance.healthy and serves(spec, view, ledger, node, now):
            serving.add(node)
            joined += node in view.reported_at
    target = max(0, spec.spot_target)
    return Strength(
        shortfall=max(0, target - len(serving)),
        missing=max(0, target - len(serving) - pending),
        lost=len(_known(view, ledger.seen, ledger.notices) - serving),
        unjoined=max(0, target - joined),
    )


def serves(spec: FleetSpec, view: FleetView, ledger: FleetLedger, node: str, now: float) -> bool:
    """Whether the agent of a running node has reported of late, or still has time for its first report.

    A node that had reported of late at the last tick, which ``ledger`` remembers, and has not for long by now, has not
    fallen silent: the ledger was away from all, or that tick would not be the last one.
    """
    reported_at = view.reported_at.get(node)
    if reported_at is not None:
        heard = ledger.ticked_at is not None and ledger.ticked_at - reported_at <= spec.report_stale_seconds / 2
        return heard or now - reported_at <= spec.report_stale_seconds
    seen = ledger.seen.get(node)
    return seen is None or now - seen.first_at <= spec.boot_grace_seconds


def silent(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> int:
    """Return how many running nodes of both groups have fallen silent without a notice."""
    return sum(
        not leaving(ledger.notices.get(i.node)) and not serves(spec, view, ledger, i.node, now)
        for _, group in view.groups()
        for i in _running(group)
    )


def _running(group: GroupView) -> list[Instance]:
    return [i for i in group.instances if i.state is State.IN_SERVICE]


def _known(view: FleetView, seen: Mapping[str, NodeSeen], records: Mapping[str, NoticeRecord]) -> set[str]:
    """Spot nodes that have run, and those that were noticed before they did; less those that we let go ourselves."""
    noticed = {i.node for i in view.spot.instances if leaving(records.get(i.node))}
    ran = {node for node, s in seen.items() if s.group == SPOT}
    return {node for node in noticed | ran if not _ours(records, node)}


def _ours(records: Mapping[str, NoticeRecord], node: str) -> bool:
    """Whether we let the node go ourselves."""
    return node in records and records[node].kind == DRAIN
