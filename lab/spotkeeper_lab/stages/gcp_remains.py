"""What is left of a fleet in the local Google Cloud once it was destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from spotkeeper_lab.provision.gcp import Rest
from spotkeeper_ledger import keys

LABEL = "spotkeeper-fleet"


def remains(rest: Rest, project: str, region: str, fleet: str, bucket: str) -> list[str]:
    """See :meth:`spotkeeper_lab.stages.stage.Stage.remains`.

    Args:
        rest: asks the cloud.
        project: id of the project.
        region: where the fleet was.
        fleet: its id.
        bucket: the ledger's.
    """
    return [*_compute(rest, project, region, fleet), *_identity(rest, project, fleet), *_spec(rest, fleet, bucket)]


def _compute(rest: Rest, project: str, region: str, fleet: str) -> Iterator[str]:
    compute = f"/compute/v1/projects/{project}"
    for group in rest.call("GET", f"{compute}/regions/{region}/instanceGroupManagers").get("items", ()):
        if group["name"].startswith(f"spotkeeper-{fleet}-"):
            yield f"group {group['name']}"
    for zone in rest.call("GET", f"{compute}/zones").get("items", ()):
        for instance in rest.call("GET", f"{compute}/zones/{zone['name']}/instances").get("items", ()):
            if instance.get("labels", {}).get(LABEL) == fleet:
                yield f"instance {instance['name']} ({instance['status']})"
    for template in rest.call("GET", f"{compute}/regions/{region}/instanceTemplates").get("items", ()):
        if template["properties"].get("labels", {}).get(LABEL) == fleet:
            yield f"template {template['name']}"
    for firewall in rest.call("GET", f"{compute}/global/firewalls").get("items", ()):
        if firewall.get("description", "").startswith(f"Nodes of Spotkeeper fleet {fleet} "):
            yield f"firewall {firewall['name']}"


def _identity(rest: Rest, project: str, fleet: str) -> Iterator[str]:
    """Accounts take no labels: they say whose they are."""
    for account in rest.call("GET", f"/v1/projects/{project}/serviceAccounts").get("accounts", ()):
        if account.get("displayName", "").endswith(f" of {fleet}"):
            yield f"service account {account['email']}"


def _spec(rest: Rest, fleet: str, bucket: str) -> Iterator[str]:
    if rest.there(f"/storage/v1/b/{bucket}/o/{quote(keys.spec(fleet), safe='')}") is not None:
        yield "the spec"
