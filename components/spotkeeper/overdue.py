"""A deadline given as a moment, that comes too soon: no new fleet may have it, a running one may have come to it.

Only the engine knows which of the two a fleet is, so that it is asked: a hook refuses what is about to be created, in a
preview as well. Whatever is there already can be deployed at any time.
"""

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pulumi

from spotkeeper.errors import InputError
from spotkeeper_ledger.documents import DeadlineSpec

HOUR = 3600.0


def too_soon(by: str, deadline: DeadlineSpec, now: float) -> InputError | None:
    """Return why a new fleet could not keep its deadline; ``None`` where it could, or nobody can say.

    Args:
        by: the deadline as it was given.
        deadline: what came of it, with ``at``.
        now: Unix seconds.
    """
    if deadline.at is None or deadline.at <= now:
        return InputError("deadline.by", by, "a moment that is still to come")
    if deadline.work_hours is None:
        return None
    least = deadline.work_hours + deadline.restart_seconds / HOUR
    if deadline.at >= now + least * HOUR:
        return None
    first = datetime.fromtimestamp(math.ceil(now / 60 + least * 60) * 60, UTC).isoformat(timespec="minutes")
    why = f"{first} or later: work_hours and one restart are {least:g} hours, which on-demand alone takes from now on"
    return InputError("deadline.by", by, why)


def refused_if_new(
    fleet: str, args: Mapping[str, Any], deadline: DeadlineSpec | None, opts: pulumi.ResourceOptions | None
) -> pulumi.ResourceOptions | None:
    """Return ``opts`` of a fleet's component, such that it is not created with a deadline that comes too soon.

    Args:
        fleet: its id.
        args: its inputs, which have been checked.
        deadline: what came of them.
        opts: as they were given.
    """
    if deadline is None or deadline.at is None:
        return opts
    now = time.time()
    problem = too_soon(args["deadline"]["by"], deadline, now)
    if problem is None:
        return opts
    left = (deadline.at - now) / HOUR
    if left <= 0:
        pulumi.log.warn(f"{fleet}: its deadline, {problem.was}, has passed; deadline.by takes a later one")
    else:
        told = f"{left:.1f} hours to its deadline, less than its job takes in all; spotkeeper status says how far it is"
        pulumi.log.info(f"{fleet}: {told}")

    def refuse(_: pulumi.ResourceHookArgs) -> None:
        raise problem

    hook = pulumi.ResourceHook(f"{fleet}-deadline", refuse, pulumi.ResourceHookOptions(on_dry_run=True))
    return pulumi.ResourceOptions.merge(
        opts, pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook]))
    )
