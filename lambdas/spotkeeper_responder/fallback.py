"""Fallback policies: how many on-demand nodes a shortfall of spot nodes is worth.

A policy answers with a number of nodes. Whatever it answers, the fleet's base and maximum are kept by
:mod:`spotkeeper_responder.sizes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from spotkeeper_ledger import PolicySpec
from spotkeeper_ledger.facts import Fact


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Shortage(Fact):
    """What a policy may know about a shortfall besides its size."""

    lasted_seconds: float
    """How long spot has been below strength; 0 while it is not."""
    held: int
    """On-demand nodes beyond the base that the fleet holds already, asked for or running."""


class FallbackPolicy(Protocol):
    """Decides how many on-demand nodes are wanted for what is missing."""

    def wanted(self, missing: int, *, context: Shortage) -> int:
        """Return how many on-demand nodes beyond the base are wanted while ``missing`` spot nodes are."""


@dataclass(frozen=True, eq=False, repr=False)
class Never(Fact):
    """Spot or nothing: for jobs that would rather wait than pay."""

    def wanted(self, missing: int, *, context: Shortage) -> int:  # noqa: ARG002 - the protocol's
        """Return 0."""
        return 0


@dataclass(frozen=True, eq=False, repr=False)
class Mirror(Fact):
    """One for one, at once: for jobs that have to keep their speed."""

    def wanted(self, missing: int, *, context: Shortage) -> int:  # noqa: ARG002 - the protocol's
        """Return ``missing``."""
        return missing


@dataclass(frozen=True, eq=False, repr=False)
class Patient(Fact):
    """One for one, but only for a shortfall that lasts: most spot nodes that are lost are replaced within minutes.

    What was bought is kept for as long as it is missing; only buying more waits.
    """

    wait_seconds: float
    """How long a shortfall must last before on-demand nodes are bought for it."""

    def wanted(self, missing: int, *, context: Shortage) -> int:
        """Return ``missing`` once it has lasted, until then what is held of it."""
        return missing if context.lasted_seconds >= self.wait_seconds else min(missing, context.held)


POLICIES: Mapping[str, Callable[[PolicySpec], FallbackPolicy]] = {
    "never": lambda _: Never(),
    "mirror": lambda _: Mirror(),
    "patient": lambda spec: Patient(spec.wait_seconds),
}
"""What can stand in a fleet's ``policy.name``, and how it is built."""


class UnknownPolicy(ValueError):
    """The fleet asks for a policy that this responder does not have."""


def policy_of(spec: PolicySpec) -> FallbackPolicy:
    """Return the policy that ``spec`` names.

    Raises:
        UnknownPolicy: There is none of that name; a newer component than this responder wrote it.
    """
    if spec.name not in POLICIES:
        raise UnknownPolicy(f"policy.name: was {spec.name!r}, expected one of {', '.join(sorted(POLICIES))}")
    return POLICIES[spec.name](spec)
