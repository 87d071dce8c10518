"""Fleets on managed instance groups.

A group replaces what it loses by itself, so all that is done here is to grow it and to let named nodes go. Its target
size is never lowered by a resize, with which the group would choose who goes: it shrinks with nodes that are deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from spotkeeper_ledger import FleetSpec, PriceRecord, Unavailable
from spotkeeper_responder.gcp.compute import Compute
from spotkeeper_responder.gcp.failures import classify
from spotkeeper_responder.gcp.names import node_of, place_of
from spotkeeper_responder.model import SPOT, Completion, GroupView, Instance, LaunchFailed, State, Termination

MOST_INSTANCES = 1000
"""Instances that a group may hold for us: a managed instance group has no maximum of its own."""
_LEAVING = frozenset({"DELETING", "ABANDONING", "RECREATING", "STOPPING", "SUSPENDING"})
"""What a group does with an instance that it lets go."""
_STARTING = frozenset({"PROVISIONING", "STAGING"})
_RUNNING = "RUNNING"


class GcpCloud:
    """:class:`~spotkeeper_responder.ports.Cloud` on Compute Engine. Made anew for each batch.

    Args:
        compute: asks the API.
        announce: writes what people are to be told of, where an alert policy looks for it: subject and text.
        now: Unix seconds.
    """

    def __init__(
        self, compute: Compute, announce: Callable[[str, str], None], now: Callable[[], float] = time.time
    ) -> None:
        self._compute, self._announce, self._now = compute, announce, now
        self._seen: dict[str, Mapping[str, str]] = {}
        """URLs of the instances of each group that was looked at, by node."""
        self._unfilled: dict[str, list[str]] = {}
        """URLs of what each group has not been able to create yet."""
        self._errors: dict[str, list[LaunchFailed]] = {}
        """Why each group's last attempts failed."""
        self._targets: dict[str, int] = {}
        self._wanted: dict[str, int] = {}

    @property
    def reaches_nodes(self) -> bool:
        """It does not: a node's metadata is the one way past the ledger, and who may write that is root on the node."""
        return False

    @property
    def shows_failures(self) -> bool:
        """It does: a managed instance says why its last attempt failed. No event says it."""
        return True

    @property
    def calls(self) -> int:
        """How many requests have been made so far, repeated ones included."""
        return self._compute.calls

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return the spot group and the backup group.

        Raises:
            LookupError: One of them does not exist.
        """
        return self._group(spec, spec.spot_group), self._group(spec, spec.backup_group)

    def launch_failures(self, spec: FleetSpec, since: float) -> Sequence[LaunchFailed]:  # noqa: ARG002 - see below
        """Return why the spot group could not create what it still lacks, as it was when it was last looked at.

        The API says nothing of when; it goes on trying, so that what it says is never old.
        """
        return tuple(self._errors.get(spec.spot_group, ()))

    def spot_price(self, spec: FleetSpec, nodes: Collection[str], now: float) -> PriceRecord | None:  # noqa: ARG002
        """Return ``None``: Compute Engine does not tell prices, so that the fleet's user has to."""
        return None

    def fleets_of(self, nodes: Collection[str]) -> Mapping[str, str]:
        """Return the fleet of each node that is in one: its name says it."""
        places = {node: place_of(node) for node in nodes}
        return {node: place[0] for node, place in places.items() if place is not None}

    def resize(self, group: str, desired: int) -> None:
        """Let a group grow to ``desired``, or give up what it could not create; nodes that exist are left alone."""
        if group not in self._targets:
            raise LookupError(f"group {group}: was never looked at, expected to be before its size is changed")
        self._wanted[group] = desired
        surplus = self._targets[group] - desired
        if surplus < 0:
            self._compute.resize(group, desired)
            self._targets[group] = desired
        elif surplus and (given_up := self._unfilled[group][:surplus]):
            self._compute.delete_instances(group, given_up)
            self._targets[group] -= len(given_up)

    def signal(self, fleet: str, kind: str, deadline: float | None, nodes: Sequence[str]) -> None:
        """Refuse.

        Raises:
            Unavailable: Always.
        """
        raise Unavailable(
            f"{fleet}: no command reaches {len(nodes)} nodes here ({kind}, {deadline}), only the ledger does"
        )

    def terminate(self, termination: Termination) -> None:
        """Have a node deleted by its group, or replaced where the group is to keep its size."""
        place = next(((group, nodes) for group, nodes in self._seen.items() if termination.node in nodes), None)
        if place is None:
            return  # it is gone
        group, url = place[0], place[1][termination.node]
        wanted = self._wanted.get(group, self._targets[group])
        if termination.decrement or self._targets[group] > wanted:
            self._compute.delete_instances(group, [url])
            self._targets[group] -= 1
        else:
            self._compute.recreate_instances(group, [url])

    def complete(self, completion: Completion) -> None:
        """Do nothing: no hook holds a node here."""

    def announce(self, subject: str, text: str) -> None:
        """Write it where an alert policy looks for it."""
        self._announce(subject, text)

    def _group(self, spec: FleetSpec, name: str) -> GroupView:
        found = self._compute.group(name)
        if found is None:
            raise LookupError(f"no managed instance group {name}, expected both groups of {spec.fleet}")
        managed = list(self._compute.instances(name))
        nodes = {node: each for each in managed if (node := _node(each)) is not None}
        self._seen[name] = {node: str(each["instance"]) for node, each in nodes.items()}
        self._unfilled[name] = [str(each["instance"]) for each in managed if _is_unfilled(each)]
        self._errors[name] = [failed for each in managed for failed in _failures(each, self._now())]
        self._targets[name] = self._wanted[name] = int(found["targetSize"])
        instances = tuple(
            Instance(node, _state(each), _is_healthy(each), _version(each)) for node, each in nodes.items()
        )
        return GroupView(name, self._targets[name], MOST_INSTANCES, instances)


def _node(managed: Mapping[str, Any]) -> str | None:
    """Return the node that a managed instance is, or ``None`` while it is none yet."""
    number, url = str(managed.get("id", "0")), str(managed.get("instance", ""))
    if number == "0" or not managed.get("instanceStatus"):
        return None
    try:
        return node_of(url.rpartition("/")[2], number)
    except ValueError:
        return None  # a name that somebody else has given it


def _is_unfilled(managed: Mapping[str, Any]) -> bool:
    creating = str(managed.get("currentAction", "")).startswith("CREATING")
    return creating and not managed.get("instanceStatus")


def _failures(managed: Mapping[str, Any], now: float) -> Iterator[LaunchFailed]:
    for error in managed.get("lastAttempt", {}).get("errors", {}).get("errors", ()):
        code, message = str(error.get("code", "")), str(error.get("message", ""))
        yield LaunchFailed(SPOT, classify(code, message), now, message)


def _state(managed: Mapping[str, Any]) -> State:
    action, status = managed.get("currentAction", ""), managed.get("instanceStatus", "")
    if action in _LEAVING:
        return State.GOING
    if status in _STARTING:
        return State.PENDING
    return State.IN_SERVICE if status == _RUNNING else State.GOING


def _is_healthy(managed: Mapping[str, Any]) -> bool:
    return all(each.get("detailedHealthState") != "UNHEALTHY" for each in managed.get("instanceHealth", ()))


def _version(managed: Mapping[str, Any]) -> str:
    """Return what follows the last hyphen of its template's name: the same for the templates of both groups."""
    return str(managed.get("version", {}).get("instanceTemplate", "")).rpartition("/")[2].rpartition("-")[2]
