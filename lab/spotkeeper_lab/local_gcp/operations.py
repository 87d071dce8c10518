"""Operations: what a change is until it is done, and after that for whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_found
from spotkeeper_lab.local_gcp.world import ROOT, World, now

PENDING, RUNNING, DONE = "PENDING", "RUNNING", "DONE"

Effect = Callable[[Callable[[], None]], bool | None]
"""Makes a change when its operation is due. Returns whether it takes longer: then it calls what it is given at the end.
What it raises as :class:`Refused` is the operation's error."""


@dataclass
class Operation:
    """One change."""

    id: str
    name: str
    kind: str
    """For example ``compute.instanceGroupManagers.resize``."""
    scope: str
    """The region or zone in which it is asked for, as ``regions/NAME``; or ``global``."""
    target: str
    """Path of the resource that changes."""
    target_id: str
    status: str = PENDING
    times: dict[str, str] = field(default_factory=lambda: {"insertTime": now()})
    error: Refused | None = None

    def json(self, project: str) -> Mapping[str, Any]:
        """Return it as the API has it."""
        scope = {} if self.scope == "global" else {self.scope.split("/")[0][:-1]: f"{ROOT}{project}/{self.scope}"}
        found = {
            "kind": "compute#operation",
            "id": self.id,
            "name": self.name,
            "operationType": self.kind,
            "targetLink": f"{ROOT}{self.target}",
            "targetId": self.target_id,
            "status": self.status,
            "progress": {PENDING: 0, RUNNING: 50, DONE: 100}[self.status],
            "user": "local",
            "selfLink": f"{ROOT}{project}/{self.scope}/operations/{self.name}",
            **scope,
            **self.times,
        }
        if self.error:
            words = "".join(f"_{letter}" if letter.isupper() else letter for letter in self.error.reason).upper()
            code = f"RESOURCE_{words}" if words in ("ALREADY_EXISTS", "NOT_FOUND") else words
            found["error"] = {"errors": [{"code": code, "message": self.error.message}]}
            found["httpErrorStatusCode"], found["httpErrorMessage"] = self.error.status, self.error.reason
        return found


class Operations:
    """All operations. Called under the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: dict[tuple[str, str], Operation] = {}
        self._requests: dict[tuple[str, str], Operation] = {}
        self._changed = threading.Condition(world.lock)
        self._closed = False

    def begin(self, kind: str, scope: str, target: str, target_id: str, effect: Effect) -> Operation:
        """Begin a change whose effect comes when the operation is due."""
        operation = Operation(self._world.new_id(), f"operation-{uuid4().hex}", kind, scope, target, target_id)
        self._all[scope, operation.name] = operation
        half = self._world.timing.operation_seconds / 2
        self._world.after(half, partial(self._run, operation))
        self._world.after(2 * half, partial(self._finish, operation, effect))
        return operation

    def again(self, request_id: str | None, path: str) -> Operation | None:
        """Return the operation that a repeated request had, whatever else it says now.

        Args:
            request_id: what the caller calls the request.
            path: of the request.

        Raises:
            Refused: The id is no UUID, or is zero.
        """
        if request_id is None:
            return None
        try:
            number = UUID(request_id)
        except ValueError:
            raise invalid("requestId", request_id, "Must be a valid UUID.") from None
        if number.int == 0:
            raise invalid("requestId", request_id, "The zero UUID is not supported.")
        return self._requests.get((str(number), path))

    def remember(self, request_id: str | None, path: str, name: str) -> None:
        """Keep in mind which operation a request had, for :meth:`again`."""
        if request_id is not None:
            found = next(one for one in self._all.values() if one.name == name)
            self._requests[str(UUID(request_id)), path] = found

    def get(self, scope: str, name: str) -> Operation:
        """Return an operation by its name or its number.

        Raises:
            Refused: There is none.
        """
        for (where, _), operation in self._all.items():
            if where == scope and name in (operation.name, operation.id):
                return operation
        raise not_found(self._world.path(scope, "operations", name))

    def wait(self, scope: str, name: str) -> Operation:
        """Return an operation when it is done, or after the longest wait. Others may go on meanwhile."""
        operation = self.get(scope, name)
        self._changed.wait_for(lambda: self._closed or operation.status == DONE, self._world.timing.wait_seconds)
        return operation

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self, operation: Operation) -> None:
        operation.status = RUNNING
        operation.times["startTime"] = now()

    def _finish(self, operation: Operation, effect: Effect) -> None:
        try:
            if effect(partial(self._done, operation)):
                return
        except Refused as refused:
            operation.error = refused
        self._done(operation)

    def _done(self, operation: Operation) -> None:
        operation.status = DONE
        operation.times["endTime"] = now()
        self._changed.notify_all()
