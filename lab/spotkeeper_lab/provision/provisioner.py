"""What stands in for Pulumi's engine and its providers: creates, changes and deletes resources, and keeps the stack.

Resource hooks are not run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockMonitor

from spotkeeper_lab.provision.state import Options, Resource, below, carried, changed, deletions
from spotkeeper_lab.provision.table import Change, Provider, ProvisionError
from spotkeeper_lab.provision.values import plain
from spotkeeper_lab.rollouts import CHANGING, DELETING

Note = Callable[..., object]
"""Is told what is about to happen: a name of :mod:`spotkeeper_lab.rollouts`, then facts by name."""


def _untold(_what: str, **_facts: object) -> None:
    """Nobody wants to know."""


class Provisioner(pulumi.runtime.Mocks):
    """Creates, changes and deletes resources. Pulumi calls it from several threads.

    Args:
        provider: of the cloud that they are in.
        note: is told of changes and deletions.
    """

    def __init__(self, provider: Provider, note: Note = _untold) -> None:
        self._provider, self._note = provider, note
        self._lock = threading.Lock()
        self._stack: dict[str, Resource] = {}
        self._options: dict[tuple[str, str], Options] = {}
        self._replaced: list[Resource] = []

    @property
    def stack(self) -> Mapping[str, Resource]:
        """Everything that is declared, by URN."""
        with self._lock:
            return dict(self._stack)

    def announce(self, kind: str, name: str, options: Options) -> None:
        """Take in what a program says about the resource that it registers next under this type and name.

        Raises:
            ProvisionError: It has registered another one of the same type and name in this run.
        """
        with self._lock:
            other = self._options.setdefault((kind, name), options)
        if other.urn != options.urn:
            raise ProvisionError(f"{name} ({kind}): is declared under {other.urn} too, expected one of each type")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Create one resource, or bring it from what it was in the run before to what it is now."""
        with self._lock:
            options = self._options[args.typ, args.name]
            before = self._stack.get(options.urn)
        given = dict(args.inputs) if before is None else carried(args.inputs, before.given, options.ignore_changes)
        wanted = Resource(args.typ, args.name, options, given=given, inputs=plain(given), custom=bool(args.custom))
        made = self._created(wanted) if before is None else self._updated(before, wanted)
        with self._lock:
            self._stack[options.urn] = made
        return made.id, {**made.given, **made.outputs}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        """Answer one invoke; one that cannot be answered raises."""
        return self._provider.answer(args.token, plain(args.args)), []

    def begin(self) -> None:
        """A run of the program begins."""
        with self._lock:
            self._options.clear()

    def end(self) -> None:
        """The program has run to its end: what it has declared no more is deleted."""
        with self._lock:
            declared = {options.urn for options in self._options.values()}
            gone = self._stack.keys() - declared
            replaced, self._replaced = self._replaced, []
        for resource in replaced:
            self._discard(resource)
        self._delete(gone)

    def destroy(self, kind: str) -> None:
        """Delete the components of a type with everything below them, as a targeted ``pulumi destroy`` does.

        Raises:
            ProvisionError: There is none, or something cannot be deleted here.
            ValueError: Something that stays needs them.
        """
        stack = self.stack
        tops = [urn for urn, resource in stack.items() if resource.kind == kind]
        if not tops:
            raise ProvisionError(f"destroy: was {kind!r}, expected the type of a component of the stack")
        self._delete({urn for top in tops for urn in below(stack, top)})

    def _created(self, wanted: Resource) -> Resource:
        if not wanted.custom:
            return wanted
        if not wanted.exists:
            return replace(wanted, id=f"{wanted.name}-provider")
        identity, outputs = self._provider.create(wanted.kind, wanted.name, wanted.inputs)
        return replace(wanted, id=identity, outputs=outputs)

    def _updated(self, before: Resource, wanted: Resource) -> Resource:
        wanted = replace(wanted, id=before.id, outputs=before.outputs)
        names = changed(before.inputs, wanted.inputs)
        if not (wanted.exists and names):
            return wanted
        self._note(CHANGING, kind=wanted.kind, name=wanted.name, inputs=sorted(names))
        change = Change(before, wanted.inputs, names)
        if self._provider.replaces(change):
            with self._lock:
                self._replaced.append(before)
            return self._created(wanted)
        return replace(wanted, outputs={**before.outputs, **self._provider.update(change)})

    def _delete(self, condemned: Collection[str]) -> None:
        for wave in deletions(self.stack, condemned):
            with ThreadPoolExecutor(max_workers=len(wave)) as at_once:
                list(at_once.map(lambda resource: self._deleted(resource, condemned), wave))

    def _deleted(self, resource: Resource, condemned: Collection[str]) -> None:
        options = resource.options
        if resource.exists and options.deleted_with not in condemned:
            self._discard(resource)
        with self._lock:
            del self._stack[options.urn]

    def _discard(self, resource: Resource) -> None:
        if not resource.options.retain_on_delete:
            self._note(DELETING, kind=resource.kind, name=resource.name)
            self._provider.delete(resource)


class Registrar(MockMonitor):
    """The mock monitor, which tells a provisioner of the options that mocks are not shown."""

    def __init__(self, provisioner: Provisioner) -> None:
        super().__init__(provisioner)
        self._provisioner = provisioner

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        """Register one resource."""
        urn = self.make_urn(request.parent, request.type, request.name)
        self._provisioner.announce(request.type, request.name, _options(urn, request))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK's


def _options(urn: str, request: Any) -> Options:
    needs: set[str] = {*request.dependencies}
    for dependencies in request.propertyDependencies.values():
        needs |= {*dependencies.urns}
    if request.provider:
        needs.add(request.provider.rpartition("::")[0])
    return Options(
        urn=urn,
        parent=request.parent,
        needs=frozenset(needs - {urn}),
        ignore_changes=tuple(request.ignoreChanges),
        retain_on_delete=bool(request.retainOnDelete),
        deleted_with=request.deletedWith,
    )
