"""The methods of ``regionInstanceGroupManagers``: what a request asks of the groups, and what its operation does."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spotkeeper_lab.local_gcp import group_rules, links
from spotkeeper_lab.local_gcp.groups import Group, Groups
from spotkeeper_lab.local_gcp.members import DELETING, Member
from spotkeeper_lab.local_gcp.operations import Effect, Operation, Operations
from spotkeeper_lab.local_gcp.refusals import Refused, already_exists, invalid, not_done, not_found, not_ready
from spotkeeper_lab.local_gcp.templates import Template, Templates
from spotkeeper_lab.local_gcp.world import World

_KIND = "compute.instanceGroupManagers"
_LONGEST_PAGE = 500
Given = Mapping[str, Any]
"""A request's parameters, or its body."""


class GroupApi:
    """Answers requests about groups, under the world's lock."""

    def __init__(self, world: World, groups: Groups, templates: Templates, operations: Operations) -> None:
        self._world = world
        self._groups = groups
        self._templates = templates
        self._operations = operations
        self._fingerprints = itertools.count(1)

    def get(self, asked: Given, _: Given) -> Given:
        """Return a group."""
        return self._find(asked).json()

    def list(self, asked: Given, _: Given) -> Given:
        """Return the groups of a region."""
        _plain(asked)
        found = [group.json() for group in self._groups.all.values() if group.region == asked["region"]]
        return {"kind": "compute#regionInstanceGroupManagerList", **({"items": found} if found else {})}

    def insert(self, asked: Given, body: Given) -> Operation:
        """Make a group."""
        region, zones = asked["region"], self._world.regions[asked["region"]]
        group_rules.has_template(body)
        fields = group_rules.complete(body, zones)
        group_rules.check(fields, zones)
        fields["fingerprint"] = self._fingerprint()
        path, number = self._path(region, body["name"]), self._world.new_id()
        template = self._template(fields)
        if path in self._groups.all:
            raise already_exists(path)

        def effect(_: object) -> None:
            if path in self._groups.all:
                raise already_exists(path)
            self._templates.get(template.path)
            self._groups.add(Group(path, number, region, fields, template))

        return self._operations.begin(f"{_KIND}.insert", f"regions/{region}", path, number, effect)

    def patch(self, asked: Given, body: Given) -> Operation:
        """Change a group's fields."""
        self._patched(self._find(asked), body)

        def effect(group: Group) -> None:
            group.fields, group.template = self._patched(group, body)
            self._groups.converge(group)

        return self._begin("patch", asked, effect)

    def resize(self, asked: Given, _: Given) -> Operation:
        """Change a group's size; it chooses itself whom it deletes."""
        group_rules.size(asked["size"], "size")

        def effect(group: Group) -> None:
            group.fields["targetSize"] = asked["size"]
            self._groups.converge(group)

        return self._begin("resize", asked, effect)

    def delete(self, asked: Given, _: Given) -> Operation:
        """Delete a group with all its instances."""
        group = self._ready(asked)

        def effect(done: Callable[[], None]) -> bool:
            if self._ready(asked) is not group:
                raise not_found(group.path)
            self._groups.remove(group, done)
            return True

        return self._operations.begin(f"{_KIND}.delete", f"regions/{group.region}", group.path, group.id, effect)

    def list_managed_instances(self, asked: Given, _: Given) -> Given:
        """Return a group's instances, those that are only wanted so far included."""
        _plain(asked)
        group = self._find(asked)
        found = [member.json(f"projects/{self._world.project}") for member in group.members]
        if group.fields["listManagedInstancesResults"] == "PAGELESS":
            return {"managedInstances": found} if found else {}
        return page(found, asked, "managedInstances")

    def delete_instances(self, asked: Given, body: Given) -> Operation:
        """Delete instances by name; the group's size is lower by so many."""
        named = _links(body)

        def effect(group: Group) -> None:
            skip = bool(body.get("skipInstancesOnValidationError"))
            self._groups.delete(group, _members(group, named, skip=skip))

        return self._begin("deleteInstances", asked, effect)

    def recreate_instances(self, asked: Given, body: Given) -> Operation:
        """Give instances a new life by the group's current configuration; its size stays."""
        named = _links(body)

        def effect(group: Group) -> None:
            self._groups.recreate(_members(group, named, skip=False), group.template)

        return self._begin("recreateInstances", asked, effect)

    def _begin(self, what: str, asked: Given, effect: Callable[[Group], None]) -> Operation:
        group = self._ready(asked)

        def due(_: object) -> None:
            effect(self._ready(asked))

        change: Effect = due
        return self._operations.begin(f"{_KIND}.{what}", f"regions/{group.region}", group.path, group.id, change)

    def _patched(self, group: Group, body: Given) -> tuple[dict[str, Any], Template]:
        zones = self._world.regions[group.region]
        merged = group_rules.patched(group.fields, body)
        group_rules.has_template(merged)
        fields = group_rules.complete(merged, zones)
        group_rules.check(fields, zones)
        return {**fields, "fingerprint": self._fingerprint()}, self._template(fields)

    def _template(self, fields: Given) -> Template:
        path = links.template(fields["instanceTemplate"], self._world.project, "resource.instanceTemplate")
        return self._templates.get(path)

    def _fingerprint(self) -> str:
        return base64.b64encode(next(self._fingerprints).to_bytes(8, "big")).decode()

    def _path(self, region: str, name: str) -> str:
        return self._world.path("regions", region, "instanceGroupManagers", name)

    def _find(self, asked: Given) -> Group:
        path = self._path(asked["region"], asked["instanceGroupManager"])
        if path not in self._groups.all:
            raise not_found(path)
        return self._groups.all[path]

    def _ready(self, asked: Given) -> Group:
        group = self._find(asked)
        if group.emptied:
            raise not_ready(group.path)
        return group


def page(found: Sequence[Given], asked: Given, name: str) -> Given:
    """Return one page of a list: from ``pageToken`` on, at most ``maxResults``."""
    token = asked.get("pageToken", "0") or "0"
    if not token.isdecimal():
        raise invalid("pageToken", token, "The token is malformed.")
    begin, most = int(token), min(asked["maxResults"], _LONGEST_PAGE) or _LONGEST_PAGE
    rest = {"nextPageToken": str(begin + most)} if begin + most < len(found) else {}
    return {**({name: found[begin : begin + most]} if found[begin:] else {}), **rest}


def _plain(asked: Given) -> None:
    for name in ("filter", "orderBy"):
        if asked.get(name):
            raise not_done(f"the parameter {name}")


def _links(body: Given) -> Sequence[tuple[str, str]]:
    group_rules.names(body.get("instances", ()))
    return [links.instance(link, f"resource.instances[{at}]") for at, link in enumerate(body["instances"])]


def _members(group: Group, named: Sequence[tuple[str, str]], *, skip: bool) -> Sequence[Member]:
    """Return the members of these zones and names; with one that is none, nothing happens unless it is skipped."""
    known = {(one.zone, one.name): one for one in group.members if one.action != DELETING}
    for zone, name in named:
        if (zone, name) not in known and not skip:
            why = f"is not a member of {group.path}, or is already being deleted."
            raise Refused(400, "invalidUsage", f"Instance 'zones/{zone}/instances/{name}' {why}")
    return [known[one] for one in dict.fromkeys(named) if one in known]


def methods(api: GroupApi) -> Mapping[str, Callable[[Given, Given], Operation | Given]]:
    """Return what answers each method, by its id."""
    names: Mapping[str, Callable[[Given, Given], Operation | Given]] = {
        "get": api.get,
        "list": api.list,
        "insert": api.insert,
        "patch": api.patch,
        "resize": api.resize,
        "delete": api.delete,
        "listManagedInstances": api.list_managed_instances,
        "deleteInstances": api.delete_instances,
        "recreateInstances": api.recreate_instances,
    }
    return {f"compute.regionInstanceGroupManagers.{name}": method for name, method in names.items()}
