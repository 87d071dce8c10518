"""The table: which handler creates, changes and deletes which type of resource, and answers which invoke."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.provision.state import Resource

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

    A handler takes each of them, and may change what it took; what it leaves would have been ignored, and is refused.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = {key: copy.deepcopy(value) for key, value in values.items() if value is not None}

    def take(self, key: str, default: Any = None) -> Any:
        """Return one input, which thereby counts as used."""
        return self._left.pop(key, default)

    def take_all(self, *keys: str) -> dict[str, Any]:
        """Return those of the inputs that are given."""
        return {key: self._left.pop(key) for key in keys if key in self._left}

    def left(self) -> list[str]:
        """Return the names of inputs that were not taken."""
        return sorted(self._left)


@dataclass(frozen=True)
class Change:
    """A resource of which inputs have changed."""

    before: Resource
    inputs: Mapping[str, Any]
    """All inputs as they are to be."""
    names: frozenset[str]
    """Which of them have changed."""


Creator = Callable[[Aws, str, Inputs], Created]
Updater = Callable[[Aws, Change], dict[str, Any]]
"""Returns what of the outputs besides the inputs is new."""
Deleter = Callable[[Aws, Resource], None]
Answerer = Callable[[Aws, Inputs], dict[str, Any]]
_creators: dict[str, Creator] = {}
_updaters: dict[str, tuple[frozenset[str], Updater]] = {}
_deleters: dict[str, Deleter] = {}
_answerers: dict[str, Answerer] = {}


def creates(*types: str) -> Callable[[Creator], Creator]:
    """Enter a handler for resource types."""

    def enter(creator: Creator) -> Creator:
        _creators.update(dict.fromkeys(types, creator))
        return creator

    return enter


def updates(kind: str, *names: str) -> Callable[[Updater], Updater]:
    """Enter a handler that changes these inputs of a resource that is there; a change of any other is refused."""

    def enter(updater: Updater) -> Updater:
        _updaters[kind] = frozenset(names), updater
        return updater

    return enter


def deletes(kind: str) -> Callable[[Deleter], Deleter]:
    """Enter a handler that deletes a resource, and returns when it is gone."""

    def enter(deleter: Deleter) -> Deleter:
        _deleters[kind] = deleter
        return deleter

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


def update(aws: Aws, change: Change) -> dict[str, Any]:
    """Change one resource; return what of its outputs is new.

    Raises:
        ProvisionError: The type, or one of the inputs that have changed, is not known to be changeable. A provider
            might do it, or might replace the resource.
        botocore.exceptions.ClientError: The cloud refused it.
    """
    names, updater = _updaters.get(change.before.kind, (frozenset(), None))
    if updater is None or change.names - names:
        unknown = ", ".join(sorted(change.names - names))
        expected = ", ".join(sorted(names)) or "nothing of this type"
        raise ProvisionError(f"{change.before.label}: has another {unknown}, expected changes of {expected} only")
    return updater(aws, change)


def delete(aws: Aws, resource: Resource) -> None:
    """Delete one resource and wait until it is gone.

    Raises:
        ProvisionError: The type is not known to be deletable.
        botocore.exceptions.ClientError: The cloud refused it.
    """
    if resource.kind not in _deleters:
        raise ProvisionError(f"{resource.label}: is to be deleted, expected one of {', '.join(sorted(_deleters))}")
    _deleters[resource.kind](aws, resource)


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
