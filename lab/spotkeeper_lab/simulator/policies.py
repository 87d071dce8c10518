"""The policies by the names that the command line knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spotkeeper_lab.simulator.baselines import Greedy, OnDemand, SpotOnly, TimeSliced, UniformProgress
from spotkeeper_lab.simulator.job import Job, JobError
from spotkeeper_lab.simulator.player import Policy
from spotkeeper_lab.simulator.responder import Responder
from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.fallback import Mirror, Never, Patient

PATIENCE_SECONDS = 600.0
"""For how long ``patient`` waits unless told otherwise, as in the fleet's own default."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the responder's policies are built with."""

    job: Job
    hysteresis_seconds: float = 300.0
    """For how long spot has to be back before on-demand is given back; the fleet's own default."""
    period_seconds: float = 60.0
    """Time between two looks of the responder."""
    excess: float | None = None
    """Dollars that ``deadline`` may cost beyond on-demand; ``None``: 2.5 % of that, at least a restart."""

    @property
    def restart_seconds(self) -> float:
        """From a decision for other nodes until the job works on them: what ``deadline`` is told."""
        return self.job.changeover_seconds + self.job.save_seconds

    def deadline(self, *, money: bool) -> Deadline:
        """Return the policy ``deadline``."""
        return Deadline(
            restart=self.restart_seconds,
            period=self.period_seconds,
            release=self.job.release_seconds,
            excess=self.excess,
            money=money,
        )


@dataclass(frozen=True)
class Known:
    """A policy by name."""

    text: str
    build: Callable[[Settings, float | None], Policy]
    """Takes what stands after the name's colon: seconds, or a number."""
    parameter: str = ""
    """What may stand there."""
    deployable: bool = False
    """Whether a fleet can have it: it is the function that decides in the cloud."""


def _responder(name: str, policy: Never | Mirror | Patient | Deadline, settings: Settings) -> Responder:
    return Responder(
        name=name, policy=policy, period=settings.period_seconds, hysteresis_seconds=settings.hysteresis_seconds
    )


POLICIES: Mapping[str, Known] = {
    "deadline": Known(
        "in time, and never dearer than on-demand and the excess",
        lambda s, _: _responder("deadline", s.deadline(money=True), s),
        deployable=True,
    ),
    "deadline-time-only": Known(
        "the same without the rule on money: shows what that costs",
        lambda s, _: _responder("deadline-time-only", s.deadline(money=False), s),
    ),
    "mirror": Known(
        "on-demand for every missing node, at once", lambda s, _: _responder("mirror", Mirror(), s), deployable=True
    ),
    "patient": Known(
        "on-demand for what has been missing for a while",
        lambda s, wait: _responder("patient", Patient(PATIENCE_SECONDS if wait is None else wait), s),
        parameter="TIME",
        deployable=True,
    ),
    "never": Known("spot or nothing", lambda s, _: _responder("never", Never(), s), deployable=True),
    "on-demand": Known("on-demand from beginning to end", lambda _s, _: OnDemand()),
    "spot-only": Known("spot where there is any, without a responder", lambda _s, _: SpotOnly()),
    "greedy": Known("spot or nothing until only on-demand makes the deadline", lambda _s, _: Greedy()),
    "time-sliced": Known(
        "greedy in each of some slices (4)",
        lambda _s, number: TimeSliced() if number is None else TimeSliced(slices=max(1, int(number))),
        parameter="N",
    ),
    "uniform-progress": Known("on-demand while behind an even pace (Can't Be Late)", lambda _s, _: UniformProgress()),
}
"""What can be compared."""
USUAL = ("deadline", "mirror", "patient", "never", "on-demand", "greedy", "uniform-progress")
"""What is compared unless somebody asks for others."""


def policy_of(name: str, parameter: float | None, settings: Settings) -> Policy:
    """Return a policy of :data:`POLICIES`.

    Raises:
        JobError: There is none of that name, or it takes no parameter.
    """
    if name not in POLICIES:
        raise JobError(f"policy: was {name!r}, expected one of {', '.join(POLICIES)}")
    known = POLICIES[name]
    if parameter is not None and not known.parameter:
        raise JobError(f"policy: was {name!r} with {parameter:g} after it, expected {name} alone")
    return known.build(settings, parameter)
