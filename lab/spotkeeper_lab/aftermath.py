"""What followed what a scenario did to a node: on-demand that was asked for, that served, that was given back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from spotkeeper_lab.timeline import BACKUP, SPOT, Life, Notice, Shape, Strike, alive, first, last, serving

Blow = TypeVar("Blow", Notice, Strike)
ShapeAt = Callable[[float], Shape]
Sizes = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Struck:
    """What the scenario did to a node without a notice."""

    node: str
    how: str
    """See :class:`spotkeeper_lab.timeline.Strike`."""
    at: float
    held_job: bool
    step: int | None
    until: float | None = None


def strike(struck: Struck, refused_at: float | None, shape_at: ShapeAt, lives: Sequence[Life], backup: Sizes) -> Strike:
    """Return all that followed; arguments as for :func:`with_backup`.

    ``refused_at`` is when the node was refused to publish a checkpoint.
    """
    life = next((life for life in lives if life.node == struck.node), None)
    found = Strike(
        node=struck.node,
        how=struck.how,
        group=life.group if life else SPOT,
        at=struck.at,
        held_job=struck.held_job,
        step=struck.step,
        until=struck.until,
        refused_at=refused_at,
        gone_at=life.ended_at if life else None,
    )
    return with_backup(found, shape_at, lives, backup)


def with_backup(blow: Blow, shape_at: ShapeAt, lives: Sequence[Life], backup: Sizes) -> Blow:
    """Return ``blow`` with when on-demand was requested after it, when it served, and when spot was back for all of it.

    Args:
        blow: What was done.
        shape_at: What the fleet was asked to be at a time.
        lives: Of all nodes.
        backup: Sizes that were asked for in the on-demand group.
    """
    sizes = [(last(backup, blow.at) or 0, blow.at), *((size, at) for at, size in backup if at > blow.at)]
    requested = first(at for (before, _), (after, at) in pairwise(sizes) if after > before)
    if requested is None:
        return blow
    bought: list[Life] = [life for life in lives if life.group == BACKUP and life.launched_at >= blow.at]
    ends = [
        at
        for at in (*(life.ended_at for life in bought), *(at for at, _ in backup))
        if at is not None and at > requested
    ]

    def is_back(at: float) -> bool:
        shape = shape_at(at)
        bridged = max(alive(lives, BACKUP, at), last(backup, at) or 0) > shape.base
        return not bridged and serving(lives, SPOT, at) >= shape.spot_target

    return replace(
        blow,
        backup_requested_at=requested,
        backup_serving_at=first(life.serving_at for life in bought),
        returned_at=first(at for at in ends if is_back(at)),
    )
