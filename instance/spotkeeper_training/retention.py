"""Which checkpoints may go: a pure decision."""

from __future__ import annotations

import re
from typing import Iterable, List

from spotkeeper_ledger import Entry, Head

_MANIFEST = re.compile(r"manifests/g(\d+)-s\d+-[0-9a-f]+\.json")


def expendable(manifests: Iterable[Entry], head: Head, keep: int) -> List[str]:
    """Return the keys of the manifests that the holder of ``head.generation`` may delete, oldest first.

    Never those that ``head`` names, never one of a later generation (the listing may be newer than the head), never
    what does not look like a manifest.

    Args:
        manifests: what lies under ``manifests/``.
        head: as the caller has just published it.
        keep: how many checkpoints stay in all; the two that the head names always do.
    """
    own = [entry for entry in manifests if _generation(entry.key) <= head.generation]
    rest = [entry for entry in own if entry.key not in (head.manifest, head.previous)]
    rest.sort(key=lambda entry: (entry.modified_at, entry.key))
    spared = max(0, keep - 2)
    return [entry.key for entry in rest[: max(0, len(rest) - spared)]]


def _generation(key: str) -> float:
    found = _MANIFEST.fullmatch(key)
    return int(found.group(1)) if found else float("inf")
