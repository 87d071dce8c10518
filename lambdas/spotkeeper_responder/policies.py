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
    """Whether all that is missing is bought; otherwise what is held of it is kept."""
    on_demand: int | None = None
    """Whatever is missing, so many nodes at most; ``None``: as ``buys`` says."""

    @staticmethod
    def of(situation: Situation, answer: Answer) -> Standing:
        """Return what stands of an answer until the next one."""
        missing, wanted = situation.missing, answer.on_demand
        told = answer.spot != 0 and (wanted >= missing or wanted == situation.held)
        return Standing(wanted >= missing > 0, None if told else wanted)

    def answer(self, situation: Situation) -> Answer:
        """Want so much of what is missing."""
        most = situation.missing if self.buys else situation.held
        return Answer(on_demand=min(situation.missing, most if self.on_demand is None else self.on_demand))


def standing(ledger: FleetLedger) -> Standing:
    """Return what stands."""
    plan = ledger.account.plan if ledger.account else None
    return Standing(plan.buys, plan.on_demand) if plan else Standing(buys=False)  # the first tick is a minute away


POLICIES: Mapping[str, Callable[[FleetSpec, FleetLedger], FallbackPolicy]] = {
    "never": lambda _spec, _ledger: Never(),
    "mirror": lambda _spec, _ledger: Mirror(),
    "patient": lambda spec, _ledger: Patient(spec.policy.wait_seconds),
    "deadline": lambda _spec, ledger: standing(ledger),
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
