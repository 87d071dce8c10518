"""Who calls what: how often which caller has called which operation."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping

UNKNOWN = "unknown"
"""Caller of a request that does not say whose it is."""


class CallCounter:
    """How often which caller has called which operation."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def add(self, caller: str, operation: str) -> None:
        """Count one call."""
        with self._lock:
            self._counts[caller][operation] += 1

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Return the counts so far: caller to operation to number."""
        with self._lock:
            return {caller: dict(counts) for caller, counts in self._counts.items()}
