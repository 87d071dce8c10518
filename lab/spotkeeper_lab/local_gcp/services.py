"""Google's newer services: methods by their discovery documents, and what those of them do that only keep resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spotkeeper_lab.local_gcp.discovery import Discovery, Found, discovery
from spotkeeper_lab.local_gcp.refusals import Refused, already_exists, not_done, not_found
from spotkeeper_lab.local_gcp.validation import Validation
from spotkeeper_lab.local_gcp.web import Reply, Request, reply

DOCUMENTS = (
    "pubsub.v1",
    "logging.v2",
    "cloudscheduler.v1",
    "cloudfunctions.v2",
    "iam.v1",
    "monitoring.v3",
    "run.v2",
    "cloudresourcemanager.v3",
)
"""The documents by which requests are routed; no two of them have a path in common that is used here."""
Given = Mapping[str, Any]
Method = Callable[[Given, Given], Given]
"""Answers a request, by its parameters and its body."""


class Services:
    """Answers requests to the services of :data:`DOCUMENTS`.

    Args:
        methods: what is done, by the method's id.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._documents = [(discovery(name), Validation(discovery(name))) for name in DOCUMENTS]

    def find(self, request: Request) -> tuple[Discovery, Found]:
        """Return the method that a request means, and its document.

        Raises:
            Refused: There is no such method (404).
        """
        for document, _ in self._documents:
            try:
                return document, document.find(request.verb, request.path)
            except Refused:
                continue
        raise Refused(404, "notFound", f"The requested URL {request.path} was not found on this server.")

    def answer(self, request: Request) -> Reply:
        """Do what a request asks for.

        Raises:
            Refused: It cannot be done.
        """
        document, found = self.find(request)
        validation = next(one for known, one in self._documents if known is document)
        query = {name: values for name, values in request.query.items() if not name.startswith("$")}
        asked = validation.query(found.method, found.path, query)
        body = validation.body(found.method, _json(request.body))
        if found.method.id not in self._methods:
            raise not_done(found.method.id)
        return reply(self._methods[found.method.id](asked, body))


class Kept:
    """Resources of one sort, by their full names. Called by any thread; changes are whole."""

    def __init__(self) -> None:
        self._all: dict[str, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All of them, in the order in which they were made."""
        return iter(tuple(self._all.values()))

    def add(self, name: str, fields: Given) -> dict[str, Any]:
        """Make one.

        Raises:
            Refused: There is one of that name.
        """
        if name in self._all:
            raise already_exists(name)
        self._all[name] = {**fields, "name": name}
        return self._all[name]

    def get(self, name: str) -> dict[str, Any]:
        """Return one.

        Raises:
            Refused: There is none.
        """
        if name not in self._all:
            raise not_found(name)
        return self._all[name]

    def patch(self, name: str, fields: Given) -> dict[str, Any]:
        """Change the fields that are given; those that are ``None`` go."""
        found = self.get(name)
        merged = {**found, **fields, "name": name}
        found.clear()
        found.update({key: value for key, value in merged.items() if value is not None})
        return found

    def remove(self, name: str) -> Given:
        """Delete one; returns nothing, as the API does."""
        self.get(name)
        del self._all[name]
        return {}

    def below(self, parent: str) -> list[dict[str, Any]]:
        """Return those whose names begin with a parent's."""
        return [one for one in self if str(one["name"]).startswith(f"{parent}/")]


class Policies:
    """IAM policies of resources, by their names. They are kept, and nobody asks them but tests."""

    def __init__(self) -> None:
        self._all: dict[str, Given] = {}

    def get(self, asked: Given, _: Given) -> Given:
        """Return a resource's policy."""
        return self._all.get(asked["resource"], {"version": 1, "etag": "ACAB"})

    def set(self, asked: Given, body: Given) -> Given:
        """Replace a resource's policy."""
        self._all[asked["resource"]] = {"etag": "ACAB", **body["policy"]}
        return self._all[asked["resource"]]

    def methods(self, *resources: str) -> Mapping[str, Method]:
        """Return the methods of resources, such as ``pubsub.projects.topics``."""
        found: dict[str, Method] = {}
        for resource in resources:
            found |= {f"{resource}.getIamPolicy": self.get, f"{resource}.setIamPolicy": self.set}
        return found


def _json(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "parseError", "Invalid JSON payload received.") from None
