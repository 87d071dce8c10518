"""The market: whether an instance can be had at a place, and what Compute Engine says where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

SPOT, STANDARD = "SPOT", "STANDARD"

CAPACITY, QUOTA, CONFIGURATION = "capacity", "quota", "configuration"


@dataclass(frozen=True)
class Place:
    """Where and how an instance runs."""

    zone: str
    machine_type: str
    model: str
    """Its provisioning model: :data:`SPOT`, :data:`STANDARD` or another of the API's."""


@dataclass(frozen=True)
class Refusal:
    """Why an instance was not created, as ``lastAttempt.errors`` has it."""

    kind: str
    """:data:`CAPACITY`, :data:`QUOTA` or :data:`CONFIGURATION`."""
    code: str
    message: str


@dataclass(frozen=True)
class _Limit:
    instances: int
    kind: str
    code: str
    model: str
    zone: str
    machine_type: str

    def covers(self, place: Place) -> bool:
        pairs = ((self.model, place.model), (self.zone, place.zone), (self.machine_type, place.machine_type))
        return all(mine in ("", theirs) for mine, theirs in pairs)


CODES = {
    CAPACITY: "ZONE_RESOURCE_POOL_EXHAUSTED",
    QUOTA: "QUOTA_EXCEEDED",
    CONFIGURATION: "RESOURCE_NOT_FOUND",
}
"""Class of refusal to the code that it usually has."""


class Market:
    """How many instances may run, and why no more. Without limits everything is granted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: dict[tuple[str, str, str], _Limit] = {}

    def set_capacity(
        self,
        instances: int | None,
        why: str = CAPACITY,
        *,
        model: str = SPOT,
        zone: str = "",
        machine_type: str = "",
        code: str = "",
    ) -> None:
        """Let at most so many instances run from now on, ``None``: any number. Those that run already stay.

        Limits that cover different places hold side by side; a second one for the same places replaces the first.

        Args:
            instances: how many; 0: none is created.
            why: class of the refusal that all others get.
            model: provisioning model that is limited; empty: all.
            zone: zone that is limited; empty: all, in sum.
            machine_type: machine type that is limited; empty: all, in sum.
            code: the API's code, where it is not the usual one of :data:`CODES`, for example
                ``ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS``.

        Raises:
            ValueError: The number is negative, or there is no such class.
        """
        if instances is not None and instances < 0:
            raise ValueError(f"instances: was {instances}, expected a number of instances, or None for no limit")
        if why not in CODES:
            raise ValueError(f"why: was {why!r}, expected one of {', '.join(CODES)}")
        with self._lock:
            self._limits.pop((model, zone, machine_type), None)
            if instances is not None:
                limit = _Limit(instances, why, code or CODES[why], model, zone, machine_type)
                self._limits[model, zone, machine_type] = limit

    def ask(self, place: Place, held: Sequence[Place]) -> Refusal | None:
        """Return why no instance can be had at a place while others are held, ``None`` if it can."""
        with self._lock:
            for limit in self._limits.values():
                if limit.covers(place) and sum(map(limit.covers, held)) >= limit.instances:
                    return Refusal(limit.kind, limit.code, _message(limit, place))
        return None


def _message(limit: _Limit, place: Place) -> str:
    if limit.kind == CAPACITY:
        return (
            f"The zone '{place.zone}' does not have enough resources available to fulfill the request. "
            "Try a different zone, or try again later."
        )
    if limit.kind == QUOTA:
        metric = "PREEMPTIBLE_CPUS" if place.model == SPOT else "CPUS"
        return f"Quota '{metric}' exceeded. Limit: {float(limit.instances)} in region {place.zone[:-2]}."
    return f"The resource 'zones/{place.zone}/machineTypes/{place.machine_type}' was not found"
