"""What was broken in a rehearsal, from the moments that were written down. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spotkeeper_lab.timeline import Alarm, Fault

if TYPE_CHECKING:  # the local cloud takes seconds to import
    from spotkeeper_lab.local import Moment

CAPACITY = "capacity"
"""The reason for a refused launch that buys on-demand."""
DELIVERY_SECONDS = 2.0
"""How long a command may be on its way to a node."""
_LABELS = frozenset({"fault", "kind"})


def faults(moments: Sequence[Moment]) -> list[Fault]:
    """Return the faults of a rehearsal in the order in which they began."""
    ends = {moment.detail["fault"]: moment for moment in moments if moment.what == "fault-ended"}
    found = []
    for began in (moment for moment in moments if moment.what == "fault-began"):
        ended = ends.get(began.detail["fault"])
        details = {**began.detail, **(ended.detail if ended else {})}
        found.append(
            Fault(
                kind=began.detail["kind"],
                began_at=began.at,
                ended_at=ended.at if ended else None,
                detail={name: value for name, value in details.items() if name not in _LABELS},
            )
        )
    return found


def lasting(moments: Sequence[Moment]) -> int:
    """Return how many faults have begun and not ended."""
    return sum(fault.ended_at is None for fault in faults(moments))


def alarms(moments: Sequence[Moment]) -> list[Alarm]:
    """Return the alarms that have rung, in order."""
    rang = (moment for moment in moments if moment.what == "alarm" and moment.detail["state"] == "ALARM")
    return [Alarm(each.at, each.detail["name"], each.detail["reason"], each.detail["meaning"]) for each in rang]


def refused(moments: Sequence[Moment]) -> list[tuple[float, str]]:
    """Return when which group was refused a launch for lack of capacity."""
    failed = (moment for moment in moments if moment.what == "launch-refused")
    return [(moment.at, moment.detail["group"]) for moment in failed if moment.detail["kind"] == CAPACITY]


def blocked(moments: Sequence[Moment]) -> list[tuple[float, str]]:
    """Return when a launch failed for what other reason than a lack of capacity."""
    failed = (moment for moment in moments if moment.what == "launch-refused")
    return [(moment.at, moment.detail["kind"]) for moment in failed if moment.detail["kind"] != CAPACITY]


def repeated(moments: Sequence[Moment]) -> list[float]:
    """Return when the function had handled messages that were delivered to it before."""
    return [moment.at for moment in moments if moment.what == "function-invoked" and moment.detail["repeated"]]


def away(faults: Sequence[Fault], ended_at: float) -> list[tuple[float, float]]:
    """Return from when to when the ledger was away; ``ended_at`` is the end of the rehearsal."""
    return [(fault.began_at, fault.ended_at or ended_at) for fault in faults if fault.kind == "dark"]


def forgetful(faults: Sequence[Fault], ended_at: float) -> list[tuple[float, float]]:
    """Return from when to when what was done may not have been remembered: the ledger was away, or refused calls."""
    return [(fault.began_at, fault.ended_at or ended_at) for fault in faults if fault.kind in ("dark", "throttle")]


def remembered(commands: Sequence[float], forgotten: Sequence[tuple[float, float]]) -> int:
    """Return how many commands were sent while it was sure to be remembered whether one had been sent before."""
    return sum(not any(begin <= at <= end + DELIVERY_SECONDS for begin, end in forgotten) for at in commands)
