"""What a launched instance is told about itself, from what moto knows of it and of its launch template."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.iam.models import iam_backends

from spotkeeper_lab.local_aws.market import ON_DEMAND
from spotkeeper_lab.local_aws.metadata import Metadata
from spotkeeper_lab.local_aws.world import World, iso


def tags_of(instance: Instance) -> dict[str, str]:
    """Return the tags of an instance."""
    return {str(tag["key"]): str(tag["value"]) for tag in instance.get_tags()}


def metadata_of(world: World, instance: Instance, template: LaunchTemplateVersion, address: str) -> Metadata:
    """Return an instance's metadata; ``address`` is its own address on this machine, which moto does not know."""
    zone = str(instance.availability_zone)
    facts = {
        "ami-id": str(instance.image_id),
        "hostname": f"ip-{address.replace('.', '-')}.ec2.internal",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or ON_DEMAND,
        "instance-type": instance.instance_type,
        "local-ipv4": address,
        "placement/availability-zone": zone,
        "placement/region": world.region,
    }
    if template.data.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled":
        facts.update({f"tags/instance/{key}": value for key, value in tags_of(instance).items()})
    profile = _profile(world, template.data.get("IamInstanceProfile") or {})
    if profile is None:
        return Metadata(facts)
    info = {
        "Code": "Success",
        "LastUpdated": iso(0),
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    }
    facts["iam/info"] = json.dumps(info)
    return Metadata(facts, role=profile.roles[0].name if profile.roles else "")


def _profile(world: World, named: dict[str, str]) -> Any:
    """Return the instance profile that a template names. One that does not exist raises, as its launch fails on AWS."""
    backend = iam_backends[world.account]["aws"]
    if "Arn" in named:
        return backend.get_instance_profile_by_arn(named["Arn"])
    return backend.get_instance_profile(named["Name"]) if "Name" in named else None
