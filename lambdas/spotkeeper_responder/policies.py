"""The fallback policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spotkeeper_ledger import FleetSpec
from spotkeeper_responder.fallback import FallbackPolicy, Mirror, Never, Patient

POLICIES: Mapping[str, Callable[[FleetSpec], FallbackPolicy]] = {
    "never": lambda _: Never(),
    "mirror": lambda _: Mirror(),
    "patient": lambda spec: Patient(spec.policy.wait_seconds),
}
"""What can stand in a fleet's ``policy.name``, and how it is built."""


class UnknownPolicy(ValueError):
    """The fleet asks for a policy that this responder does not have."""


def policy_of(spec: FleetSpec) -> FallbackPolicy:
    """Return the policy that a fleet names.

    Raises:
        UnknownPolicy: There is none of that name; a newer component than this responder wrote it.
    """
    name = spec.policy.name
    if name not in POLICIES:
        raise UnknownPolicy(f"policy.name: was {name!r}, expected one of {', '.join(sorted(POLICIES))}")
    return POLICIES[name](spec)
