"""The managed instances of a group: what the group wants of each name, whether there is an instance or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.local_gcp.instances import RUNNING, Instance
from spotkeeper_lab.local_gcp.market import Refusal
from spotkeeper_lab.local_gcp.templates import Template
from spotkeeper_lab.local_gcp.world import ROOT

NONE, CREATING, RECREATING, DELETING = "NONE", "CREATING", "RECREATING", "DELETING"
_SUMMARY = (
    "abandoning", "creating", "creatingWithoutRetries", "deleting", "none", "recreating", "refreshing", "restarting",
    "resuming", "starting", "stopping", "suspending", "verifying",
)  # fmt: skip


@dataclass(eq=False)
class Member:
    """One managed instance; it keeps its name through all its lives."""

    number: int
    """Its turn: later ones have higher numbers."""
    name: str
    zone: str
    """Where it is, was, or is tried first."""
    template: Template
    action: str = CREATING
    instance: Instance | None = None
    refusal: Refusal | None = None
    """Why the last attempt to create it failed."""
    lived: bool = False
    """Whether it has ever had an instance."""
    next_template: Template | None = None
    """What its next life is made from, where that is another."""

    def json(self, project: str) -> Mapping[str, Any]:
        """Return it as ``listManagedInstances`` has it."""
        link = f"{ROOT}{project}/zones/{self.zone}/instances/{self.name}"
        found: dict[str, Any] = {"name": self.name, "instance": link, "currentAction": self.action}
        found["targetStatus"] = "DELETED" if self.action == DELETING else "RUNNING"
        if self.action != DELETING:
            found["version"] = {"instanceTemplate": f"{ROOT}{self.template.path}"}
        if self.instance:
            found["id"], found["instanceStatus"] = self.instance.id, self.instance.status
            found["propertiesFromFlexibilityPolicy"] = {"machineType": self.instance.place.machine_type}
        if self.refusal:
            error = {"code": self.refusal.code, "message": self.refusal.message}
            found["lastAttempt"] = {"errors": {"errors": [error]}}
        return found


def staying(members: Sequence[Member]) -> list[Member]:
    """Return the members that the group keeps."""
    return [member for member in members if member.action != DELETING]


def victims(members: Sequence[Member], target: int) -> list[Member]:
    """Return whom a group deletes to get down to its size: what does not exist yet, then the newest.

    Google promises no order. The newest is what a careful caller likes least.
    """
    kept = staying(members)
    worst_first = sorted(kept, key=lambda member: (member.instance is not None, -member.number))
    return worst_first[: max(0, len(kept) - target)]


def summary(members: Sequence[Member]) -> Mapping[str, int]:
    """Return how many members there are of each current action."""
    counts = Counter(member.action.lower() for member in members)
    return {name: counts[name.lower()] for name in _SUMMARY}


def stable(members: Sequence[Member]) -> bool:
    """Return whether nothing is under way."""
    return all(one.action == NONE and one.instance and one.instance.status == RUNNING for one in members)
