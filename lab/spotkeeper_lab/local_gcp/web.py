"""Requests and answers of HTTP, as the services here see them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

JSON = "application/json; charset=UTF-8"
_BEARER = "Bearer "


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    verb: str
    target: str
    """Path and query, as in the first line."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query, encoded as it came."""
        return urlsplit(self.target).path

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """Parameters by name; those without a value are empty."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def token(self) -> str:
        """The bearer token, empty where there is none."""
        said = self.headers.get("authorization", "")
        return said.removeprefix(_BEARER) if said.startswith(_BEARER) else ""


@dataclass(frozen=True)
class Reply:
    """What a client gets."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(value: Mapping[str, Any], status: int = 200) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": JSON})
