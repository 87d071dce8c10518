"""Instance templates, of a region or global."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.local_gcp import template_rules
from spotkeeper_lab.local_gcp.operations import Operation, Operations
from spotkeeper_lab.local_gcp.refusals import already_exists, in_use, not_found
from spotkeeper_lab.local_gcp.world import ROOT, World, now


@dataclass(frozen=True)
class Template:
    """One template; it never changes."""

    path: str
    body: Mapping[str, Any]
    """As the API has it."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """What its instances are like."""
        found: Mapping[str, Any] = self.body["properties"]
        return found


class Templates:
    """All templates. Called under the world's lock.

    Args:
        user: returns the path of what uses the template of that path, if anything does.
    """

    def __init__(self, world: World, operations: Operations, user: Callable[[str], str | None]) -> None:
        self._world = world
        self._operations = operations
        self._user = user
        self._all: dict[str, Template] = {}

    def get(self, path: str) -> Template:
        """Return the template of a path.

        Raises:
            Refused: There is none.
        """
        if path not in self._all:
            raise not_found(path)
        return self._all[path]

    def all(self, scope: str) -> list[Mapping[str, Any]]:
        """Return the templates of a region, or the global ones."""
        return [one.body for path, one in self._all.items() if path.startswith(f"{self._world.path(scope)}/")]

    def insert(self, scope: str, body: Mapping[str, Any]) -> Operation:
        """Make a template.

        Raises:
            Refused: It breaks a rule, or there is one of its name.
        """
        template_rules.check(body)
        path, number = self._world.path(scope, "instanceTemplates", body["name"]), self._world.new_id()
        region = {} if scope == "global" else {"region": f"{ROOT}{self._world.path(scope)}"}
        made = {
            **body,
            "kind": "compute#instanceTemplate",
            "id": number,
            "selfLink": f"{ROOT}{path}",
            "creationTimestamp": now(),
            **region,
        }
        if path in self._all:
            raise already_exists(path)

        def effect(_: object) -> None:
            if path in self._all:
                raise already_exists(path)
            self._all[path] = Template(path, made)

        return self._operations.begin("insert", scope, path, number, effect)

    def delete(self, scope: str, name: str) -> Operation:
        """Delete a template.

        Raises:
            Refused: There is none, or a group uses it.
        """
        path = self._world.path(scope, "instanceTemplates", name)
        number = str(self.get(path).body["id"])

        def check() -> None:
            if user := self._user(path):
                raise in_use(path, user)

        def effect(_: object) -> None:
            self.get(path)
            check()
            del self._all[path]

        check()
        return self._operations.begin("delete", scope, path, number, effect)
