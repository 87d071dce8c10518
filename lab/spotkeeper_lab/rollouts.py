"""What deploys did to a fleet: from its specs and from the moments that were written down to facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spotkeeper_lab.timeline import Departure, Deploy, Shape

if TYPE_CHECKING:  # the local cloud takes seconds to import
    from spotkeeper_lab.local import Moment
    from spotkeeper_ledger.documents import FleetSpec

BEGAN, ENDED, FAILED = "deploying", "deployed", "deploy-failed"
"""Moments of a change; each begins with the first and ends with one of the others."""
CHANGING, DELETING = "resource-changing", "resource-deleting"
"""Moments just before what they are named after."""
SPEC, TEMPLATE, GROUP, PERMISSION = "spec", "template", "group", "permission"
PARTS: Mapping[str, str] = {
    "aws:s3/bucketObjectv2:BucketObjectv2": SPEC,
    "aws:ec2/launchTemplate:LaunchTemplate": TEMPLATE,
    "aws:autoscaling/group:Group": GROUP,
    "aws:iam/rolePolicy:RolePolicy": PERMISSION,
    "gcp:storage/bucketObject:BucketObject": SPEC,
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": TEMPLATE,
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": GROUP,
    "gcp:storage/bucketIAMMember:BucketIAMMember": PERMISSION,
}
"""Type of a resource to the part of a fleet that it is; of other types nothing is asked. An object that changes, or
goes with its fleet, is the spec and nothing else."""


def shape_of(spec: FleetSpec) -> Shape:
    """Return what a spec asks for."""
    return Shape(
        spot_target=spec.spot_target,
        base=spec.base,
        maximum=spec.maximum,
        policy=spec.policy.name,
        version=spec.command_version,
        on_update=spec.on_update,
    )


def under_way(moments: Sequence[Moment]) -> bool:
    """Whether a change was begun that has not ended."""
    began, ended = (sum(moment.what in names for moment in moments) for names in ((BEGAN,), (ENDED, FAILED)))
    return began > ended


def spec_written_at(moments: Sequence[Moment]) -> float | None:
    """Return when the spec was last written again: an object of the ledger is nothing else."""
    written = [m.at for m in moments if m.what == CHANGING and PARTS.get(m.detail["kind"]) == SPEC]
    return written[-1] if written else None


def deploys(moments: Sequence[Moment]) -> list[Deploy]:
    """Return the changes of the stack, the destruction included, in order; they do not overlap."""
    ends = [moment for moment in moments if moment.what in (ENDED, FAILED)]
    found = []
    for number, began in enumerate(moment for moment in moments if moment.what == BEGAN):
        ended = ends[number] if number < len(ends) else None
        during = [m for m in moments if m.at >= began.at and (ended is None or m.at <= ended.at)]
        found.append(
            Deploy(
                change=began.detail["change"],
                began_at=began.at,
                ended_at=ended.at if ended else None,
                changed=tuple(m.detail["kind"] for m in during if m.what == CHANGING),
                deleted=tuple(m.detail["kind"] for m in during if m.what == DELETING),
                left=tuple(ended.detail.get("left", ())) if ended else (),
            )
        )
    return found


def departures(moments: Sequence[Moment]) -> dict[str, Departure]:
    """Return when and why nodes began to leave their groups, those that were taken away excepted."""
    found: dict[str, Departure] = {}
    for moment in moments:
        if moment.what == "leaving" and moment.node is not None:
            found.setdefault(moment.node, Departure(moment.at, moment.detail["why"]))
    return found
