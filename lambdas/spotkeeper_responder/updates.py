"""Who is let go because a deploy has changed what nodes start from (``on_update="checkpoint-restart"``). Pure.

The nodes that run the job go last, and only once a node of the new version is there to go on from their checkpoint.
Successors are asked for before anybody goes: a group's desired size counts drained nodes on top of what it should hold.
"""

from __future__ import annotations

from spotkeeper_ledger import FleetSpec
from spotkeeper_responder.model import FleetView, Instance


def outdated(spec: FleetSpec, instance: Instance) -> bool:
    """Whether the node started from another version of the launch template than the fleet's, and that matters."""
    known = bool(instance.version and spec.command_version)
    return spec.on_update == "checkpoint-restart" and known and instance.version != spec.command_version


def replaceable(spec: FleetSpec, view: FleetView, staying: list[Instance]) -> list[Instance]:
    """Return the nodes to drain now, for nodes of the new version to take their place.

    Args:
        spec: the fleet's.
        view: both groups.
        staying: live nodes of both groups that are under no notice.
    """
    old = [instance for instance in staying if outdated(spec, instance)]
    idle = [instance for instance in old if instance.node not in view.members]
    if idle:
        return idle
    successors = [i for i in staying if not outdated(spec, i) and i.node in view.reported_at]
    nobody_to_wait_for = len(old) >= spec.target
    return old if successors or nobody_to_wait_for else []
