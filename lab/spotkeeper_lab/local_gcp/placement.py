"""Where a group tries to create an instance: pure decisions about zones and machine types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from spotkeeper_lab.local_gcp import template_rules
from spotkeeper_lab.local_gcp.links import last
from spotkeeper_lab.local_gcp.market import Place


def places(
    group: Mapping[str, Any],
    properties: Mapping[str, Any],
    held: Sequence[str],
    wanted: Sequence[str],
    pinned: str | None = None,
) -> list[Place]:
    """Return the places at which a group tries to create an instance, the first one first.

    A machine type of a lower rank comes before all others, in every zone. ``EVEN`` stays with the zone that has the
    fewest instances, and ``ANY_SINGLE_ZONE`` with the zone that has any.

    Args:
        group: the group's fields.
        properties: of the instance's template.
        held: zones of the group's instances.
        wanted: zones of all its managed instances, those included that could not be created so far.
        pinned: the zone that the instance must not leave.
    """
    zones = [pinned] if pinned else _zones(group["distributionPolicy"], held, wanted)
    model = template_rules.model(properties)
    return [Place(zone, kind, model) for kinds in _types(group, properties) for zone in zones for kind in kinds]


def _zones(distribution: Mapping[str, Any], held: Sequence[str], wanted: Sequence[str]) -> list[str]:
    zones, shape = [last(one["zone"]) for one in distribution["zones"]], distribution["targetShape"]
    counts = Counter(wanted if shape == "EVEN" else held)
    if shape == "ANY":
        return zones
    if shape == "ANY_SINGLE_ZONE":
        return [zone for zone in zones if counts[zone]] or zones
    fewest_first = sorted(zones, key=lambda zone: counts[zone])
    return fewest_first[:1] if shape == "EVEN" else fewest_first


def _types(group: Mapping[str, Any], properties: Mapping[str, Any]) -> list[list[str]]:
    """Return machine types, those of one rank together, the best rank first."""
    selections = group.get("instanceFlexibilityPolicy", {}).get("instanceSelections", {})
    if not selections:
        return [[last(properties["machineType"])]]
    ranks: dict[int, list[str]] = {}
    for selection in selections.values():
        ranks.setdefault(int(selection.get("rank", 0)), []).extend(selection.get("machineTypes", ()))
    return [ranks[rank] for rank in sorted(ranks)]
