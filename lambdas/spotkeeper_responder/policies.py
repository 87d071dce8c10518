"""The fallback policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spotkeeper_ledger import FleetLedger, FleetSpec
from spotkeeper_ledger.facts import Fact
from spotkeeper_responder.fallback import Answer, FallbackPolicy, Mirror, Never, Patient, Situation


@dataclass(frozen=True, eq=False, repr=False)
class Standing(Fact):
    """What the policy ``deadline`` has answered at the last tick (:mod:`spotkeeper_responder.plans`)."""

    buys: bool
    """Whether what is missing is bought; otherwise what is held of it is kept."""

    def answer(self, situation: Situation) -> Answer:
        """Want what is missing, or what is held of it."""
        return Answer(on_demand=situation.missing if self.buys else min(situation.missing, situation.held))


def _standing(_spec: FleetSpec, ledger: FleetLedger) -> FallbackPolicy:
    plan = ledger.account.plan if ledger.account else None
    return Standing(plan.buys) if plan else Standing(buys=False)  # the first tick is not a minute away


POLICIES: Mapping[str, Callable[[FleetSpec, FleetLedger], FallbackPolicy]] = {
    "never": lambda _spec, _ledger: Never(),
    "mirror": lambda _spec, _ledger: Mirror(),
    "patient": lambda spec, _ledger: Patient(spec.policy.wait_seconds),
    "deadline": _standing,
}
"""What can stand in a fleet's ``policy.name``, and how it is built."""


class UnknownPolicy(ValueError):
    """The fleet asks for a policy that this responder does not have."""


def policy_of(spec: FleetSpec, ledger: FleetLedger) -> FallbackPolicy:
    """Return the policy that a fleet names; ``ledger`` holds what it has answered before.

    Raises:
        UnknownPolicy: There is none of that name; a newer component than this responder wrote it.
    """
    name = spec.policy.name
    if name not in POLICIES:
        raise UnknownPolicy(f"policy.name: was {name!r}, expected one of {', '.join(sorted(POLICIES))}")
    return POLICIES[name](spec, ledger)
