"""Where a checkpoint URI's documents lie: the head, manifests, and what ranks leave for each other."""

from __future__ import annotations

from urllib.parse import urlsplit

from spotkeeper_ledger import Board, open_board


def open_documents(uri: str, *, seconds: float) -> Board:
    """Return the board at ``uri``. Nothing is read or made yet.

    Args:
        uri: ``file://``, ``s3://`` or ``gs://``.
        seconds: that one call may take.

    Raises:
        ValueError: the URI is of another scheme, or names no bucket or no absolute folder.
        MissingExtra: ``gs://`` needs a library that is not installed.
    """
    if urlsplit(uri).scheme == "gs":
        from spotkeeper_training.obstores import ObstoreBoard, open_bucket  # noqa: PLC0415 - only where it is used

        return ObstoreBoard(open_bucket(uri, seconds=seconds))
    return open_board(uri, timeout=seconds)
