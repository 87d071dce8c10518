"""Which checkpoints may go, and what was left behind by writers that died: pure decisions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import AbstractSet, Dict, Iterable, List, Optional, Tuple, Union

from spotkeeper_ledger import Entry
from spotkeeper_ledger.checkpoints import Head

_MANIFEST = re.compile(r"manifests/g(\d+)-s(\d+)-[0-9a-f]+\.json")
_REMAINS = re.compile(r"(?:parts|shards|loads)/g(\d+)-(?:s(\d+)-)?[^/]+/.+")
_NOBODY = float("inf")


@dataclass(frozen=True)
class Retention:
    """What is kept besides the latest checkpoint, the one before it, and those that were pinned.

    Args:
        last: how many of the latest checkpoints, at least 2.
        every_steps: also each whose step is a multiple of this, for good; default none.
        grace_seconds: what no checkpoint names is deleted at this age: half a checkpoint whose writer died. Longer than
            any upload takes; default an hour.

    Raises ``ValueError`` for a number that cannot be used.
    """

    last: int = 2
    every_steps: Optional[int] = None
    grace_seconds: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse what would delete too much."""
        if self.last < 2:
            raise ValueError(f"keep: was {self.last}, expected at least 2: the latest and the one to fall back to")
        if self.every_steps is not None and self.every_steps < 1:
            raise ValueError(f"every_steps: was {self.every_steps}, expected at least 1")
        if self.grace_seconds < 0:
            raise ValueError(f"grace_seconds: was {self.grace_seconds}, expected at least 0")


def retention_of(keep: Union[int, Retention]) -> Retention:
    """Return ``keep``, of which a number means the latest so many."""
    return keep if isinstance(keep, Retention) else Retention(keep)


def expendable(
    manifests: Iterable[Entry], head: Head, keep: Union[int, Retention], pinned: AbstractSet[str] = frozenset()
) -> List[str]:
    """Return the keys of the manifests that the holder of ``head.generation`` may delete, oldest first.

    Never those that ``head`` names or that are pinned, never one of a later generation (the listing may be newer than
    the head), never what does not look like a manifest.

    Args:
        manifests: what lies under ``manifests/``.
        head: as the caller has just published it.
        keep: which checkpoints stay; a number is the latest so many. The two that the head names always do.
        pinned: keys of manifests that stay.
    """
    retention = retention_of(keep)
    own = [entry for entry in manifests if _place(entry.key)[0] <= head.generation]
    rest = [entry for entry in own if entry.key not in (head.manifest, head.previous) and entry.key not in pinned]
    rest = [entry for entry in rest if not _is_milestone(entry.key, retention.every_steps)]
    rest.sort(key=lambda entry: (entry.modified_at, entry.key))
    spared = retention.last - 2
    return [entry.key for entry in rest[: max(0, len(rest) - spared)]]


def orphans(
    entries: Iterable[Entry], named: AbstractSet[str], unclear: Iterable[str], head: Head, older_than: float
) -> List[str]:
    """Return the keys of what no checkpoint names and the holder of ``head.generation`` may delete.

    Args:
        entries: what lies under ``parts/``, ``shards/`` and ``loads/``; listed before the manifests were.
        named: keys that manifests name.
        unclear: keys of manifests that could not be read: what may be theirs stays.
        head: as the caller has just published it. What is of its generation, and of its step or a later one, stays.
        older_than: by the store's own clock. What lies in one folder goes together, as old as the youngest of it:
            younger ones may be on their way into a checkpoint.
    """
    found = [*entries]
    touched: Dict[str, float] = {}
    for entry in found:
        folder = entry.key.rpartition("/")[0]
        touched[folder] = max(touched.get(folder, 0.0), entry.modified_at)
    spared = tuple(f"parts/{key[len('manifests/') :].rpartition('-')[0]}-" for key in unclear)
    return [
        entry.key
        for entry in found
        if touched[entry.key.rpartition("/")[0]] < older_than
        and entry.key not in named
        and not entry.key.startswith(spared)
        and _is_past(entry.key, head)
    ]


def _is_milestone(key: str, every_steps: Optional[int]) -> bool:
    return every_steps is not None and _place(key)[1] % every_steps == 0


def _place(key: str) -> Tuple[float, int]:
    """Return a manifest's generation and step."""
    found = _MANIFEST.fullmatch(key)
    return (int(found.group(1)), int(found.group(2))) if found else (_NOBODY, 0)


def _is_past(key: str, head: Head) -> bool:
    """Whether it can belong to no save that is still to be published, whatever clocks say."""
    found = _REMAINS.fullmatch(key)
    if not found or int(found.group(1)) > head.generation:
        return False
    of_this = int(found.group(1)) == head.generation and found.group(2) is not None and head.step is not None
    return not of_this or int(found.group(2)) < (head.step or 0)
