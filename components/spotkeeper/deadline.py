"""By when a fleet's job has to be done, and what it may cost: checked here, for every cloud."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from spotkeeper.errors import InputError
from spotkeeper.inputs import known_only, positive, seconds, text
from spotkeeper_ledger.documents import DeadlineSpec

POLICY = "deadline"
"""The policy that all of this is for."""
REQUIRED = "a block with on_demand_price and either by or hours, because the policy is 'deadline'"


class FleetDeadlineArgs(TypedDict):
    """By when the job has to be done, and what it may cost. Prices are of a node and hour, all in one currency."""

    on_demand_price: float
    """What an on-demand node costs an hour. Of several types, that of the dearest."""
    hours: NotRequired[float]
    """The deadline, in hours from the moment that the responder first sees the fleet. Either this or ``by``."""
    by: NotRequired[str]
    """The deadline as a date and time with an offset from UTC, such as ``2027-03-01T08:00:00+01:00``. A fleet that is
    created has to have ``work_hours`` and one restart until then; one that is there can be deployed at any time, also
    when it is late."""
    work_hours: NotRequired[float]
    """How long the job takes with all its nodes and no interruption, from its first step to its last. Default: what its
    progress says once it runs; it has to report its total of steps either way. Leave it out of a new fleet that goes on
    with a job which has been done in part, if the rest of the time would be too short for all of it."""
    spot_price: NotRequired[float]
    """What a spot node costs an hour, where that is constant. Default: the cloud is asked every five minutes; Google
    Cloud does not tell, so that there it has to be given for the cost to be kept."""
    excess: NotRequired[float]
    """What the job may cost beyond on-demand, for tries on spot that come to nothing. Default: 2.5 % of what
    on-demand costs, at least one restart of all nodes. The more, the more often spot is tried; with one restart only,
    a job whose first tries fail has to end on on-demand."""
    restart_minutes: NotRequired[float]
    """The longest from the decision for other nodes until the job works on them: launch, boot, load the checkpoint,
    compile. Default 12; where a longer one is seen, that is reckoned with."""
    tick_seconds: NotRequired[float]
    """Time between two looks of the responder. Default 60, which is what it does."""


@dataclass(frozen=True)
class Waits:
    """What of a fleet's timings says how long nodes that are let go are still paid; seconds."""

    signal_poll: float
    save: float


def plan_deadline(args: Mapping[str, Any], waits: Waits) -> DeadlineSpec | None:
    """Check the deadline of a fleet against the rest of its inputs; ``None`` for a fleet of another policy.

    Args:
        args: the fleet's inputs, of which the policy and its limits of on-demand matter.
        waits: of its timings.

    Raises:
        InputError: an input is missing, cannot be used, or does not go with the others; or the deadline cannot be met.
    """
    given = args.get("deadline")
    if args.get("policy") != POLICY:
        if given is not None:
            raise InputError("policy", args.get("policy"), "'deadline', which is what the deadline block is for")
        return None
    if not isinstance(given, Mapping):
        raise InputError("deadline", given, REQUIRED)
    known_only(given, FleetDeadlineArgs.__annotations__, {}, "deadline.")
    price = positive(given, "on_demand_price", path="deadline.")
    if price is None:
        raise InputError(
            "deadline.on_demand_price", None, "a number, more than 0: what an on-demand node costs an hour"
        )
    hours, at = positive(given, "hours", path="deadline."), _moment(given)
    if (hours is None) == (at is None):
        raise InputError("deadline.hours", hours, "either hours or by")
    _check_on_demand(args)
    tick = seconds(given, "tick_seconds", 60.0, path="deadline.")
    restart = seconds(given, "restart_minutes", 12.0, path="deadline.") * 60
    work = positive(given, "work_hours", path="deadline.")
    least = None if work is None else work + restart / 3600
    if hours is not None and least is not None and hours < least:
        why = f"at least {least:g}, work_hours and one restart: on-demand alone takes that long"
        raise InputError("deadline.hours", hours, why)
    return DeadlineSpec(
        on_demand_price=price,
        at=at,
        hours=hours,
        work_hours=work,
        spot_price=positive(given, "spot_price", path="deadline."),
        excess=0.0 if given.get("excess") == 0 else positive(given, "excess", path="deadline."),
        restart_seconds=restart,
        release_seconds=min(restart, waits.signal_poll + waits.save + tick),
        period_seconds=tick,
    )


def _moment(given: Mapping[str, Any]) -> float | None:
    value = text(given, "by", path="deadline.")
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InputError("deadline.by", value, "a date and time with an offset from UTC, as 2027-03-01T08:00:00+01:00")
    return found.timestamp()


def _check_on_demand(args: Mapping[str, Any]) -> None:
    """Refuse limits that would keep the job from ending on on-demand, which is how its deadline is kept."""
    most, nodes = args.get("on_demand_max"), args.get("nodes")
    if most is not None and most != nodes:
        raise InputError(
            "on_demand_max", most, f"{nodes}, all nodes: the policy 'deadline' may need them to be in time"
        )
    if args.get("max_on_demand_hours") is not None:
        why = "no limit: the policy 'deadline' has its own, deadline.excess"
        raise InputError("max_on_demand_hours", args["max_on_demand_hours"], why)
