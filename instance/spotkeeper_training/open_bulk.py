"""What moves large objects, for a URI."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from spotkeeper_ledger import open_board
from spotkeeper_training.bulk import Bulk


def open_bulk(uri: str, *, seconds: float) -> Bulk:
    """Return what moves objects to and from ``uri``; nothing is read or made yet.

    Args:
        uri: ``file://``, ``s3://`` or ``gs://``.
        seconds: the longest that one object may take.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        from spotkeeper_training.bulk_folder import FolderBulk  # noqa: PLC0415 - only the one that is used

        return FolderBulk(Path(unquote(parts.path)))
    if parts.scheme == "gs":
        from spotkeeper_training.obstores import ObstoreBulk, open_bucket  # noqa: PLC0415 - as above

        return ObstoreBulk(open_bucket(uri, seconds=seconds))
    from spotkeeper_training.bulk_s3 import S3Bulk  # noqa: PLC0415 - as above

    return S3Bulk(open_board(uri, timeout=seconds))
