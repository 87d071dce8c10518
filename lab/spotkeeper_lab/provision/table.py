"""The table: which handler creates which type of resource, and answers which invoke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Created = tuple[str, dict[str, Any]]
"""The id of a new resource, and its outputs besides its inputs."""


class ProvisionError(Exception):
    """The program declares something that the local cloud is not told how to create."""


@dataclass(frozen=True)
class Aws:
    """Where resources are created. ``client`` returns a boto3 client of one service."""

    client: Callable[[str], Any]
    account: str
    region: str


class Inputs:
    """The inputs of one resource.

    A handler takes each of them; what it leaves would have been ignored, and is refused.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = {key: value for key, value in values.items() if value is not None}

    def take(self, key: str, default: Any = None) -> Any:
        """Return one input, which thereby counts as used."""
        return self._left.pop(key, default)

    def take_all(self, *keys: str) -> dict[str, Any]:
        """Return those of the inputs that are given."""
        return {key: self._left.pop(key) for key in keys if key in self._left}

    def left(self) -> list[str]:
        """Return the names of inputs that were not taken."""
        return sorted(self._left)


Creator = Callable[[Aws, str, Inputs], Created]
Answerer = Callable[[Aws, Inputs], dict[str, Any]]
_creators: dict[str, Creator] = {}
_answerers: dict[str, Answerer] = {}


def creates(*types: str) -> Callable[[Creator], Creator]:
    """Enter a handler for resource types."""

    def enter(creator: Creator) -> Creator:
        _creators.update(dict.fromkeys(types, creator))
        return creator

    return enter


def answers(token: str) -> Callable[[Answerer], Answerer]:
    """Enter a handler for an invoke."""

    def enter(answerer: Answerer) -> Answerer:
        _answerers[token] = answerer
        return answerer

    return enter


def create(aws: Aws, kind: str, name: str, values: Mapping[str, Any]) -> Created:
    """Create one resource.

    Raises:
        ProvisionError: The type, or one of its inputs, is not known here.
        botocore.exceptions.ClientError: The cloud refused it.
        botocore.exceptions.ParamValidationError: Its arguments are wrong.
    """
    if kind not in _creators:
        raise ProvisionError(f"{name}: resource type was {kind!r}, expected one of {', '.join(sorted(_creators))}")
    inputs = Inputs(values)
    created = _creators[kind](aws, name, inputs)
    _refuse_left(f"{name} ({kind})", inputs)
    return created


def answer(aws: Aws, token: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one invoke; raises as :func:`create` does."""
    if token not in _answerers:
        raise ProvisionError(f"invoke was {token!r}, expected one of {', '.join(sorted(_answerers))}")
    inputs = Inputs(values)
    result = _answerers[token](aws, inputs)
    _refuse_left(token, inputs)
    return result


def _refuse_left(what: str, inputs: Inputs) -> None:
    if inputs.left():
        raise ProvisionError(f"{what}: the local cloud does not know what to do with {', '.join(inputs.left())}")


def known() -> Iterator[str]:
    """Return the resource types that can be created."""
    return iter(sorted(_creators))
