"""Durations of a rehearsal: everything that takes time, in seconds, in two sets.

Product code knows no speed factor. A rehearsal is fast because every duration is a public input and is set short, or
lasts as long as in the cloud because it is not (``--real-time``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

CLOUD: Mapping[str, str] = {
    "boot_seconds": "from a granted launch to the start of the instance",
    "tick_seconds": "between two ticks of the responder",
    "replace_delay_seconds": "from the loss of an instance to the moment that its group finds it missing, and from a "
    "refused launch to the next try",
    "reclaim_kill_seconds": "aws: between SIGTERM and SIGKILL when an instance is taken back or terminated",
    "shutdown_seconds": "gcp: how long the shutdown of an instance may take, which comes after the notice",
    "audit_seconds": "gcp: from a preemption to its entry in the audit log, which is the cloud's warning",
    "operation_seconds": "gcp: from a request that changes something to the moment that it takes effect",
    "visibility_seconds": "how long a message that was not handled stays away",
}
"""What a cloud takes time for."""
_FOREIGN: Mapping[str, Collection[str]] = {
    cloud: [name for name, text in CLOUD.items() if text.startswith(other)]
    for cloud, other in (("aws", "gcp:"), ("gcp", "aws:"))
}
"""Cloud to the durations that it does not know."""


@dataclass(frozen=True)
class Durations:
    """All durations of one rehearsal: the fleet's own (inputs of the component) and the local cloud's."""

    fleet: Mapping[str, float]
    """The fleet's ``timings``, by the names that ``AwsTrainingFleet`` gives them."""
    cloud: Mapping[str, float]
    """What the local cloud takes for its part, by the names of :data:`CLOUD`."""
    step_seconds: float = 0.05
    """How long one training step is made to take, so that a small model trains for as long as the story needs."""

    @property
    def notice_seconds(self) -> float:
        """From an interruption warning to the reclaim."""
        return self.fleet["notice_seconds"]

    @property
    def patience_seconds(self) -> float:
        """How long a step of a scenario may wait for its condition.

        Twice all that can follow one another, and time to start processes.
        """
        fleet = sum(
            self.fleet[name] for name in ("notice_seconds", "hysteresis_seconds", "linger_seconds", "lease_seconds")
        )
        cloud = self.cloud["boot_seconds"] + self.cloud["replace_delay_seconds"] + 4 * self.cloud["tick_seconds"]
        return 30.0 + 2 * (fleet + cloud)

    @property
    def unnoticed_seconds(self) -> float:
        """How long the loss of a node may go unnoticed of which nobody is told: three reports and two ticks."""
        return 3 * self.fleet["report_seconds"] + 2 * self.cloud["tick_seconds"]

    def plain(self, cloud: str = "") -> dict[str, float]:
        """Return all durations in one flat object, for the report; ``cloud``: less those that it does not know."""
        known = {name: value for name, value in self.cloud.items() if name not in _FOREIGN.get(cloud, ())}
        return {**known, **self.fleet, "step_seconds": self.step_seconds}


SHORT = Durations(
    fleet={
        "notice_seconds": 6.0,
        "boot_grace_seconds": 20.0,
        "report_seconds": 3.0,
        "launch_grace_seconds": 15.0,
        "hysteresis_seconds": 1.0,
        "linger_seconds": 1.5,
        "save_gap_seconds": 1.0,
        "rebalance_expiry_seconds": 20.0,
        "hook_seconds": 12.0,
        "save_seconds": 4.0,
        "lease_seconds": 6.0,
        "signal_poll_seconds": 1.0,
        "imds_poll_seconds": 0.5,
    },
    cloud={
        "boot_seconds": 0.5,
        "tick_seconds": 0.5,
        "replace_delay_seconds": 0.5,
        "reclaim_kill_seconds": 0.3,
        "shutdown_seconds": 3.0,
        "audit_seconds": 0.5,
        "operation_seconds": 0.1,
        "visibility_seconds": 6.0,
    },
)
"""What scenarios start from: the two minutes of the notice become six. Silence, leases and launches are
given more than their share, because what they time here is how fast this machine starts a dozen processes."""

REAL = Durations(
    fleet={
        "notice_seconds": 120.0,
        "boot_grace_seconds": 600.0,
        "report_seconds": 30.0,
        "launch_grace_seconds": 60.0,
        "hysteresis_seconds": 300.0,
        "linger_seconds": 300.0,
        "save_gap_seconds": 60.0,
        "rebalance_expiry_seconds": 1200.0,
        "hook_seconds": 600.0,
        "save_seconds": 90.0,
        "lease_seconds": 30.0,
        "signal_poll_seconds": 5.0,
        "imds_poll_seconds": 1.0,
    },
    cloud={
        "boot_seconds": 60.0,
        "tick_seconds": 60.0,
        "replace_delay_seconds": 90.0,
        "reclaim_kill_seconds": 5.0,
        "shutdown_seconds": 30.0,
        "audit_seconds": 10.0,
        "operation_seconds": 1.0,
        "visibility_seconds": 90.0,
    },
    step_seconds=0.75,
)
"""The defaults of the components, and what a cloud usually takes."""
