"""Reading what others have sent: each thing that is not as it should be is told by name and value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class MalformedEvent(ValueError):
    """A message is not what its sender should have sent; the message of the error says what is wrong with it."""


def object_in(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object under ``key``, or raise :class:`MalformedEvent`."""
    value = values.get(key)
    if not isinstance(value, dict):
        raise MalformedEvent(f"{key}: was {value!r:.40}, expected an object")
    return value


def time_in(values: Mapping[str, Any], key: str) -> float:
    """Return the time under ``key`` as Unix seconds, or raise :class:`MalformedEvent`."""
    value = values.get(key)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedEvent(f"{key}: was {value!r:.40}, expected an ISO time with its zone")
    return moment.timestamp()
