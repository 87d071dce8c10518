"""Fleets and responders of Google Cloud, declared against the mocks."""

from __future__ import annotations

from typing import Any

import pulumi

import spotkeeper
from pulumi_support import Declared, declare

RESPONDER = "spotkeeper-ledger"


def gcp_fleet_args(**changes: Any) -> Any:
    """The inputs of a fleet that is fine, with some of them changed; ``...`` leaves one out."""
    args = {
        "subnetwork": "nodes",
        "nodes": 4,
        "image": "projects/ml-project/global/images/family/trainer",
        "command": "python3 train.py --name 'it''s'",
        "checkpoint_uri": "gs://checkpoints/jobs/digits",
        "responder": f"gs://{RESPONDER}",
        "machine_types": ["n2-standard-8", "n2d-standard-8"],
        **changes,
    }
    return {name: value for name, value in args.items() if value is not ...}


def declare_gcp_fleet(*, preview: bool = False, **changes: Any) -> Declared:
    """Declare one fleet named ``train`` of :func:`gcp_fleet_args`, its outputs exported."""

    def program() -> None:
        fleet = spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(**changes))
        for output in spotkeeper.GcpTrainingFleet.__annotations__:
            pulumi.export(output, getattr(fleet, output))

    return declare(program, preview=preview)


def declare_gcp_responder(*, preview: bool = False, **inputs: Any) -> Declared:
    """Declare one responder named ``keeper``, its outputs exported."""

    def program() -> None:
        args: Any = inputs
        responder = spotkeeper.GcpInterruptionResponder("keeper", args)
        for output in spotkeeper.GcpInterruptionResponder.__annotations__:
            pulumi.export(output, getattr(responder, output))

    return declare(program, preview=preview)
