"""Compute Engine's methods: a request is checked by the discovery document, then answered by what is done here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from spotkeeper_lab.local_gcp import group_api
from spotkeeper_lab.local_gcp.discovery import Discovery
from spotkeeper_lab.local_gcp.firewalls import Firewalls
from spotkeeper_lab.local_gcp.group_api import Given, GroupApi, page
from spotkeeper_lab.local_gcp.groups import Groups
from spotkeeper_lab.local_gcp.instances import BEHIND_ITS_BACK, Instance
from spotkeeper_lab.local_gcp.operations import Operation, Operations
from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_done, not_found
from spotkeeper_lab.local_gcp.templates import Templates
from spotkeeper_lab.local_gcp.validation import Validation
from spotkeeper_lab.local_gcp.world import ROOT, World

_REGION_TEMPLATES, _TEMPLATES = "compute.regionInstanceTemplates", "compute.instanceTemplates"


@dataclass(frozen=True)
class Answer:
    """What a request gets."""

    status: int
    body: Mapping[str, Any]


class Api:
    """Answers requests."""

    def __init__(self, world: World, document: Discovery, groups: Groups, operations: Operations) -> None:
        self._world = world
        self._document = document
        self._validation = Validation(document)
        self._groups = groups
        self._operations = operations
        self._templates = Templates(world, operations, self._user_of)
        firewalls = Firewalls(world, operations)
        self._methods: dict[str, Callable[[Given, Given], Operation | Given]] = {
            **group_api.methods(GroupApi(world, groups, self._templates, operations)),
            f"{_REGION_TEMPLATES}.insert": lambda asked, body: self._templates.insert(_scope(asked), body),
            f"{_REGION_TEMPLATES}.get": self._template,
            f"{_REGION_TEMPLATES}.delete": self._delete_template,
            f"{_REGION_TEMPLATES}.list": self._list_templates,
            f"{_TEMPLATES}.list": self._list_templates,
            **firewalls.methods(),
            f"{_TEMPLATES}.insert": lambda asked, body: self._templates.insert(_scope(asked), body),
            f"{_TEMPLATES}.get": self._template,
            f"{_TEMPLATES}.delete": self._delete_template,
            "compute.instances.get": lambda asked, _: groups.instances.json(self._instance(asked)),
            "compute.instances.list": self._list_instances,
            "compute.instances.delete": self._delete_instance,
            "compute.instances.simulateMaintenanceEvent": self._simulate,
            "compute.zones.get": lambda asked, _: self._zone(asked["zone"]),
            "compute.zones.list": self._list_zones,
        }
        for kind in ("region", "zone", "global"):
            self._methods[f"compute.{kind}Operations.get"] = lambda asked, _: operations.get(
                _scope(asked), asked["operation"]
            )
            self._methods[f"compute.{kind}Operations.wait"] = lambda asked, _: operations.wait(
                _scope(asked), asked["operation"]
            )

    @property
    def methods(self) -> Collection[str]:
        """Ids of the methods that are done."""
        return self._methods.keys()

    def answer(self, verb: str, target: str, body: bytes) -> Answer:
        """Answer one request.

        Args:
            verb: of HTTP.
            target: path and query.
            body: JSON, or nothing.
        """
        try:
            return Answer(200, self._answer(verb, target, body))
        except Refused as refused:
            return Answer(refused.status, refused.body())

    def _answer(self, verb: str, target: str, body: bytes) -> Mapping[str, Any]:
        url = urlsplit(target)
        found = self._document.find(verb, url.path)
        method = found.method
        asked = self._validation.query(method, found.path, parse_qs(url.query, keep_blank_values=True))
        given = self._validation.body(method, _json(body))
        if method.id not in self._methods:
            raise not_done(method.id)
        self._here(asked)
        with self._world.lock:
            request = asked.get("requestId")
            answer: Operation | Given | None = self._operations.again(request, f"{verb} {url.path}")
            if answer is None:
                answer = self._methods[method.id](asked, given)
                if isinstance(answer, Operation):
                    self._operations.remember(request, f"{verb} {url.path}", answer.name)
            return answer.json(f"projects/{self._world.project}") if isinstance(answer, Operation) else answer

    def _here(self, asked: Given) -> None:
        """Refuse a project, a region or a zone that is not there."""
        if asked["project"] != self._world.project:
            raise not_found(f"projects/{asked['project']}")
        if "region" in asked and asked["region"] not in self._world.regions:
            raise invalid("region", asked["region"], "Unknown region.")
        if "zone" in asked and not any(asked["zone"] in zones for zones in self._world.regions.values()):
            raise invalid("zone", asked["zone"], "Unknown zone.")

    def _user_of(self, template: str) -> str | None:
        users = (group.path for group in self._groups.all.values() if group.template.path == template)
        return next(users, None)

    def _template(self, asked: Given, _: Given) -> Given:
        return self._templates.get(self._world.path(_scope(asked), "instanceTemplates", asked["instanceTemplate"])).body

    def _list_templates(self, asked: Given, _: Given) -> Given:
        return _listing("instanceTemplate", self._templates.all(_scope(asked)), asked)

    def _delete_template(self, asked: Given, _: Given) -> Operation:
        return self._templates.delete(_scope(asked), asked["instanceTemplate"])

    def _instance(self, asked: Given) -> Instance:
        instance = self._groups.instances.get(asked["zone"], asked["instance"])
        if instance is None:
            raise not_found(self._world.path("zones", asked["zone"], "instances", asked["instance"]))
        return instance

    def _list_instances(self, asked: Given, _: Given) -> Given:
        instances = self._groups.instances
        found = [instances.json(one) for one in instances.all() if one.place.zone == asked["zone"]]
        return _listing("instance", found, asked)

    def _delete_instance(self, asked: Given, _: Given) -> Operation:
        return self._of_instance("delete", asked, lambda one: self._groups.instances.stop(one, BEHIND_ITS_BACK))

    def _simulate(self, asked: Given, _: Given) -> Operation:
        def preempt(instance: Instance) -> None:
            try:
                self._groups.instances.preempt(instance)
            except ValueError as error:
                raise invalid("instance", instance.name, str(error)) from None

        return self._of_instance("simulateMaintenanceEvent", asked, preempt)

    def _of_instance(self, kind: str, asked: Given, change: Callable[[Instance], None]) -> Operation:
        instance = self._instance(asked)
        path = self._world.path("zones", asked["zone"], "instances", instance.name)

        def effect(_: object) -> None:
            change(self._instance(asked))

        return self._operations.begin(kind, _scope(asked), path, instance.id, effect)

    def _zone(self, zone: str) -> Given:
        region = next(name for name, zones in self._world.regions.items() if zone in zones)
        link = f"{ROOT}{self._world.path('regions', region)}"
        return {"kind": "compute#zone", "name": zone, "status": "UP", "region": link}

    def _list_zones(self, asked: Given, _: Given) -> Given:
        return _listing("zone", [self._zone(zone) for zones in self._world.regions.values() for zone in zones], asked)


def _listing(kind: str, found: Sequence[Given], asked: Given) -> Given:
    for name in ("filter", "orderBy"):
        if asked.get(name):
            raise not_done(f"the parameter {name}")
    return {"kind": f"compute#{kind}List", **page(found, asked, "items")}


def _scope(asked: Given) -> str:
    for kind in ("region", "zone"):
        if kind in asked:
            return f"{kind}s/{asked[kind]}"
    return "global"


def _json(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "parseError", "Parse Error: the body is not JSON.") from None
