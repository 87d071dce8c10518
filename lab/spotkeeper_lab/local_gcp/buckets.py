"""Buckets of Cloud Storage: objects with generations, older ones kept where the bucket keeps versions.

Not done: metagenerations other than 1, holds, retention, soft deletion, lifecycle rules, storage classes, encryption
keys, access control lists.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import google_crc32c

from spotkeeper_lab.local_gcp.refusals import Refused, already_exists

_MATCH, _NOT_MATCH = "ifGenerationMatch", "ifGenerationNotMatch"
_META_MATCH, _META_NOT_MATCH = "ifMetagenerationMatch", "ifMetagenerationNotMatch"
CONDITIONS = (_MATCH, _NOT_MATCH, _META_MATCH, _META_NOT_MATCH)
"""Parameters that make a request conditional."""
_METAGENERATION = 1


@dataclass(frozen=True)
class Stored:
    """One generation of an object."""

    name: str
    body: bytes
    generation: int
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def etag(self) -> str:
        """Another one for each generation."""
        return base64.b64encode(self.generation.to_bytes(8, "big")).decode()

    @cached_property
    def crc32c(self) -> str:
        """As the service has it: big-endian, in base64."""
        return base64.b64encode(google_crc32c.value(self.body).to_bytes(4, "big")).decode()

    @cached_property
    def md5(self) -> str:
        """In base64."""
        return base64.b64encode(hashlib.md5(self.body, usedforsecurity=False).digest()).decode()


def absent(name: str, bucket: str) -> Refused:
    """Return the answer about an object that is not there."""
    return Refused(404, "notFound", f"No such object: {bucket}/{name}")


@dataclass
class Bucket:
    """One bucket. Called under the buckets' lock."""

    name: str
    fields: dict[str, Any]
    """As the API has it."""
    bindings: list[dict[str, Any]] = field(default_factory=list)
    """Its IAM policy's."""
    _versions: dict[str, list[Stored]] = field(default_factory=dict)
    """Generations of each name, oldest first."""
    _live: set[str] = field(default_factory=set)
    """Names whose newest generation is there."""

    @property
    def keeps_versions(self) -> bool:
        """Whether older generations are kept."""
        return bool(self.fields.get("versioning", {}).get("enabled"))

    def get(self, name: str) -> Stored | None:
        """Return the live generation of an object."""
        return self._versions[name][-1] if name in self._live else None

    def versions(self, name: str) -> list[Stored]:
        """Return all kept generations of an object, oldest first."""
        return list(self._versions.get(name, ()))

    def names(self, prefix: str = "") -> list[str]:
        """Return the names that begin so of all objects, of those that are deleted as well where they are kept."""
        return [name for name in sorted(self._versions) if name.startswith(prefix)]

    def put(self, made: Stored) -> None:
        """Make a generation the live one."""
        older = self._versions.get(made.name, []) if self.keeps_versions else []
        self._versions[made.name] = [*older, made]
        self._live.add(made.name)

    def delete(self, name: str) -> None:
        """Delete an object; where versions are kept its generations are."""
        self._live.discard(name)
        if not self.keeps_versions:
            self._versions.pop(name, None)

    def delete_version(self, name: str, generation: int) -> None:
        """Delete one generation for good."""
        live = self.get(name)
        if live is not None and live.generation == generation:
            self._live.discard(name)
        kept = [one for one in self._versions.get(name, ()) if one.generation != generation]
        if kept:
            self._versions[name] = kept
        else:
            self._versions.pop(name, None)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it, older generations included."""
        return not self._versions


class Buckets:
    """All buckets. Whoever uses one holds :attr:`lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._all: dict[str, Bucket] = {}
        self._generations = itertools.count(int(time.time() * 1e6))

    def add(self, name: str, fields: Mapping[str, Any] | None = None) -> Bucket:
        """Make a bucket.

        Raises:
            Refused: There is one of that name.
        """
        with self.lock:
            if name in self._all:
                raise already_exists(f"b/{name}")
            self._all[name] = Bucket(name, dict(fields or {}))
            return self._all[name]

    def remove(self, name: str) -> None:
        """Delete an empty bucket.

        Raises:
            Refused: There is none of that name, or something is in it.
        """
        with self.lock:
            if not self.find(name).empty:
                raise Refused(409, "conflict", "The bucket you tried to delete is not empty.")
            del self._all[name]

    def find(self, name: str) -> Bucket:
        """Return a bucket.

        Raises:
            Refused: There is none of that name.
        """
        if name not in self._all:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return self._all[name]

    def all(self) -> list[Bucket]:
        """Return all buckets, by name."""
        with self.lock:
            return [self._all[name] for name in sorted(self._all)]

    def write(self, bucket: str, name: str, body: bytes, conditions: Mapping[str, str], **facts: Any) -> Stored:
        """Write an object if the conditions hold, and return its new generation.

        Raises:
            Refused: They do not, or there is no such bucket.
        """
        with self.lock:
            into = self.find(bucket)
            check(into.get(name), conditions)
            made = Stored(name, body, next(self._generations), **facts)
            into.put(made)
            return made

    def read(self, bucket: str, name: str, conditions: Mapping[str, str], generation: str = "") -> Stored:
        """Return an object if the conditions hold.

        Raises:
            Refused: They do not, or there is no such object or bucket.
        """
        with self.lock:
            within = self.find(bucket)
            found = within.get(name)
            if generation:
                found = next((one for one in within.versions(name) if str(one.generation) == generation), None)
            if found is None:
                if conditions.get(_MATCH, "0") != "0":
                    raise _failed(_MATCH)
                raise absent(name, bucket)
            check(found, conditions)
            return found

    def delete(self, bucket: str, name: str, conditions: Mapping[str, str], generation: str = "") -> None:
        """Delete an object if the conditions hold, or one generation of it for good.

        Raises:
            Refused: They do not, or there is no such object or bucket.
        """
        with self.lock:
            self.read(bucket, name, conditions, generation)
            if generation:
                self.find(bucket).delete_version(name, int(generation))
            else:
                self.find(bucket).delete(name)


def check(found: Stored | None, conditions: Mapping[str, str]) -> None:
    """Refuse a request whose conditions do not hold for what is there.

    Raises:
        Refused: With 304 where something has not changed, with 412 otherwise, with 400 for what is no number.
    """
    now = found.generation if found else 0
    metageneration = _METAGENERATION if found else 0
    values = {_MATCH: now, _NOT_MATCH: now, _META_MATCH: metageneration, _META_NOT_MATCH: metageneration}
    for condition, given in conditions.items():
        if not given.isdecimal():
            raise Refused(400, "invalid", f"Invalid value for: {condition}")
        if (int(given) == values[condition]) is ("Not" in condition):
            raise _failed(condition)


def _failed(condition: str) -> Refused:
    if condition in (_NOT_MATCH, _META_NOT_MATCH):
        return Refused(304, "notModified", "Not Modified")
    return Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
