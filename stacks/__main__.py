"""A responder and one training fleet on the cloud that the stack's configuration names, as it describes them.

The keys are declared, with types and meanings, in ``Pulumi.yaml``; what is not set takes the component's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi

import spotkeeper

config = pulumi.Config()


def strings(key: str) -> list[str] | None:
    """Return a list of strings; an empty one counts as not set."""
    value = config.get_object(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise pulumi.ConfigTypeError(config.full_key(key), value, "list of strings")
    return value or None


def mapping(key: str) -> dict[str, Any] | None:
    """Return an object."""
    value = config.get_object(key)
    if value is not None and not isinstance(value, dict):
        raise pulumi.ConfigTypeError(config.full_key(key), value, "object")
    return value


def filled(key: str) -> Any:
    """Return an object; an empty one counts as not set."""
    return mapping(key) or None


def string(key: str) -> str | None:
    """Return a string; an empty one counts as not set."""
    return config.get(key) or None


def maximum(key: str) -> int | None:
    """Return a whole number; -1 counts as not set."""
    value = config.get_int(key)
    return None if value == -1 else value


def limit(key: str) -> float | None:
    """Return a number; -1 counts as not set."""
    value = config.get_float(key)
    return None if value == -1 else value


Table = dict[str, tuple[str, Callable[[str], Any]]]
"""Input of a component: the key it is read from, and how."""

EVERY_FLEET: Table = {
    "command": ("command", string),
    "checkpoint_uri": ("checkpointUri", string),
    "nodes": ("nodes", config.get_int),
    "on_demand_base": ("onDemandBase", config.get_int),
    "on_demand_max": ("onDemandMax", maximum),
    "max_on_demand_hours": ("maxOnDemandHours", limit),
    "policy": ("policy", string),
    "policy_wait_seconds": ("policyWaitSeconds", config.get_float),
    "deadline": ("deadline", filled),
    "allocation_strategy": ("allocationStrategy", string),
    "accept_narrow_pool": ("acceptNarrowPool", config.get_bool),
    "gang": ("gang", string),
    "elastic": ("elastic", filled),
    "on_update": ("onUpdate", string),
    "on_destroy": ("onDestroy", string),
    "timings": ("timings", mapping),
}
EVERY_RESPONDER: Table = {"bucket_name": ("bucketName", string), "alert_email": ("alertEmail", string)}


@dataclass(frozen=True)
class Cloud:
    """What is declared on one cloud, what of, and which outputs people and tools look for."""

    responder: str
    fleet: str
    responder_inputs: Table
    fleet_inputs: Table
    responder_outputs: tuple[str, ...]
    fleet_outputs: tuple[str, ...]


CLOUDS = {
    "aws": Cloud(
        responder="AwsInterruptionResponder",
        fleet="AwsTrainingFleet",
        responder_inputs={**EVERY_RESPONDER, "tags": ("tags", mapping)},
        fleet_inputs={
            **EVERY_FLEET,
            "subnet_ids": ("subnetIds", strings),
            "image_id": ("imageId", string),
            "instance_types": ("instanceTypes", strings),
            "on_rebalance": ("onRebalance", string),
            "tags": ("tags", mapping),
        },
        responder_outputs=("uri", "function_name", "queue_url", "dead_letter_queue_url", "topic_arn"),
        fleet_outputs=(
            "fleet",
            "spot_group_name",
            "backup_group_name",
            "role_arn",
            "security_group_ids",
            "launch_template_id",
            "ledger_prefix",
        ),
    ),
    "gcp": Cloud(
        responder="GcpInterruptionResponder",
        fleet="GcpTrainingFleet",
        responder_inputs={
            **EVERY_RESPONDER,
            "notification_channels": ("notificationChannels", strings),
            "build_service_account": ("buildServiceAccount", string),
            "labels": ("labels", mapping),
        },
        fleet_inputs={
            **EVERY_FLEET,
            "subnetwork": ("subnetwork", string),
            "image": ("image", string),
            "machine_types": ("machineTypes", strings),
            "accelerator_type": ("acceleratorType", string),
            "accelerator_count": ("acceleratorCount", maximum),
            "target_shape": ("targetShape", string),
            "zones": ("zones", strings),
            "preemption_notice_seconds": ("preemptionNoticeSeconds", config.get_int),
            "labels": ("labels", mapping),
        },
        responder_outputs=(
            "uri",
            "function_name",
            "service_account_email",
            "topic_id",
            "subscription_name",
            "dead_letter_subscription_name",
        ),
        fleet_outputs=("fleet", "spot_group_name", "backup_group_name", "service_account_email", "ledger_prefix"),
    ),
}


def inputs(table: Table) -> Any:
    """Return the inputs that are configured."""
    read = {name: reader(key) for name, (key, reader) in table.items()}
    return {name: value for name, value in read.items() if value is not None}


def chosen() -> Cloud:
    """Return the cloud that is configured."""
    name = config.get("cloud") or "aws"
    if name not in CLOUDS:
        raise spotkeeper.InputError("cloud", name, " or ".join(repr(each) for each in CLOUDS))
    return CLOUDS[name]


def declare(cloud: Cloud) -> None:
    """Declare both components and export what they made."""
    responder = getattr(spotkeeper, cloud.responder)("responder", inputs(cloud.responder_inputs))
    fleet_inputs = {**inputs(cloud.fleet_inputs), "responder": responder.uri}
    fleet = getattr(spotkeeper, cloud.fleet)(config.get("fleetName") or "training", fleet_inputs)
    for component, outputs in ((responder, cloud.responder_outputs), (fleet, cloud.fleet_outputs)):
        for output in outputs:
            pulumi.export(output, getattr(component, output))


def main() -> None:
    """Declare the stack; a refused input is named by its configuration key."""
    table: Table = {}
    try:
        cloud = chosen()
        table = {**cloud.responder_inputs, **cloud.fleet_inputs}
        declare(cloud)
    except spotkeeper.InputError as error:
        name, dot, rest = error.input.partition(".")
        if ":" in name:  # a provider's own key
            raise
        key, _ = table.get(name, (name, None))
        raise error.renamed(f"{config.full_key(key)}{dot}{rest}") from None


main()
