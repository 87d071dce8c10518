"""How long the local cloud takes for its part."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Timing:
    """Durations in seconds.

    Google documents the notice, the shutdown and the longest wait; one delay of the status was measured; the other
    defaults are of the order that is usual.

    Raises:
        ValueError: A duration is negative, or one that repeats is not positive.
    """

    notice_seconds: float = 120.0
    """What a ``preemptionNoticeDuration`` of 120 s, the only one that there is besides none, lasts here."""
    shutdown_seconds: float = 30.0
    """From the soft off to the mechanical off."""
    boot_seconds: float = 30.0
    """From a granted creation to ``RUNNING``."""
    status_lag_seconds: float = 30.0
    """By how much the API, and with it the group, knows later of a preemption than the machine: it shows ``RUNNING``
    until then."""
    repair_delay_seconds: float = 10.0
    """From the moment that a group knows that an instance is gone to its next try to create it."""
    retry_seconds: float = 60.0
    """From a refused creation to the next try."""
    operation_seconds: float = 1.0
    """From a request to the end of its operation, at which it takes effect. A group is deleted when it is empty."""
    wait_seconds: float = 120.0
    """For how long ``wait`` waits for an operation at most."""
    tick_seconds: float = 60.0
    """Between two firings of a scheduled job, whatever its schedule says."""
    audit_seconds: float = 10.0
    """From a preemption to the entry in the audit log; five and nineteen seconds are known."""
    redelivery_seconds: float | None = None
    """From a failed push of a message to the next one; by default what the subscription says, doubled each time."""
    pull_seconds: float = 60.0
    """For how long a pull waits for a message at most. Pub/Sub says only that this is bounded."""

    def __post_init__(self) -> None:
        """Refuse durations that cannot be."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if value < 0 or (field.name in ("retry_seconds", "tick_seconds") and value == 0):
                raise ValueError(f"{field.name}: was {value!r}, expected a positive number of seconds")
