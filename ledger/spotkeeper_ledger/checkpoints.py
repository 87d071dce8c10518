"""How the ranks of one generation come to one checkpoint: what each has written, and what all go on from.

Apart from :mod:`spotkeeper_ledger.documents`, because only training processes read these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Tuple

from spotkeeper_ledger.documents import Part
from spotkeeper_ledger.facts import Fact


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
