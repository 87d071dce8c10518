"""A checkpoint: its parts, which one is the latest, and how the ranks of one generation come to one.

These documents lie under a checkpoint URI. They are apart from :mod:`spotkeeper_ledger.documents`, because the function
reads none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact


@dataclass(frozen=True, eq=False, repr=False)
class Part(Fact):
    """One object of a checkpoint; parts are never overwritten.

    A part that is too large for one object is several of them, with one name and rising ``piece``.
    """

    name: str
    key: str
    """Relative to the checkpoint URI."""
    bytes: int
    crc32: Optional[int] = None
    crc32c: Optional[int] = None
    """One of the two sums is there."""
    rank: int = 0
    """The rank that wrote it."""
    piece: int = 0
    """Its place among the objects of this name and rank, from 0."""


@dataclass(frozen=True, eq=False, repr=False)
class Manifest(Fact):
    """``manifests/…json`` under a checkpoint URI: the parts of one whole checkpoint."""

    VERSION: ClassVar[int] = 1

    generation: int
    step: int
    at: float
    parts: Tuple[Part, ...]
    world_size: int = 1
    """How many ranks wrote it."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Head(Fact):
    """``head.json`` under a checkpoint URI: what is latest, and which generation alone may change it."""

    VERSION: ClassVar[int] = 1

    generation: int
    step: Optional[int] = None
    manifest: Optional[str] = None
    previous: Optional[str] = None
    """Key of the manifest before this one: what ``load`` falls back to."""
    session: str = ""
    """Random: the process of rank 0 that publishes for several ranks. Empty where one rank is all."""
    revision: int = 0
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Shard(Fact):
    """``shards/…json``: the parts of one rank are written, and wait for those of the others."""

    VERSION: ClassVar[int] = 1

    generation: int
    step: int
    rank: int
    world_size: int
    process: str
    """Random, one for each store that was opened."""
    parts: Tuple[Part, ...]
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Fact):
    """``loads/…json``: whether one rank has found whole what it needs of a checkpoint."""

    VERSION: ClassVar[int] = 1

    rank: int
    process: str
    problem: str = ""
    """Empty where it is whole."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Decision(Fact):
    """``loads/…/decision.json``: whether all ranks go on from a checkpoint. Written by rank 0."""

    VERSION: ClassVar[int] = 1

    problem: str
    """Empty where they do."""
    processes: Tuple[str, ...]
    """Those whose verdicts it rests on; others must not follow it."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
