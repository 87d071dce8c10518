"""Where a checkpoint URI's documents lie: the head, manifests, and what ranks leave for each other."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Iterable, Iterator, Optional
from urllib.parse import urlsplit

from spotkeeper_ledger import Board, Entry, Stored, Unavailable, open_board
from spotkeeper_ledger.board import Expected


def open_documents(uri: str, *, seconds: float) -> Documents:
    """Return the documents at ``uri``. Nothing is read or made yet.

    Args:
        uri: ``file://``, ``s3://`` or ``gs://``.
        seconds: that one call may take.

    Raises:
        ValueError: the URI is of another scheme, or names no bucket or no absolute folder.
        MissingExtra: ``gs://`` needs a library that is not installed.
    """
    if urlsplit(uri).scheme == "gs":
        from spotkeeper_training.obstores import ObstoreBoard, open_bucket  # noqa: PLC0415 - only where it is used

        return Documents(ObstoreBoard(open_bucket(uri, seconds=seconds)))
    return Documents(open_board(uri, timeout=seconds))


class Documents:
    """A board, of which no call outlasts the deadline that is set."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._deadline: Optional[float] = None

    @contextmanager
    def until(self, deadline: Optional[float]) -> Iterator[None]:
        """Let every call within end by ``deadline`` (monotonic seconds); ``None`` is no limit but a call's own."""
        self._deadline = deadline
        try:
            yield
        finally:
            self._deadline = None

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""
        return self._now(key).read(key)

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None`` (also where it is gone)."""
        return self._now(key).read_changed(key, version)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``, and return its new version."""
        return self._now(key).write(key, body, expect=expect)

    def list(self, prefix: str) -> Iterable[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        return self._now(prefix).list(prefix)

    def list_folders(self, prefix: str) -> Iterable[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        return self._now(prefix).list_folders(prefix)

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self._now(key).delete(key)

    def _now(self, key: str) -> Board:
        if self._deadline is None:
            return self._board
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Unavailable(f"{key}: no time is left for it")
        within = getattr(self._board, "within", None)
        hurried: Board = within(left) if within else self._board
        return hurried
