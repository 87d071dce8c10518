"""The table of a cloud: which handler creates, changes and deletes which type of resource, and answers which invoke."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spotkeeper_lab.provision.state import Resource

Cloud = TypeVar("Cloud")
"""What handlers reach their cloud through."""
Created = tuple[str, dict[str, Any]]
"""The id of a new resource, and its outputs besides its inputs."""


class ProvisionError(Exception):
    """The program declares something that the local cloud is not told how to create."""


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


Creator = Callable[[Cloud, str, Inputs], Created]
Updater = Callable[[Cloud, Change], dict[str, Any]]
"""Returns what of the outputs besides the inputs is new."""
Deleter = Callable[[Cloud, Resource], None]
Answerer = Callable[[Cloud, Inputs], dict[str, Any]]


class Table(Generic[Cloud]):
    """The handlers of one cloud. Modules enter theirs with decorators when they are imported."""

    def __init__(self) -> None:
        self.creators: dict[str, Creator[Cloud]] = {}
        self.updaters: dict[str, tuple[frozenset[str], Updater[Cloud]]] = {}
        self.replaced: dict[str, frozenset[str]] = {}
        self.deleters: dict[str, Deleter[Cloud]] = {}
        self.answerers: dict[str, Answerer[Cloud]] = {}

    def creates(self, *types: str) -> Callable[[Creator[Cloud]], Creator[Cloud]]:
        """Enter a handler for resource types."""

        def enter(creator: Creator[Cloud]) -> Creator[Cloud]:
            self.creators.update(dict.fromkeys(types, creator))
            return creator

        return enter

    def updates(self, kind: str, *names: str) -> Callable[[Updater[Cloud]], Updater[Cloud]]:
        """Enter a handler that changes these inputs of a resource that is there; a change of any other is refused."""

        def enter(updater: Updater[Cloud]) -> Updater[Cloud]:
            self.updaters[kind] = frozenset(names), updater
            return updater

        return enter

    def replaces(self, kind: str, *names: str) -> None:
        """Enter inputs whose change replaces a resource: another one is made first, and this one deleted at the end."""
        self.replaced[kind] = frozenset(names)

    def deletes(self, *types: str) -> Callable[[Deleter[Cloud]], Deleter[Cloud]]:
        """Enter a handler that deletes a resource, and returns when it is gone."""

        def enter(deleter: Deleter[Cloud]) -> Deleter[Cloud]:
            self.deleters.update(dict.fromkeys(types, deleter))
            return deleter

        return enter

    def answers(self, token: str) -> Callable[[Answerer[Cloud]], Answerer[Cloud]]:
        """Enter a handler for an invoke."""

        def enter(answerer: Answerer[Cloud]) -> Answerer[Cloud]:
            self.answerers[token] = answerer
            return answerer

        return enter


class Provider:
    """What stands in for Pulumi's provider of a cloud.

    Args:
        table: its handlers.
        cloud: what they reach their cloud through.
    """

    def __init__(self, table: Table[Cloud], cloud: Cloud) -> None:
        self._table: Table[Any] = table
        self._cloud = cloud

    def known(self) -> Iterator[str]:
        """Return the resource types that can be created."""
        return iter(sorted(self._table.creators))

    def create(self, kind: str, name: str, values: Mapping[str, Any]) -> Created:
        """Create one resource.

        Raises:
            ProvisionError: The type, or one of its inputs, is not known here.
            Exception: The cloud, or its client, refused it.
        """
        if kind not in self._table.creators:
            raise ProvisionError(f"{name}: resource type was {kind!r}, expected one of {', '.join(self.known())}")
        inputs = Inputs(values)
        created = self._table.creators[kind](self._cloud, name, inputs)
        _refuse_left(f"{name} ({kind})", inputs)
        return created

    def replaces(self, change: Change) -> bool:
        """Whether a change makes another resource of one."""
        return bool(change.names & self._table.replaced.get(change.before.kind, frozenset()))

    def update(self, change: Change) -> dict[str, Any]:
        """Change one resource; return what of its outputs is new.

        Raises:
            ProvisionError: The type, or one of the inputs that have changed, is not known to be changeable. A provider
                might do it, or might replace the resource.
            Exception: The cloud, or its client, refused it.
        """
        names, updater = self._table.updaters.get(change.before.kind, (frozenset(), None))
        if updater is None or change.names - names:
            unknown = ", ".join(sorted(change.names - names))
            expected = ", ".join(sorted(names)) or "nothing of this type"
            raise ProvisionError(f"{change.before.label}: has another {unknown}, expected changes of {expected} only")
        return updater(self._cloud, change)

    def delete(self, resource: Resource) -> None:
        """Delete one resource and wait until it is gone.

        Raises:
            ProvisionError: The type is not known to be deletable.
            Exception: The cloud, or its client, refused it.
        """
        if resource.kind not in self._table.deleters:
            expected = ", ".join(sorted(self._table.deleters))
            raise ProvisionError(f"{resource.label}: is to be deleted, expected one of {expected}")
        self._table.deleters[resource.kind](self._cloud, resource)

    def answer(self, token: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one invoke; raises as :meth:`create` does."""
        if token not in self._table.answerers:
            expected = ", ".join(sorted(self._table.answerers))
            raise ProvisionError(f"invoke was {token!r}, expected one of {expected}")
        inputs = Inputs(values)
        result = self._table.answerers[token](self._cloud, inputs)
        _refuse_left(token, inputs)
        return result


def _refuse_left(what: str, inputs: Inputs) -> None:
    if inputs.left():
        raise ProvisionError(f"{what}: the local cloud does not know what to do with {', '.join(inputs.left())}")
