"""Which machines a fleet may run on, how its groups pick among them, and what the API would refuse of that.

Pulumi checks none of these rules; the API does, after half of a fleet is there.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper.errors import InputError
from spotkeeper.gcp.machines import accelerator, can_migrate, family, is_arm, is_tpu, takes_hyperdisk_only
from spotkeeper.inputs import choice, flag, whole_number
from spotkeeper.pools import check_one_accelerator, check_pools, check_types

_NO_PRICES = "a managed instance group knows no prices"
STRATEGIES = {
    "capacity-optimized": "",
    "capacity-optimized-prioritized": "",
    "price-capacity-optimized": _NO_PRICES,
    "lowest-price": _NO_PRICES,
}
ANY, BALANCED, ANY_SINGLE_ZONE = "ANY", "BALANCED", "ANY_SINGLE_ZONE"
SHAPES = {
    ANY: "",
    BALANCED: "",
    ANY_SINGLE_ZONE: "",
    "EVEN": "it waits for the zone that has no capacity, and takes no choice of machine types",
}
DISKS = {"pd-balanced": "", "pd-ssd": "", "hyperdisk-balanced": ""}
NOTICES = (0, 120)
"""Seconds of notice that Compute Engine can give before a preempted machine shuts down."""
SHUTDOWN_SECONDS = 30.0
"""How long the shutdown of a spot machine may take, at best: all that is left where there is no notice before it."""
MOST_NODES = 1000
_NO_TPU = "a machine with GPUs or none: TPUs are not supported, because their slices are no managed instances"


@dataclass(frozen=True)
class Market:
    """What a fleet may run on, checked."""

    types: tuple[str, ...]
    prioritized: bool
    """Whether the types are in order of preference."""
    accelerator_type: str
    """Accelerator that is attached to machines that come without one; empty for none."""
    accelerator_count: int
    shape: str
    zones: tuple[str, ...]
    """Zones that were asked for; none for all of the region."""
    accept_narrow_pool: bool
    notice_seconds: int
    disk_type: str
    disk_gib: int
    secure_boot: bool

    @property
    def migrates(self) -> bool:
        """Whether on-demand nodes are moved to another host for its maintenance; the others are stopped for it."""
        return not self.accelerator_type and all(can_migrate(each) for each in self.types)


def plan_market(args: Mapping[str, Any], gang: str) -> Market:
    """Check which machines a fleet may run on.

    Raises:
        InputError: the API, or the gang that they are to form, would not take them.
    """
    types = _checked_types(args["machine_types"])
    attached = _checked_accelerator(args, types)
    count = whole_number(args, "accelerator_count", 1, 1, 8)
    if args.get("accelerator_count") is not None and not attached:
        raise InputError("accelerator_count", count, "an accelerator_type, of which there are so many")
    if count not in (1, 2, 4, 8):
        raise InputError("accelerator_count", count, "1, 2, 4 or 8")
    if gang != "none" and not attached:
        check_one_accelerator("machine_types", types, {accelerator(each) for each in types})
    return Market(
        types=types,
        prioritized=choice(args, "allocation_strategy", "capacity-optimized", STRATEGIES).endswith("-prioritized"),
        accelerator_type=attached,
        accelerator_count=count if attached else 0,
        shape=_checked_shape(args, gang),
        zones=_checked_zones(args.get("zones")),
        accept_narrow_pool=flag(args, "accept_narrow_pool"),
        notice_seconds=_checked_notice(args),
        disk_type=_checked_disk(args, types),
        disk_gib=whole_number(args, "boot_disk_gib", 100, 10, 65536),
        secure_boot=flag(args, "secure_boot"),
    )


def check_nodes(nodes: int) -> None:
    """Refuse more nodes than the function looks after in one group."""
    if nodes > MOST_NODES:
        raise InputError("nodes", nodes, f"at most {MOST_NODES}")


def with_notice(args: Mapping[str, Any], market: Market) -> Mapping[str, Any]:
    """Return the inputs with the time that a node has, its notice or its shutdown, where they say nothing of it."""
    timings = dict(args.get("timings") or {})
    if timings.get("notice_seconds") is None:
        timings["notice_seconds"] = float(market.notice_seconds) or SHUTDOWN_SECONDS
    return {**args, "timings": timings}


def check_zones(market: Market, region: str, found: Collection[str]) -> Sequence[str]:
    """Return the zones that nodes may start in, if they make enough candidate pools.

    Args:
        market: what the fleet may run on, and the zones that were asked for.
        region: where the fleet is.
        found: all zones of the region.

    Raises:
        InputError: a zone is of another region, or there are too few candidate pools.
    """
    for zone in market.zones:
        if zone not in found:
            raise InputError("zones", zone, f"zones of {region}: {', '.join(sorted(found))}")
    zones = market.zones or tuple(sorted(found))
    check_pools(
        "machine_types",
        list(market.types),
        types=len(market.types),
        zones=zones,
        where="more zones",
        accept_narrow=market.accept_narrow_pool,
    )
    return zones


def _checked_types(given: Any) -> tuple[str, ...]:
    if isinstance(given, str | list | tuple):
        for each in [given] if isinstance(given, str) else given:
            if isinstance(each, str) and is_tpu(each):
                raise InputError("machine_types", each, _NO_TPU)
    types = check_types("machine_types", given, r"[a-z][a-z0-9]*(-[a-z0-9]+)+", "n2-standard-8")
    if len({is_arm(each) for each in types}) > 1:
        raise InputError("machine_types", list(types), "processors of one kind, x86 or Arm: nodes start from one image")
    return types


def _checked_accelerator(args: Mapping[str, Any], types: Sequence[str]) -> str:
    kind = args.get("accelerator_type")
    if kind is None:
        return ""
    if not isinstance(kind, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", kind):
        raise InputError("accelerator_type", kind, "the name of a GPU, such as 'nvidia-tesla-t4'")
    if is_tpu(kind):
        raise InputError("accelerator_type", kind, _NO_TPU)
    others = [each for each in types if family(each) != "n1"]
    if others:
        expected = f"machine_types of the N1 series only, not {others[0]!r}: GPUs come with other types or not at all"
        raise InputError("accelerator_type", kind, expected)
    return kind


def _checked_shape(args: Mapping[str, Any], gang: str) -> str:
    shape = choice(args, "target_shape", ANY_SINGLE_ZONE if gang == "single_zone" else ANY, SHAPES)
    if gang == "single_zone" and shape != ANY_SINGLE_ZONE:
        raise InputError("target_shape", shape, f"{ANY_SINGLE_ZONE!r}, because nodes of this gang are of one zone")
    return shape


def _checked_zones(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InputError("zones", given, "a list of zones, such as ['europe-west4-a', 'europe-west4-b']")
    if len(set(given)) != len(given):
        raise InputError("zones", list(given), "each zone once")
    return tuple(str(zone) for zone in given)


def _checked_notice(args: Mapping[str, Any]) -> int:
    notice = whole_number(args, "preemption_notice_seconds", 120, 0)
    if notice not in NOTICES:
        raise InputError("preemption_notice_seconds", notice, "0 or 120; Compute Engine gives no other notice")
    return notice


def _checked_disk(args: Mapping[str, Any], types: Sequence[str]) -> str:
    newer = [each for each in types if takes_hyperdisk_only(each)]
    disk = choice(args, "boot_disk_type", "hyperdisk-balanced" if len(newer) == len(types) else "pd-balanced", DISKS)
    if newer and disk.startswith("pd-"):
        raise InputError("boot_disk_type", disk, f"'hyperdisk-balanced', the only kind that {newer[0]!r} starts from")
    return disk
