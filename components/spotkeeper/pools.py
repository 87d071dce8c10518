"""How many candidate pools a fleet may draw from, on any cloud.

A candidate pool is one type of machine in one zone. Each has its own spare capacity, so the more of them a fleet may
draw from, the longer its nodes live and the sooner they are replaced.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spotkeeper.errors import InputError

LEAST_POOLS = 6
"""Fewer candidate pools than this are refused without ``accept_narrow_pool``."""
ONE_UNIT = "no weights: a node is one unit, and a shortfall is counted in nodes"
WEIGHTS = dict.fromkeys(("weights", "weighted_capacity", "instance_weights", "capacity_weights"), ONE_UNIT)
"""Inputs that one may look for and that do not exist, with the reason."""


def check_types(name: str, types: Any, pattern: str, example: str) -> tuple[str, ...]:
    """Return the types of machines that an input names: at least one, each once, none with a weight.

    Args:
        name: of the input.
        types: what was given.
        pattern: that each name matches.
        example: of a name.
    """
    kind = name.removesuffix("s").replace("_", " ")
    a_kind = f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
    if isinstance(types, str) or not isinstance(types, Sequence) or not types:
        raise InputError(name, types, f"a list of {kind}s, such as [{example!r}]")
    for item in types:
        if isinstance(item, Mapping):
            raise InputError(name, item, f"the name of {a_kind}, and {ONE_UNIT}")
        if not isinstance(item, str) or not re.fullmatch(pattern, item):
            raise InputError(name, item, f"the name of {a_kind}, such as {example!r}")
    if len(set(types)) != len(types):
        raise InputError(name, list(types), "each type once")
    return tuple(types)


def check_one_accelerator(name: str, types: Sequence[str], accelerators: Collection[str]) -> None:
    """Refuse types of machines for a gang that have different accelerators; ``""`` is that of a type without one."""
    found = sorted({accelerator or "none" for accelerator in accelerators})
    if len(found) > 1:
        raise InputError(name, list(types), f"one accelerator for all nodes of a gang, not {' and '.join(found)}")


def check_pools(name: str, given: Any, *, types: int, zones: Collection[str], where: str, accept_narrow: bool) -> None:
    """Refuse a fleet that could draw from few pools only.

    Args:
        name: of the input that says which machines will do.
        given: what it was.
        types: how many types of machines that are.
        zones: that nodes may start in; equal ones count once.
        where: what there could be more of, besides types.
        accept_narrow: whether somebody said that this is meant so.

    Raises:
        InputError: fewer than :data:`LEAST_POOLS` candidate pools, and nobody said that this is meant so.
    """
    distinct = len(set(zones))
    counted = f"{distinct} zone{'' if distinct == 1 else 's'}, which makes {types * distinct} candidate pools"
    if types * distinct < LEAST_POOLS and not accept_narrow:
        raise InputError(
            name,
            given,
            f"at least {LEAST_POOLS} (more types, or {where}), or accept_narrow_pool",
            note=f" in {counted} (types times zones)",
        )
