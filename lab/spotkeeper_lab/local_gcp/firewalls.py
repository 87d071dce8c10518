"""Firewall rules. They are kept, and stop nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spotkeeper_lab.local_gcp.group_api import page
from spotkeeper_lab.local_gcp.operations import Operation, Operations
from spotkeeper_lab.local_gcp.refusals import already_exists, invalid, not_found, required
from spotkeeper_lab.local_gcp.world import ROOT, World, now

Given = Mapping[str, Any]
_SOURCES, _TARGETS = ("sourceTags", "sourceServiceAccounts"), ("targetTags", "targetServiceAccounts")


class Firewalls:
    """The firewall rules of a project. Called under the world's lock."""

    def __init__(self, world: World, operations: Operations) -> None:
        self._world, self._operations = world, operations
        self._all: dict[str, Given] = {}

    def methods(self) -> Mapping[str, Callable[[Given, Given], Operation | Given]]:
        """Return what answers which method."""
        return {
            "compute.firewalls.insert": self._insert,
            "compute.firewalls.get": lambda asked, _: self._find(asked["firewall"]),
            "compute.firewalls.delete": self._delete,
            "compute.firewalls.list": self._list,
        }

    def _insert(self, _: Given, body: Given) -> Operation:
        if not body.get("name"):
            raise required("resource.name")
        check(body)
        path, number = self._path(body["name"]), self._world.new_id()
        if path in self._all:
            raise already_exists(path)
        made = {"kind": "compute#firewall", "id": number, "selfLink": f"{ROOT}{path}", "creationTimestamp": now()}

        def effect(_: object) -> None:
            self._all[path] = {"direction": "INGRESS", "priority": 1000, **body, **made}

        return self._operations.begin("insert", "global", path, number, effect)

    def _delete(self, asked: Given, _: Given) -> Operation:
        found = self._find(asked["firewall"])
        path = self._path(str(found["name"]))

        def effect(_: object) -> None:
            self._all.pop(path, None)

        return self._operations.begin("delete", "global", path, str(found["id"]), effect)

    def _list(self, asked: Given, _: Given) -> Given:
        return {"kind": "compute#firewallList", **page([self._all[path] for path in sorted(self._all)], asked, "items")}

    def _find(self, name: str) -> Given:
        path = self._path(name)
        if path not in self._all:
            raise not_found(path)
        return self._all[path]

    def _path(self, name: str) -> str:
        return self._world.path("global", "firewalls", name)


def check(rule: Given) -> None:
    """Refuse a rule that the API refuses.

    Raises:
        Refused: It mixes tags with service accounts, or neither allows nor denies, or does both.
    """
    used = [name for name in (*_SOURCES, *_TARGETS) if rule.get(name)]
    if any("Tags" in name for name in used) and any("Accounts" in name for name in used):
        raise invalid("resource", used, "Tags and service accounts cannot be used together.")
    if bool(rule.get("allowed")) == bool(rule.get("denied")):
        raise invalid("resource.allowed", rule.get("allowed"), "Exactly one of allowed and denied must be specified.")
