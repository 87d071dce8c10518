"""A secret with an end, such as an access token: kept while it holds, and replaced before it ends."""

from __future__ import annotations

import threading
import time
from typing import Callable, Generic, Optional, Tuple, TypeVar

from spotkeeper_ledger.board import Denied, Unavailable

REFRESH_SECONDS = 300
"""New ones are fetched this long before the old one ends; clouds have them ready at least five minutes ahead."""
RETRY_SECONDS = 5
"""Pause after a refresh that failed while the old one still holds."""

T = TypeVar("T")


class Renewed(Generic[T]):
    """Gives what is valid at any time, to any thread.

    Args:
        fetch: returns a new one and when it ends, Unix seconds; raises :class:`Denied` or :class:`Unavailable`.
    """

    def __init__(self, fetch: Callable[[], Tuple[T, float]]) -> None:
        self._fetch = fetch
        self._held: Optional[T] = None
        self._expires_at = 0.0
        self._refresh_at = 0.0
        self._lock = threading.Lock()

    def get(self) -> T:
        """Return what is valid now; raises what ``fetch`` raises where nothing is held that still holds."""
        with self._lock:
            now = time.time()
            if self._held is None or now >= self._refresh_at:
                self._refresh(now)
            assert self._held is not None  # noqa: S101 - _refresh raises otherwise; this tells the type checker
            return self._held

    def _refresh(self, now: float) -> None:
        try:
            self._held, self._expires_at = self._fetch()
        except (Unavailable, Denied):
            if self._held is None or now >= self._expires_at:
                raise
            self._refresh_at = now + RETRY_SECONDS
        else:
            self._refresh_at = max(self._expires_at - REFRESH_SECONDS, now + RETRY_SECONDS)
