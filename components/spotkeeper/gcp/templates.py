"""What the nodes of a fleet start from: one template for spot, one for on-demand, alike but for how they end.

A template cannot be changed, only replaced by another one under another name. The last part of the name is a digest of
everything in both of them: the version by which the function tells old nodes from new ones.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp.labels import GROUP, Labels
from spotkeeper.gcp.market import Market
from spotkeeper.gcp.naming import Place, template_name
from spotkeeper.naming import BACKUP, SPOT

Properties = dict[str, Any]

NEXT_RUN = (
    "canIpForward",
    "description",
    "disks",
    "guestAccelerators",
    "instanceDescription",
    "labels",
    "machineType",
    "metadata",
    "name",
    "networkInterfaces",
    "region",
    "scheduling",
    "serviceAccount",
    "shieldedInstanceConfig",
)
"""Inputs of a template, all of which a deploy leaves alone where a running fleet keeps its version."""


def scheduling(kind: str, market: Market) -> gcp.compute.RegionInstanceTemplateSchedulingArgsDict:
    """Return how nodes of a group come to an end.

    A spot node is deleted when it is preempted: one that was only stopped would keep its disk and its quota. A standard
    machine takes no termination action at all.
    """
    if kind == BACKUP:
        return {
            "provisioning_model": "STANDARD",
            "preemptible": False,
            "automatic_restart": True,
            "on_host_maintenance": "MIGRATE" if market.migrates else "TERMINATE",
        }
    ends: gcp.compute.RegionInstanceTemplateSchedulingArgsDict = {
        "provisioning_model": "SPOT",
        "preemptible": True,
        "automatic_restart": False,
        "instance_termination_action": "DELETE",
        "on_host_maintenance": "TERMINATE",
    }
    if market.notice_seconds:
        ends["preemption_notice_duration"] = {"seconds": market.notice_seconds}
    return ends


def templates(
    name: str,
    market: Market,
    *,
    fleet: str,
    place: pulumi.Output[Place],
    image: pulumi.Input[str],
    startup_script: pulumi.Output[str],
    shutdown_script: str,
    subnetwork: pulumi.Output[str],
    account: gcp.serviceaccount.Account,
    kms_key: pulumi.Input[str] | None,
    labels: pulumi.Output[Labels],
    kept: bool,
    opts: pulumi.ResourceOptions,
) -> Mapping[str, gcp.compute.RegionInstanceTemplate]:
    """Make both templates; return them by the kind of their group.

    Args:
        name: the component's name.
        market: what the nodes are.
        fleet: id of the fleet.
        place: where it is.
        image: that nodes start from.
        startup_script: what they run when they have started.
        shutdown_script: what they run when they are shut down.
        subnetwork: that they are in.
        account: that they act as.
        kms_key: with which their disks are encrypted; none for Google's own.
        labels: of everything that belongs to the fleet.
        kept: whether a fleet that exists keeps the templates that it was created with.
        opts: of the resources.
    """
    both = {
        kind: _properties(
            kind,
            market,
            image=image,
            scripts={"startup-script": startup_script, "shutdown-script": shutdown_script},
            subnetwork=subnetwork,
            account=account,
            kms_key=kms_key,
            labels=labels.apply(lambda known, kind=kind: {**known, GROUP: kind}),  # type: ignore[misc]
        )
        for kind in (SPOT, BACKUP)
    }
    version = pulumi.Output.json_dumps(both, sort_keys=True).apply(
        lambda text: hashlib.sha256(text.encode()).hexdigest()[:8]
    )
    ignored = pulumi.ResourceOptions(ignore_changes=list(NEXT_RUN)) if kept else None
    return {
        kind: gcp.compute.RegionInstanceTemplate(
            f"{name}-{kind}",
            name=version.apply(lambda known, kind=kind: template_name(fleet, kind, known)),  # type: ignore[misc]
            region=place.region,
            description=f"Nodes of Spotkeeper fleet {fleet}, {kind}",
            opts=pulumi.ResourceOptions.merge(opts, ignored),
            **properties,
        )
        for kind, properties in both.items()
    }


def version_of(template: str) -> str:
    """Return the version that a template's URL or name ends with."""
    return template.rpartition("/")[2].rpartition("-")[2]


def _properties(
    kind: str,
    market: Market,
    *,
    image: pulumi.Input[str],
    scripts: Mapping[str, pulumi.Input[str]],
    subnetwork: pulumi.Output[str],
    account: gcp.serviceaccount.Account,
    kms_key: pulumi.Input[str] | None,
    labels: pulumi.Output[Labels],
) -> Properties:
    """Return what instances of a template are; an address in other networks is what they do not have."""
    attached = [{"type": market.accelerator_type, "count": market.accelerator_count}]
    return {
        "instance_description": "Node of a Spotkeeper fleet",
        "machine_type": market.types[0],
        "guest_accelerators": attached if market.accelerator_type else None,
        "disks": [
            {
                "boot": True,
                "auto_delete": True,
                "source_image": image,
                "disk_type": market.disk_type,
                "disk_size_gb": market.disk_gib,
                "disk_encryption_key": None if kms_key is None else {"kms_key_self_link": kms_key},
                "labels": labels,
            }
        ],
        "network_interfaces": [{"subnetwork": subnetwork}],
        "can_ip_forward": False,
        # As a whole, so that a script that is refused is refused in its own words.
        "metadata": pulumi.Output.all(**scripts).apply(lambda known: {**known, "block-project-ssh-keys": "true"}),
        "scheduling": scheduling(kind, market),
        # What an account may do is said by its bindings.
        "service_account": {"email": account.email, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]},
        "shielded_instance_config": {
            "enable_secure_boot": market.secure_boot,
            "enable_vtpm": True,
            "enable_integrity_monitoring": True,
        },
        "labels": labels,
    }
