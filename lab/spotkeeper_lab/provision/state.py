"""What a stack holds, and what follows from it: what an update changes, and in which order things are deleted. Pure.

The rules are those of Pulumi's engine (``resource/deploy``): inputs are compared with those of the run before, ignored
ones are carried over from it, and nothing is deleted as long as something that needs it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPONENTS = ("pulumi:providers:",)
"""Types, by how they begin, that exist nowhere but in the stack, as components do."""


@dataclass(frozen=True)
class Options:
    """What a program says about a resource besides its inputs."""

    urn: str
    parent: str = ""
    needs: frozenset[str] = frozenset()
    """URNs of what it waits for, for whatever reason."""
    ignore_changes: Sequence[str] = ()
    retain_on_delete: bool = False
    deleted_with: str = ""
    """URN of a resource whose deletion takes this one along; empty for none."""


@dataclass(frozen=True)
class Resource:
    """One resource as the stack holds it."""

    kind: str
    name: str
    options: Options
    id: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its inputs, as the program gave them."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The same as they reach a provider."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the provider added to them."""
    custom: bool = True
    """Whether a provider has it; a component is nothing but its children."""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.name} ({self.kind})"

    @property
    def exists(self) -> bool:
        """Whether there is anything of it in the cloud."""
        return self.custom and not self.kind.startswith(COMPONENTS)


def carried(given: Mapping[str, Any], before: Mapping[str, Any], ignored: Iterable[str]) -> dict[str, Any]:
    """Return inputs with those that are ignored as they were before.

    Args:
        given: what the program gives now.
        before: what it gave in the run before.
        ignored: paths such as ``tags.owner``.

    Raises:
        ValueError: A path goes through a list, which is not known here.
    """
    after = dict(given)
    for path in ignored:
        if "[" in path or "*" in path:
            raise ValueError(f"ignore_changes: was {path!r}, expected names that are joined by dots")
        _carry(after, before, path.split("."))
    return after


def _carry(after: dict[str, Any], before: Mapping[str, Any], path: Sequence[str]) -> None:
    name, rest = path[0], path[1:]
    if not rest:
        if name in before:
            after[name] = before[name]
        else:
            after.pop(name, None)
    elif isinstance(after.get(name), Mapping) and isinstance(before.get(name), Mapping):
        after[name] = dict(after[name])
        _carry(after[name], before[name], rest)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the inputs that differ; one that is ``None`` is not given."""
    return frozenset(name for name in {*before, *after} if before.get(name) != after.get(name))


def deletions(stack: Mapping[str, Resource], condemned: Iterable[str]) -> list[list[Resource]]:
    """Return what is deleted together, wave after wave: what needs something goes before it, children before parents.

    Args:
        stack: all resources by URN.
        condemned: URNs of those that go.

    Raises:
        ValueError: Something that stays needs something that goes, or they need each other.
    """
    left = {urn: stack[urn] for urn in condemned}
    for urn, resource in stack.items():
        if urn not in left and (lost := _needed(resource) & left.keys()):
            raise ValueError(f"{resource.label}: stays, but needs {', '.join(sorted(lost))}, which is to be deleted")
    waves = []
    while left:
        held = {urn for resource in left.values() for urn in _needed(resource)}
        wave = [resource for urn, resource in left.items() if urn not in held]
        if not wave:
            raise ValueError(f"need each other: {', '.join(sorted(left))}")
        waves.append(wave)
        left = {urn: resource for urn, resource in left.items() if urn in held}
    return waves


def _needed(resource: Resource) -> frozenset[str]:
    return resource.options.needs | {resource.options.parent}


def below(stack: Mapping[str, Resource], top: str) -> set[str]:
    """Return the URNs of a resource and of everything that it is a parent of, however far below."""
    found, size = {top}, 0
    while len(found) > size:
        size = len(found)
        found |= {urn for urn, resource in stack.items() if resource.options.parent in found}
    return found
