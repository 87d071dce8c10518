"""Rules for instance templates that the discovery document does not encode.

Sources: the reference of ``Scheduling``, and errors of the API that users have reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spotkeeper_lab.local_gcp.market import SPOT, STANDARD
from spotkeeper_lab.local_gcp.refusals import invalid, required

_WHERE = "resource.properties"
_SCHEDULING = f"{_WHERE}.scheduling"
_NOTICES = (0, 120)


def check(template: Mapping[str, Any]) -> None:
    """Refuse a template that the API refuses.

    Raises:
        Refused: For the first rule that it breaks.
    """
    if not template.get("name"):  # the document says so of global templates only
        raise required("resource.name")
    if "properties" not in template:
        raise required(_WHERE)
    properties = template["properties"]
    for name in ("machineType", "disks", "networkInterfaces"):
        if not properties.get(name):
            raise required(f"{_WHERE}.{name}")
    scheduling = properties.get("scheduling", {})
    _preemptible(scheduling)
    _ending(scheduling)
    _notice(scheduling)
    _maintenance(properties, scheduling)
    if model(properties) == "FLEX_START":
        _flex_start(scheduling)
    if model(properties) == "RESERVATION_BOUND":
        affinity = properties.get("reservationAffinity", {}).get("consumeReservationType")
        if affinity != "SPECIFIC_RESERVATION":
            field = f"{_WHERE}.reservationAffinity.consumeReservationType"
            raise invalid(field, affinity, "RESERVATION_BOUND requires SPECIFIC_RESERVATION.")


def model(properties: Mapping[str, Any]) -> str:
    """Return the provisioning model of a template's properties; a preemptible VM of old counts as spot."""
    scheduling = properties.get("scheduling", {})
    return str(scheduling.get("provisioningModel") or (SPOT if scheduling.get("preemptible") else STANDARD))


def notice(properties: Mapping[str, Any]) -> bool:
    """Return whether an instance of a template gets a notice before its soft off."""
    return int(properties.get("scheduling", {}).get("preemptionNoticeDuration", {}).get("seconds", 0)) > 0


def _preemptible(scheduling: Mapping[str, Any]) -> None:
    asked, preemptible = scheduling.get("provisioningModel"), scheduling.get("preemptible")
    if preemptible and asked not in (None, SPOT):
        raise invalid(f"{_SCHEDULING}.preemptible", "true", f"The provisioning model is {asked}.")
    if asked == SPOT and preemptible is False:
        raise invalid(f"{_SCHEDULING}.preemptible", "false", "Spot VMs are preemptible.")
    if (preemptible or asked == SPOT) and scheduling.get("automaticRestart"):
        why = "Preemptible instances cannot be automatically restarted."
        raise invalid(f"{_SCHEDULING}.automaticRestart", "true", why)


def _ending(scheduling: Mapping[str, Any]) -> None:
    asked, action = scheduling.get("provisioningModel"), scheduling.get("instanceTerminationAction")
    limited = scheduling.keys() & {"maxRunDuration", "terminationTime"}
    if action and not limited and asked in (None, STANDARD):
        why = "You cannot specify a termination action for a VM instance that has the standard provisioning model."
        raise invalid(f"{_SCHEDULING}.instanceTerminationAction", action, why)


def _notice(scheduling: Mapping[str, Any]) -> None:
    if "preemptionNoticeDuration" not in scheduling:
        return
    field, duration = f"{_SCHEDULING}.preemptionNoticeDuration", scheduling["preemptionNoticeDuration"]
    seconds, nanos = int(duration.get("seconds", 0)), int(duration.get("nanos", 0))
    if seconds not in _NOTICES or nanos:
        raise invalid(field, f"{seconds}.{nanos:09d}s", "Must be 0 or 120 seconds.")
    if scheduling.get("provisioningModel") != SPOT:
        raise invalid(field, f"{seconds}s", "Only Spot VMs have a preemption notice.")


def _maintenance(properties: Mapping[str, Any], scheduling: Mapping[str, Any]) -> None:
    if scheduling.get("onHostMaintenance") == "MIGRATE" and model(properties) == SPOT:
        why = "For preemptible instances, the only possible behavior is TERMINATE."
        raise invalid(f"{_SCHEDULING}.onHostMaintenance", "MIGRATE", why)
    if properties.get("guestAccelerators") and scheduling.get("onHostMaintenance", "MIGRATE") == "MIGRATE":
        if model(properties) == SPOT:
            return  # its default is TERMINATE
        why = "Instances with guest accelerators do not support live migration."
        raise invalid(f"{_SCHEDULING}.onHostMaintenance", "MIGRATE", why)


def _flex_start(scheduling: Mapping[str, Any]) -> None:
    if scheduling.get("automaticRestart"):
        raise invalid(f"{_SCHEDULING}.automaticRestart", "true", "FLEX_START does not restart.")
    action = scheduling.get("instanceTerminationAction")
    if action != "DELETE":
        raise invalid(f"{_SCHEDULING}.instanceTerminationAction", action, "FLEX_START requires DELETE.")
    if "maxRunDuration" not in scheduling:
        raise required(f"{_SCHEDULING}.maxRunDuration")
