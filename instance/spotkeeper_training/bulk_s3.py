"""Large objects in S3 on the standard library: one request each, from the caller's memory and into it."""

from __future__ import annotations

from typing import Optional, Sequence

from spotkeeper_ledger import Board
from spotkeeper_ledger.s3 import S3Board
from spotkeeper_training.bulk import Took


class S3Bulk:
    """Objects of a bucket. A killed upload leaves nothing: there is no multipart upload that would have to be ended."""

    def __init__(self, board: Board) -> None:
        assert isinstance(board, S3Board)  # noqa: S101 - that is what an s3:// URI opens
        self._board = board

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:
        """Put an object."""
        self._board.upload(key, views, timeout=seconds)

    def download(self, key: str, into: memoryview, took: Took, *, seconds: float) -> Optional[int]:
        """Fill ``into`` with an object, and return its length."""
        return self._board.download(key, into, took, timeout=seconds)

    def settle(self, folder: str) -> None:
        """Do nothing: an object that was put lasts."""

    def discard(self, folder: str) -> None:
        """Do nothing: a bucket that has just failed would take long, and what is left is deleted after the grace."""

    def vacate(self, folder: str) -> None:
        """Do nothing: a bucket has no folders."""
