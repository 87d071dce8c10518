"""A responder and one training fleet, as the stack's configuration describes them.

The keys are declared, with types and meanings, in ``Pulumi.yaml``; what is not set takes the component's default.
"""

from collections.abc import Callable
from typing import Any

import pulumi

import spotkeeper

config = pulumi.Config()


def strings(key: str) -> list[str] | None:
    """Return a list of strings."""
    value = config.get_object(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise pulumi.ConfigTypeError(config.full_key(key), value, "list of strings")
    return value


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


FLEET: dict[str, tuple[str, Callable[[str], Any]]] = {
    "subnet_ids": ("subnetIds", strings),
    "image_id": ("imageId", string),
    "command": ("command", string),
    "checkpoint_uri": ("checkpointUri", string),
    "instance_types": ("instanceTypes", strings),
    "nodes": ("nodes", config.get_int),
    "on_demand_base": ("onDemandBase", config.get_int),
    "on_demand_max": ("onDemandMax", maximum),
    "max_on_demand_hours": ("maxOnDemandHours", limit),
    "policy": ("policy", string),
    "policy_wait_seconds": ("policyWaitSeconds", config.get_float),
    "allocation_strategy": ("allocationStrategy", string),
    "accept_narrow_pool": ("acceptNarrowPool", config.get_bool),
    "gang": ("gang", string),
    "elastic": ("elastic", filled),
    "on_rebalance": ("onRebalance", string),
    "on_update": ("onUpdate", string),
    "on_destroy": ("onDestroy", string),
    "timings": ("timings", mapping),
    "tags": ("tags", mapping),
}
"""Input of the fleet: the key it is read from, and how."""

RESPONDER: dict[str, tuple[str, Callable[[str], Any]]] = {
    "bucket_name": ("bucketName", string),
    "alert_email": ("alertEmail", string),
    "tags": ("tags", mapping),
}
"""Input of the responder: the key it is read from, and how."""


def inputs(table: dict[str, tuple[str, Callable[[str], Any]]]) -> Any:
    """Return the inputs that are configured."""
    read = {name: reader(key) for name, (key, reader) in table.items()}
    return {name: value for name, value in read.items() if value is not None}


EXPORTS = {
    "responder": ("uri", "function_name", "queue_url", "dead_letter_queue_url", "topic_arn"),
    "fleet": (
        "fleet",
        "spot_group_name",
        "backup_group_name",
        "role_arn",
        "security_group_ids",
        "launch_template_id",
        "ledger_prefix",
    ),
}
"""Outputs of each component that people and tools look for."""


def declare() -> None:
    """Declare both components and export what they made."""
    responder = spotkeeper.AwsInterruptionResponder("responder", inputs(RESPONDER))
    fleet_inputs: Any = {**inputs(FLEET), "responder": responder.uri}
    fleet = spotkeeper.AwsTrainingFleet(config.get("fleetName") or "training", fleet_inputs)
    for component, outputs in ((responder, EXPORTS["responder"]), (fleet, EXPORTS["fleet"])):
        for output in outputs:
            pulumi.export(output, getattr(component, output))


def main() -> None:
    """Declare the stack; a refused input is named by its configuration key."""
    try:
        declare()
    except spotkeeper.InputError as error:
        name, dot, rest = error.input.partition(".")
        key, _ = {**RESPONDER, **FLEET}.get(name, (name, None))
        raise error.renamed(f"{config.full_key(key)}{dot}{rest}") from None


main()
