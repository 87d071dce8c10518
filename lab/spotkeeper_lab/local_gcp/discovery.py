"""What Google's own discovery document says about Compute Engine v1: methods, their paths, parameters and schemas.

The document is read as data from the package google-api-python-client, whose code is not imported.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from spotkeeper_lab.local_gcp.refusals import Refused

BASE = "/compute/v1/"
_VARIABLE = "{}"


@dataclass(frozen=True)
class Method:
    """One method of the API."""

    id: str
    """For example ``compute.regionInstanceGroupManagers.resize``."""
    parameters: Mapping[str, Mapping[str, Any]]
    """What it takes in its path and query, those that all methods take included; by name."""
    request: str
    """Name of the schema of its body, empty where it takes none."""
    response: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A method, and what a request's path says."""

    method: Method
    path: Mapping[str, str]


class Discovery:
    """The document, ready to look things up in."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Mapping[str, Any]] = document["schemas"]
        self.methods: dict[str, Method] = {}
        self._tree: dict[str, Any] = {}
        for resource in document["resources"].values():
            for method in resource.get("methods", {}).values():
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
        if not path.startswith(BASE):
            raise missing
        parts = [unquote(part) for part in path.removeprefix(BASE).split("/")]
        node: Any = self._tree
        for part in parts:
            node = node.get(part) or node.get(_VARIABLE)
            if node is None:
                raise missing
        method = node.get(verb) if isinstance(node.get(verb), Method) else None
        if method is None:
            raise missing
        names = zip(method.path, parts, strict=True)
        return Found(method, {name[1:-1]: value for name, value in names if name.startswith("{")})

    def _add(self, method: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        path = tuple(method["path"].split("/"))
        one = Method(
            method["id"],
            {**common, **method.get("parameters", {})},
            method.get("request", {}).get("$ref", ""),
            method.get("response", {}).get("$ref", ""),
            path,
        )
        self.methods[one.id] = one
        node = self._tree
        for part in path:
            node = node.setdefault(_VARIABLE if part.startswith("{") else part, {})
        node[method["httpMethod"]] = one


@cache
def discovery() -> Discovery:
    """Return the document that is installed; it takes a tenth of a second the first time.

    Raises:
        ModuleNotFoundError: google-api-python-client is not installed.
    """
    package = importlib.util.find_spec("googleapiclient")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("googleapiclient: was not found, expected google-api-python-client to be installed")
    path = Path(package.submodule_search_locations[0], "discovery_cache", "documents", "compute.v1.json")
    return Discovery(json.loads(path.read_bytes()))
