"""How long the local cloud takes for its part."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Timing:
    """Durations in seconds; the defaults are what AWS usually takes.

    Raises:
        ValueError: A duration is negative, or ``tick_seconds`` is not positive.
    """

    notice_seconds: float = 120.0
    """From an interruption warning to the reclaim."""
    boot_seconds: float = 60.0
    """From a granted launch to the start of the instance: then it is InService and its user data runs."""
    tick_seconds: float = 60.0
    """Between two firings of a scheduled rule, whatever its expression says."""
    replace_delay_seconds: float = 90.0
    """From the loss of an instance to the health check that finds it, and from a refused launch to the next try."""
    reclaim_kill_seconds: float = 5.0
    """Between SIGTERM and SIGKILL when an instance is taken back or terminated: what an operating system has for its
    shutdown."""
    visibility_seconds: float | None = None
    """For how long the function's queue hides a message that was delivered, rounded up to whole seconds; by default
    what the queue says."""

    def __post_init__(self) -> None:
        """Refuse durations that cannot be."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if value < 0 or (field.name == "tick_seconds" and value == 0):
                raise ValueError(f"{field.name}: was {value!r}, expected a positive number of seconds")
