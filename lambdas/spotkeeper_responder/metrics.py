"""Metrics as lines of CloudWatch's embedded format: written to the log, read from there, no call made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

NAMESPACE = "Spotkeeper"
_MOST_VALUES = 100
"""Most values of one metric that a line may hold."""

Value: TypeAlias = float | Sequence[float]

FLEET_UNITS: Mapping[str, str] = {
    "Notices": "Count",
    "SecondsToSignal": "Seconds",
    "Shortfall": "Count",
    "BackupSize": "Count",
    "Calls": "Count",
    "Drought": "Count",
    "LaunchFailuresQuota": "Count",
    "LaunchFailuresConfiguration": "Count",
    "SilentNodes": "Count",
    "OnDemandCapReached": "Count",
    "Paused": "Count",
    "DeadlineAtRisk": "Count",
}
"""What is measured of a fleet, by the dimension ``Fleet``, and over all of a responder's fleets."""
RESPONDER_UNITS: Mapping[str, str] = {"Ticks": "Count"}
"""What is measured of a responder, by the dimension ``Responder``."""


def fleet_line(responder: str, fleet: str, values: Mapping[str, Value], now: float) -> str:
    """Return the line with what was measured of ``fleet``.

    Args:
        responder: whose fleet it is; alarms go by that, because they are older than any fleet.
        fleet: its id.
        values: by the names of :data:`FLEET_UNITS`; an empty sequence is left out.
        now: Unix seconds.
    """
    return _line(FLEET_UNITS, values, now, {"Fleet": fleet, "Responder": responder})


def responder_line(responder: str, values: Mapping[str, Value], now: float) -> str:
    """Return the line with what was measured of ``responder``, by the names of :data:`RESPONDER_UNITS`."""
    return _line(RESPONDER_UNITS, values, now, {"Responder": responder})


def _line(units: Mapping[str, str], values: Mapping[str, Value], now: float, dimensions: Mapping[str, str]) -> str:
    """Each dimension makes a metric of its own: they answer different questions."""
    shown = {name: _plain(value) for name, value in values.items() if value not in ((), [])}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[name] for name in dimensions],
        "Metrics": [{"Name": name, "Unit": units[name]} for name in shown],
    }
    about = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": about, **dimensions, **shown}, separators=(",", ":"))


def _plain(value: Value) -> float | list[float]:
    return [*value][:_MOST_VALUES] if isinstance(value, Sequence) else value
