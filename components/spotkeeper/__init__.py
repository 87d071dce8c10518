"""Spotkeeper: declare a fleet of spot instances for a training job, and it is kept at strength by itself.

    import spotkeeper

    responder = spotkeeper.AwsInterruptionResponder("responder", {})
    spotkeeper.AwsTrainingFleet("digits", {"responder": responder.uri, ...})

A cloud's provider is loaded when the first of its components is named, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spotkeeper.errors import InputError

if TYPE_CHECKING:
    from spotkeeper.aws.fleet_args import AwsTrainingFleetArgs
    from spotkeeper.aws.pools import AwsInstanceRequirementsArgs
    from spotkeeper.aws.responder import AwsInterruptionResponder, AwsInterruptionResponderArgs
    from spotkeeper.aws.training_fleet import AwsTrainingFleet
    from spotkeeper.deadline import FleetDeadlineArgs
    from spotkeeper.fleet import FleetElasticArgs, FleetTimingsArgs
    from spotkeeper.gcp.fleet_args import GcpTrainingFleetArgs
    from spotkeeper.gcp.responder import GcpInterruptionResponder, GcpInterruptionResponderArgs
    from spotkeeper.gcp.training_fleet import GcpTrainingFleet

__all__ = [
    "AwsInstanceRequirementsArgs",
    "AwsInterruptionResponder",
    "AwsInterruptionResponderArgs",
    "AwsTrainingFleet",
    "AwsTrainingFleetArgs",
    "FleetDeadlineArgs",
    "FleetElasticArgs",
    "FleetTimingsArgs",
    "GcpInterruptionResponder",
    "GcpInterruptionResponderArgs",
    "GcpTrainingFleet",
    "GcpTrainingFleetArgs",
    "InputError",
]

_HOMES = {
    "AwsInstanceRequirementsArgs": "spotkeeper.aws.pools",
    "AwsInterruptionResponder": "spotkeeper.aws.responder",
    "AwsInterruptionResponderArgs": "spotkeeper.aws.responder",
    "AwsTrainingFleet": "spotkeeper.aws.training_fleet",
    "AwsTrainingFleetArgs": "spotkeeper.aws.fleet_args",
    "FleetDeadlineArgs": "spotkeeper.deadline",
    "FleetElasticArgs": "spotkeeper.fleet",
    "FleetTimingsArgs": "spotkeeper.fleet",
    "GcpInterruptionResponder": "spotkeeper.gcp.responder",
    "GcpInterruptionResponderArgs": "spotkeeper.gcp.responder",
    "GcpTrainingFleet": "spotkeeper.gcp.training_fleet",
    "GcpTrainingFleetArgs": "spotkeeper.gcp.fleet_args",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spotkeeper' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
