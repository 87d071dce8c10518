"""What holds a fleet back: a person's pause, the most on-demand that it may use, and the end of its job. Pure.

Each of them is the same fleet with less to hold. So they change what is wanted, here, and the rest of the decision need
know of none: what is too much is drained as always, by name and after a save, and what is wanted again comes back.
"""

from __future__ import annotations

from dataclasses import replace

from spotkeeper_ledger import STOPPED, FleetLedger, FleetSpec
from spotkeeper_responder.model import BACKUP, FleetView


def limited(spec: FleetSpec, ledger: FleetLedger, now: float) -> FleetSpec:
    """Return ``spec`` with what the fleet may hold at present in place of what its user wants."""
    if stopped(ledger) or released(spec, ledger, now):
        return replace(spec, target=0, base=0, maximum=0)
    return replace(spec, maximum=spec.base) if used_up(spec, ledger) else spec


def stopped(ledger: FleetLedger) -> bool:
    """Whether a person has stopped the fleet: it saves, and holds nothing until it is resumed."""
    return ledger.pause is not None and ledger.pause.mode == STOPPED


def held(ledger: FleetLedger) -> bool:
    """Whether people are at work: the job is told of notices, and nothing else is touched."""
    return ledger.pause is not None and not stopped(ledger)


def released(spec: FleetSpec, ledger: FleetLedger, now: float) -> bool:
    """Whether the job is over, and has been for the linger: the fleet is to cost nothing."""
    return ledger.job_ended_at is not None and now - ledger.job_ended_at >= spec.linger_seconds


def used_up(spec: FleetSpec, ledger: FleetLedger) -> bool:
    """Whether the fleet has used all the on-demand beyond its base that it may."""
    hours = spec.max_on_demand_hours
    return hours is not None and ledger.fallback_node_seconds >= 3600 * hours


def accounted(spec: FleetSpec, view: FleetView, ledger: FleetLedger, now: float) -> FleetLedger:
    """Return the ledger with what the nodes of ``view`` have used since it was last accounted. For ticks.

    Nodes on their way out count for as long as they are there: they are paid for. On-demand nodes that have come or
    gone since then count for all of the time, so that no coming and going ever gets past a limit.

    Args:
        spec: what the user wants, and not what :func:`limited` leaves of it: the base is his.
        view: both groups.
        ledger: what was used before, and the nodes that were seen until now.
        now: Unix seconds.
    """
    passed = 0.0 if ledger.accounted_at is None else max(0.0, now - ledger.accounted_at)
    gone = {node for node, seen in ledger.seen.items() if seen.group == BACKUP}
    on_demand = len(gone | {instance.node for instance in view.backup.instances})
    return replace(
        ledger,
        spot_node_seconds=ledger.spot_node_seconds + passed * len(view.spot.instances),
        on_demand_node_seconds=ledger.on_demand_node_seconds + passed * on_demand,
        fallback_node_seconds=ledger.fallback_node_seconds + passed * max(0, on_demand - spec.base),
        accounted_at=now,
    )
