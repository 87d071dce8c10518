"""From the inputs of Pulumi's Google provider to the bodies of Google's APIs.

The provider's inputs are Terraform's: what the API nests is often flat there, and some names differ. A table of fields
says for one type where each input goes; an input that its table does not have is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from spotkeeper_lab.provision.table import ProvisionError

Convert = Callable[[Any], Any]
Fields = Mapping[str, tuple[str, Convert]]
"""Input to where it goes in the body, as names joined by dots, and what is done to its value on the way."""


def as_it_is(value: Any) -> Any:
    """Return the value."""
    return value


def same(*names: str, convert: Convert = as_it_is) -> dict[str, tuple[str, Convert]]:
    """Return fields that the API calls as Pulumi does."""
    return {name: (name, convert) for name in names}


def spelled(values: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Return a body, or a part of one, that says what inputs do; what is ``None`` is not given.

    Raises:
        ProvisionError: There is an input that the fields do not have.
    """
    body: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name not in fields:
            raise ProvisionError(f"{name}: was {value!r}, expected one of {', '.join(sorted(fields))}")
        path, convert = fields[name]
        *above, last = path.split(".")
        part = body
        for step in above:
            part = part.setdefault(step, {})
        part[last] = convert(value)
    return body


def one(fields: Fields) -> Convert:
    """Return what spells an object."""
    return partial(spelled, fields=fields)


def each(fields: Fields) -> Convert:
    """Return what spells every object of a list."""

    def convert(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [spelled(value, fields) for value in values]

    return convert


def alone(fields: Fields) -> Convert:
    """Return what spells an object that is a list of one in the API."""

    def convert(value: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [spelled(value, fields)]

    return convert


def items(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return metadata as the API lists it."""
    return [{"key": key, "value": value} for key, value in sorted(values.items())]
