"""What Google's own discovery documents say about its services: methods, their paths, parameters and schemas.

The documents are read as data from the package google-api-python-client, whose code is not imported.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from spotkeeper_lab.local_gcp.refusals import Refused

COMPUTE = "compute.v1"
EXTRA = "pip install 'spotkeeper[gcp-lab]'"
_VARIABLE = "{}"
_IN_PATH = re.compile(r"\{\+?(\w+)\}")


@dataclass(frozen=True)
class Method:
    """One method of an API."""

    id: str
    """For example ``compute.regionInstanceGroupManagers.resize``."""
    parameters: Mapping[str, Mapping[str, Any]]
    """What it takes in its path and query, those that all methods take included; by name."""
    request: str
    """Name of the schema of its body, empty where it takes none."""
    response: str
    path: str
    """Pattern of its whole path, with its parameters as named groups."""
    flat: str
    """Its whole path, with a variable for each part that varies."""


@dataclass(frozen=True)
class Found:
    """A method, and what a request's path says."""

    method: Method
    path: Mapping[str, str]


class Discovery:
    """A document, ready to look things up in."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Mapping[str, Any]] = document["schemas"]
        self.base = f"/{document['servicePath']}"
        """What all paths begin with."""
        self.methods: dict[str, Method] = {}
        self._tree: dict[str, Any] = {}
        for method in _methods(document):
            self._add(method, document["parameters"])

    def find(self, verb: str, path: str) -> Found:
        """Return the method that a request means.

        Args:
            verb: of HTTP.
            path: as in the request's first line, without the query.

        Raises:
            Refused: There is no such method (404).
        """
        missing = Refused(404, "notFound", f"The requested URL {path} was not found on this server ({verb}).")
        node: Any = self._tree
        for part in path.split("/"):
            name, colon, action = part.rpartition(":")
            acting = node.get(f"{_VARIABLE}:{action}") if colon and name else None
            node = node.get(part) or acting or node.get(_VARIABLE)
            if node is None:
                raise missing
        method = node.get(verb) if isinstance(node.get(verb), Method) else None
        match = _compiled(method.path).fullmatch(path) if method else None
        if method is None or match is None:
            raise missing
        return Found(method, {name: unquote(value) for name, value in match.groupdict().items()})

    def _add(self, method: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        own: Mapping[str, Mapping[str, Any]] = method.get("parameters", {})
        flat = self.base + method.get("flatPath", method["path"])
        one = Method(
            method["id"],
            {**common, **own},
            method.get("request", {}).get("$ref", ""),
            method.get("response", {}).get("$ref", ""),
            _pattern(self.base + method["path"], own),
            flat,
        )
        self.methods[one.id] = one
        node = self._tree
        for part in flat.split("/"):
            node = node.setdefault(_IN_PATH.sub(_VARIABLE, part), {})
        node[method["httpMethod"]] = one


def _methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for inner in resource.get("resources", {}).values():
        yield from inner.get("methods", {}).values()
        yield from _methods(inner)


def _pattern(path: str, parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a method's path as a pattern. ``{name}`` is one part of it, ``{+name}`` several, as the parameter says."""
    found, end = "", 0
    for variable in _IN_PATH.finditer(path):
        several = variable[0].startswith("{+")
        whole = parameters[variable[1]].get("pattern", ".+") if several else "[^/]+"
        found += re.escape(path[end : variable.start()])
        found += f"(?P<{variable[1]}>{whole.removeprefix('^').removesuffix('$')})"
        end = variable.end()
    return found + re.escape(path[end:])


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)  # a document has a thousand, of which a handful are used


@cache
def discovery(name: str = COMPUTE) -> Discovery:
    """Return a document that is installed; Compute Engine's takes a tenth of a second the first time.

    Args:
        name: of the service and its version, such as ``pubsub.v1``.

    Raises:
        ModuleNotFoundError: google-api-python-client is not installed.
    """
    package = importlib.util.find_spec("googleapiclient")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"google-api-python-client: was not found, expected it to be installed ({EXTRA})")
    path = Path(package.submodule_search_locations[0], "discovery_cache", "documents", f"{name}.json")
    return Discovery(json.loads(path.read_bytes()))
