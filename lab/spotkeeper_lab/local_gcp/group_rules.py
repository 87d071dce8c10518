"""Rules for managed instance groups that the discovery document does not encode, and what is filled in for them.

Sources: the reference of ``InstanceGroupManager`` and of its methods, Google's guides to regional groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spotkeeper_lab.local_gcp.links import last
from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_done, required

LARGEST = 2000
"""Instances of a regional group."""
LARGEST_REQUEST = 1000
"""Instances that one request may name."""

_BASE_NAME = r"[a-z]([-a-z0-9]{0,57})"
_NUMBERED = r"[a-z][-a-z0-9]{0,51}-#{1,10}(\[[0-9]{1,10}\])?"
_NOT_DONE = ("standbyPolicy", "statefulPolicy", "targetStoppedSize", "targetSuspendedSize", "targetSizePolicy")


def complete(body: Mapping[str, Any], zones: Sequence[str]) -> dict[str, Any]:
    """Return a group's fields with what the API fills in."""
    distribution, update = body.get("distributionPolicy", {}), body.get("updatePolicy", {})
    lifecycle = body.get("instanceLifecyclePolicy", {})
    asked = distribution.get("zones") or [{"zone": f"zones/{zone}"} for zone in zones]
    surge = {"fixed": len(asked)}
    versions = body.get("versions") or [{"instanceTemplate": body["instanceTemplate"]}]
    return {
        "listManagedInstancesResults": "PAGELESS",
        "baseInstanceName": str(body["name"])[:58],
        **body,
        "versions": versions,
        "instanceTemplate": versions[0]["instanceTemplate"],
        "distributionPolicy": {"targetShape": "EVEN", **distribution, "zones": asked},
        "updatePolicy": {
            "type": "OPPORTUNISTIC",
            "instanceRedistributionType": "PROACTIVE",
            "minimalAction": "REPLACE",
            "replacementMethod": "SUBSTITUTE",
            "maxSurge": surge,
            "maxUnavailable": surge,
            **update,
        },
        "instanceLifecyclePolicy": {
            "defaultActionOnFailure": "REPAIR",
            "forceUpdateOnRepair": "NO",
            **lifecycle,
            "onRepair": {"allowChangingZone": "NO", **lifecycle.get("onRepair", {})},
        },
    }


def has_template(body: Mapping[str, Any]) -> None:
    """Refuse a group that names no template, or a version without one.

    Raises:
        Refused: As the API does.
    """
    if not body.get("instanceTemplate") and not body.get("versions"):
        raise required("resource.instanceTemplate")
    for at, version in enumerate(body.get("versions", ())):
        if not version.get("instanceTemplate"):
            raise required(f"resource.versions[{at}].instanceTemplate")


def check(group: Mapping[str, Any], zones: Sequence[str]) -> None:
    """Refuse a group that the API refuses, or that the local cloud cannot keep.

    Args:
        group: as :func:`complete` returns it.
        zones: of its region.

    Raises:
        Refused: For the first rule that it breaks.
    """
    size(int(group["targetSize"]), "resource.targetSize")
    _name(str(group["baseInstanceName"]))
    _zones([last(one.get("zone", "")) for one in group["distributionPolicy"]["zones"]], zones)
    _update(group["updatePolicy"], group["distributionPolicy"])
    _implemented(group)


def size(wanted: int, field: str) -> None:
    """Refuse a size that a regional group cannot have."""
    if not 0 <= wanted <= LARGEST:
        raise invalid(field, wanted, f"A regional managed instance group can contain up to {LARGEST} instances.")


def names(instances: Sequence[str]) -> None:
    """Refuse a request that names no instance, or too many."""
    if not instances:
        raise required("resource.instances")
    if len(instances) > LARGEST_REQUEST:
        why = f"You can specify a maximum of {LARGEST_REQUEST} instances with this method per request."
        raise invalid("resource.instances", f"{len(instances)} instances", why)


def patched(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's fields after a merge patch.

    Raises:
        Refused: It changes what stays, the fingerprint is old, or it asks for an update that is not done here.
    """
    if "fingerprint" in patch and patch["fingerprint"] != old["fingerprint"]:
        raise Refused(412, "conditionNotMet", "Invalid fingerprint.")
    if patch.get("name", old["name"]) != old["name"]:
        raise invalid("resource.name", patch["name"], "The name cannot be changed.")
    new: dict[str, Any] = _merge(old, patch)
    if "versions" not in patch and "instanceTemplate" in patch:
        new["versions"] = [{"instanceTemplate": patch["instanceTemplate"]}]
    if _zone_names(new) != _zone_names(old):
        raise invalid("resource.distributionPolicy.zones", sorted(_zone_names(new)), "The zones cannot be changed.")
    if new["updatePolicy"].get("type") == "PROACTIVE" and new.get("versions") != old["versions"]:
        raise not_done("a rolling update (updatePolicy.type PROACTIVE)")
    return new


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    kept = {name: value for name, value in old.items() if name not in patch}
    return {**kept, **{name: _merge(old.get(name), value) for name, value in patch.items() if value is not None}}


def _zone_names(group: Mapping[str, Any]) -> set[str]:
    return {last(one["zone"]) for one in group["distributionPolicy"].get("zones", ())}


def _name(base: str) -> None:
    if re.fullmatch(_NUMBERED, base):
        raise not_done("a baseInstanceName with numbers")
    if not re.fullmatch(_BASE_NAME, base):
        raise invalid("resource.baseInstanceName", base, f"Must be a match of regex '{_BASE_NAME}'")


def _zones(asked: Sequence[str], known: Sequence[str]) -> None:
    field = "resource.distributionPolicy.zones"
    for zone in asked:
        if zone not in known:
            raise invalid(field, zone, "The zone must exist in the region where the managed instance group is located.")
    if len(set(asked)) < len(asked):
        raise invalid(field, ", ".join(asked), "A zone may be named once.")


def _update(update: Mapping[str, Any], distribution: Mapping[str, Any]) -> None:
    shape, redistribution = distribution["targetShape"], update["instanceRedistributionType"]
    if shape != "EVEN" and redistribution != "NONE":
        why = f"Must be NONE for a group with target shape {shape}."
        raise invalid("resource.updatePolicy.instanceRedistributionType", redistribution, why)
    zones = len(distribution["zones"])
    for name in ("maxSurge", "maxUnavailable"):
        fixed = update[name].get("fixed")
        if fixed is not None and 0 < fixed < zones:
            why = f"Fixed value must be 0, or at least the number of zones, which is {zones}."
            raise invalid(f"resource.updatePolicy.{name}.fixed", fixed, why)
    if update["maxSurge"].get("fixed") == 0 == update["maxUnavailable"].get("fixed"):
        raise invalid("resource.updatePolicy.maxSurge", 0, "Either maxSurge or maxUnavailable must be greater than 0.")


def _implemented(group: Mapping[str, Any]) -> None:
    for name in _NOT_DONE:
        if group.get(name):
            raise not_done(name)
    if len(group["versions"]) > 1:
        raise not_done("a group with several versions")
    if group["instanceLifecyclePolicy"]["defaultActionOnFailure"] != "REPAIR":
        raise not_done("defaultActionOnFailure DO_NOTHING")
