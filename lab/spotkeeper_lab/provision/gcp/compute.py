"""Instance templates, managed instance groups and firewalls."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.provision.gcp.project import Gcp, answers, creates, deletes, replaces, updates
from spotkeeper_lab.provision.gcp.rest import ROOT
from spotkeeper_lab.provision.gcp.spelling import Fields, alone, each, items, one, same, spelled
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs

_TEMPLATE = "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"
_GROUP = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
_FIREWALL = "gcp:compute/firewall:Firewall"

DURATION = same("seconds", "nanos")
SCHEDULING: Fields = {
    **same("automaticRestart", "onHostMaintenance", "preemptible", "provisioningModel", "instanceTerminationAction"),
    **same("preemptionNoticeDuration", "maxRunDuration", convert=one(DURATION)),
}
DISK: Fields = {
    **same("autoDelete", "boot", "deviceName", "mode", "type", "interface"),
    **{name: (f"initializeParams.{name}", lambda value: value) for name in ("diskType", "sourceImage", "labels")},
    "diskSizeGb": ("initializeParams.diskSizeGb", str),
    "diskEncryptionKey": ("diskEncryptionKey", one({"kmsKeySelfLink": ("kmsKeyName", str)})),
}
NETWORK_INTERFACE: Fields = same("network", "subnetwork", "nicType", "stackType", "accessConfigs")
TEMPLATE: Fields = {
    **same("name", "description"),
    "instanceDescription": ("properties.description", str),
    **{name: (f"properties.{name}", lambda value: value) for name in ("machineType", "canIpForward", "labels")},
    **{
        name: (f"properties.{name}", lambda value: value)
        for name in ("minCpuPlatform", "resourceManagerTags", "shieldedInstanceConfig", "confidentialInstanceConfig")
    },
    "disks": ("properties.disks", each(DISK)),
    "guestAccelerators": (
        "properties.guestAccelerators",
        each({"type": ("acceleratorType", str), "count": ("acceleratorCount", int)}),
    ),
    "metadata": ("properties.metadata.items", items),
    "networkInterfaces": ("properties.networkInterfaces", each(NETWORK_INTERFACE)),
    "scheduling": ("properties.scheduling", one(SCHEDULING)),
    "serviceAccount": ("properties.serviceAccounts", alone(same("email", "scopes"))),
    "tags": ("properties.tags.items", list),
}
"""Inputs of a template to its body."""

UPDATE_POLICY: Fields = {
    **same("type", "minimalAction", "mostDisruptiveAllowedAction", "replacementMethod", "instanceRedistributionType"),
    "maxSurgeFixed": ("maxSurge.fixed", int),
    "maxUnavailableFixed": ("maxUnavailable.fixed", int),
}
LIFECYCLE: Fields = same("defaultActionOnFailure", "forceUpdateOnRepair", "onFailedHealthCheck", "onRepair")


def _selections(policy: dict[str, Any]) -> dict[str, Any]:
    """Return an instance flexibility policy as the API has it: selections by name, ranks as strings."""
    selections = {}
    for selection in policy["instanceSelections"]:
        fields = same("machineTypes", "minCpuPlatform") | {"rank": ("rank", str)}
        selections[selection["name"]] = spelled({**selection, "name": None}, fields)
    return {"instanceSelections": selections}


GROUP: Fields = {
    **same("name", "baseInstanceName", "description", "targetSize", "listManagedInstancesResults"),
    **same("versions", convert=each(same("name", "instanceTemplate"))),
    "distributionPolicyTargetShape": ("distributionPolicy.targetShape", str),
    "distributionPolicyZones": (
        "distributionPolicy.zones",
        lambda zones: [{"zone": f"zones/{zone}"} for zone in zones],
    ),
    "instanceFlexibilityPolicy": ("instanceFlexibilityPolicy", _selections),
    "instanceLifecyclePolicy": ("instanceLifecyclePolicy", one(LIFECYCLE)),
    "updatePolicy": ("updatePolicy", one(UPDATE_POLICY)),
}
"""Inputs of a group to its body."""
CHANGEABLE = ("versions", "instanceFlexibilityPolicy", "instanceLifecyclePolicy", "updatePolicy", "description")
CLIENT_SIDE = ("waitForInstances", "waitForInstancesStatus", "deletionPolicy")
"""What Pulumi's provider itself does or does not wait for."""

FIREWALL: Fields = {
    **same("name", "description", "network", "direction", "priority", "sourceTags", "targetTags"),
    **same("sourceRanges", "destinationRanges", "sourceServiceAccounts", "targetServiceAccounts"),
    "allows": ("allowed", each({"protocol": ("IPProtocol", str), "ports": ("ports", list)})),
    "denies": ("denied", each({"protocol": ("IPProtocol", str), "ports": ("ports", list)})),
}
"""Inputs of a firewall to its body."""


@creates(_TEMPLATE)
def template(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create an instance template; one never changes."""
    region = given.take("region", gcp.region)
    body = {"name": name, **spelled(given.take_all(*TEMPLATE), TEMPLATE)}
    where = f"{gcp.compute}/regions/{region}/instanceTemplates"
    gcp.rest.done("POST", where, body)
    return _made(gcp, f"{where}/{body['name']}", body["name"])


replaces(_TEMPLATE, *TEMPLATE)


@deletes(_TEMPLATE, _FIREWALL)
def no_resource(gcp: Gcp, resource: Resource) -> None:
    """Delete a template or a firewall."""
    gcp.rest.done("DELETE", f"/compute/v1/{resource.id}")


@creates(_GROUP)
def group(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a group, which begins to create its instances; nobody waits for them."""
    given.take_all(*CLIENT_SIDE)
    region = given.take("region", gcp.region)
    body = {"name": name, **spelled(given.take_all(*GROUP), GROUP)}
    where = f"{gcp.compute}/regions/{region}/instanceGroupManagers"
    gcp.rest.done("POST", where, body)
    identity, outputs = _made(gcp, f"{where}/{body['name']}", body["name"])
    return identity, {**outputs, "targetSize": body.get("targetSize", 0)}


@updates(_GROUP, *CHANGEABLE, *CLIENT_SIDE)
def changed_group(gcp: Gcp, change: Change) -> dict[str, Any]:
    """Change what is declared of a group; its size is not."""
    wanted = {name: change.inputs.get(name) for name in CHANGEABLE if name in change.names}
    if wanted:
        gcp.rest.done("PATCH", f"/compute/v1/{change.before.id}", spelled(wanted, GROUP))
    return {}


@deletes(_GROUP)
def no_group(gcp: Gcp, resource: Resource) -> None:
    """Delete a group with its instances, and wait until the last of them is gone."""
    gcp.rest.done("DELETE", f"/compute/v1/{resource.id}")


@creates(_FIREWALL)
def firewall(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a firewall."""
    body = {"name": name, **spelled(given.take_all(*FIREWALL), FIREWALL)}
    where = f"{gcp.compute}/global/firewalls"
    gcp.rest.done("POST", where, body)
    return _made(gcp, f"{where}/{body['name']}", body["name"])


def _made(gcp: Gcp, path: str, name: str) -> Created:
    """Return the id and outputs of a resource of Compute Engine: its id is its path, as the provider has it."""
    found = gcp.rest.call("GET", path)
    return path.removeprefix("/compute/v1/"), {"name": name, "selfLink": found["selfLink"], "project": gcp.project}


@answers("gcp:compute/getZones:getZones")
def zones(gcp: Gcp, given: Inputs) -> dict[str, Any]:
    """The zones of a region."""
    given.take_all("project", "status")
    region = given.take("region", gcp.region)
    found = gcp.rest.call("GET", f"{gcp.compute}/zones").get("items", ())
    names = sorted(zone["name"] for zone in found if zone["region"].rpartition("/")[2] == region)
    return {"names": names, "id": f"projects/{gcp.project}/regions/{region}", "project": gcp.project}


@answers("gcp:compute/getSubnetwork:getSubnetwork")
def subnetwork(gcp: Gcp, given: Inputs) -> dict[str, Any]:
    """A subnetwork of the default network: of networks there is nothing in the local cloud, so every name is one."""
    project, region, name = given.take("project", gcp.project), given.take("region", gcp.region), given.take("name")
    path, where = f"projects/{project}/regions/{region}/subnetworks/{name}", f"{ROOT}projects/{project}"
    links = {"selfLink": f"{ROOT}{path}", "network": f"{where}/global/networks/default"}
    return {"id": path, "name": name, "region": region, "project": project, **links}
