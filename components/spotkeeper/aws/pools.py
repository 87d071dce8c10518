"""Which instances a fleet may run on, and whether a gang could be formed of them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from spotkeeper.errors import InputError
from spotkeeper.inputs import choice, flag, known_only, whole_number
from spotkeeper.pools import check_one_accelerator, check_pools, check_types

REQUIREMENTS_COUNT_AS = 3
"""As how many types attribute requirements count: which ones match is the cloud's to say, and changes by the week."""

STRATEGIES = {
    "capacity-optimized": "",
    "capacity-optimized-prioritized": "",
    "price-capacity-optimized": "",
    "lowest-price": "it draws from the pools that are reclaimed first",
}

# fmt: off
ACCELERATORS = {
    "dl1": "Gaudi", "dl2q": "Cloud AI 100", "f1": "FPGA VU9P", "f2": "FPGA VU47P", "g3": "M60", "g3s": "M60",
    "g4ad": "V520", "g4dn": "T4", "g5": "A10G", "g5g": "T4G", "g6": "L4", "g6e": "L40S", "g6f": "L4 fraction",
    "g7e": "RTX PRO 6000", "gr6": "L4", "gr6f": "L4 fraction", "inf1": "Inferentia", "inf2": "Inferentia2",
    "p2": "K80", "p3": "V100 16 GiB", "p3dn": "V100 32 GiB", "p4d": "A100 40 GiB", "p4de": "A100 80 GiB",
    "p5": "H100", "p5e": "H200", "p5en": "H200", "p6-b200": "B200", "p6-b300": "B300", "p6e-gb200": "GB200",
    "trn1": "Trainium", "trn1n": "Trainium", "trn2": "Trainium2", "trn2u": "Trainium2", "vt1": "U30",
}
# fmt: on
"""Accelerator of each instance family that has one."""
_ACCELERATED = re.compile(r"(p|g|gr|trn|inf|dl|f|vt)\d")


class AwsInstanceRequirementsArgs(TypedDict):
    """Which instances will do, by attributes; the cloud picks the types. Memory is in GiB."""

    vcpu_min: int
    """Fewest virtual CPUs of a node."""
    vcpu_max: NotRequired[int]
    """Most virtual CPUs of a node. Default: no limit."""
    memory_gib_min: int
    """Least memory of a node."""
    memory_gib_max: NotRequired[int]
    """Most memory of a node. Default: no limit."""
    accelerator_names: NotRequired[Sequence[str]]
    """Accelerators that will do, by EC2's names, such as ``h100``. Default: any, if some are asked for otherwise."""
    accelerator_count_min: NotRequired[int]
    """Fewest accelerators of a node. Default: 1 if one is asked for by name or memory, else instances have none."""
    accelerator_count_max: NotRequired[int]
    """Most accelerators of a node. Default: no limit."""
    accelerator_memory_gib_min: NotRequired[int]
    """Least memory of all accelerators of a node together. Default: no limit."""
    accelerator_memory_gib_max: NotRequired[int]
    """Most memory of all accelerators of a node together. Default: no limit."""


@dataclass(frozen=True)
class Market:
    """What a fleet may run on: instance types or requirements, never both, and how spot picks among them."""

    strategy: str
    types: tuple[str, ...]
    requirements: Mapping[str, Any] | None
    accept_narrow_pool: bool


def plan_market(args: Mapping[str, Any], gang: str) -> Market:
    """Check which instances a fleet may run on.

    Raises:
        InputError: neither or both of types and requirements, a strategy that does not fit, weights, or a gang of
            different accelerators.
    """
    strategy = choice(args, "allocation_strategy", "capacity-optimized", STRATEGIES)
    types, requirements = args.get("instance_types"), args.get("instance_requirements")
    if (types is None) == (requirements is None):
        raise InputError("instance_types", types, "either instance_types or instance_requirements")
    accept = flag(args, "accept_narrow_pool")
    if types is not None:
        return Market(strategy, _checked_types(types, gang), None, accept)
    if strategy == "capacity-optimized-prioritized":
        raise InputError(
            "allocation_strategy", strategy, "a strategy without priorities: instance_requirements have no order"
        )
    return Market(strategy, (), _checked_requirements(requirements or {}, gang), accept)


def accelerator(instance_type: str) -> str:
    """Return the accelerator of this type: ``""`` for none, the family's own name where the table does not know it."""
    family = instance_type.split(".", maxsplit=1)[0]
    return ACCELERATORS.get(family) or (family if _ACCELERATED.match(family) else "")


def wants_accelerator(requirements: Mapping[str, Any]) -> bool:
    """Return whether the requirements ask for an accelerator in any way; if not, instances have none."""
    return any(bool(value) for name, value in requirements.items() if name.startswith("accelerator_"))


def check_market(market: Market, zones: Collection[str]) -> None:
    """Refuse a fleet that could draw from few pools only.

    Args:
        market: what it may run on.
        zones: zone of each subnet; equal ones count once.

    Raises:
        InputError: too few candidate pools, and nobody said that this is meant so.
    """
    check_pools(
        "instance_types" if market.types else "instance_requirements",
        list(market.types) or market.requirements,
        types=len(market.types) or REQUIREMENTS_COUNT_AS,
        zones=zones,
        where="subnets in more zones",
        accept_narrow=market.accept_narrow_pool,
    )


def _checked_types(types: Any, gang: str) -> tuple[str, ...]:
    checked = check_types("instance_types", types, r"[a-z0-9-]+\.[a-z0-9-]+", "g5.xlarge")
    if gang != "none":
        check_one_accelerator("instance_types", checked, {accelerator(item) for item in checked})
    return checked


def _checked_requirements(args: Mapping[str, Any], gang: str) -> Mapping[str, Any]:
    path = "instance_requirements."
    known_only(args, AwsInstanceRequirementsArgs.__annotations__, {}, path)
    checked: dict[str, Any] = {
        name: whole_number({path + name: args[name]}, path + name, None, 0)
        for name in args
        if name != "accelerator_names" and args[name] is not None
    }
    for name in ("vcpu_min", "memory_gib_min"):
        if name not in checked:
            raise InputError(path + name, None, "a value; EC2 takes no requirements without it")
    for stem in ("vcpu", "memory_gib", "accelerator_count", "accelerator_memory_gib"):
        low, high = checked.get(f"{stem}_min", 0), checked.get(f"{stem}_max")
        if high is not None and high < low:
            raise InputError(f"{path}{stem}_max", high, f"at least {stem}_min, {low}")
    names = args.get("accelerator_names") or []
    if isinstance(names, str) or not all(isinstance(item, str) for item in names):
        raise InputError(f"{path}accelerator_names", names, "a list of accelerators, such as ['h100']")
    checked["accelerator_names"] = list(names)
    if gang != "none" and wants_accelerator(checked) and len(names) != 1:
        raise InputError(f"{path}accelerator_names", list(names), "exactly one, for all nodes of a gang")
    return checked
