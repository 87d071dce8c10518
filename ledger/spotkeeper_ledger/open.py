"""From a URI to the board behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from spotkeeper_ledger.board import Board


def open_board(
    uri: str, *, timeout: float = 2.0, region: Optional[str] = None, most_bytes: Optional[int] = None
) -> Board:
    """Return the board at ``uri``; nothing is read or made yet.

    Args:
        uri: ``s3://bucket[/prefix]``, ``gs://bucket[/prefix]`` or ``file:///folder``.
        timeout: seconds that one call may take (a bucket), or wait for another writer (folder).
        region: of the bucket (S3); default as :class:`~spotkeeper_ledger.s3.S3Board` finds it.
        most_bytes: of a longer object only the beginning is read, one byte more than this (buckets); default any.

    Raises:
        ValueError: the URI is of another scheme, or names no bucket or no absolute folder.
    """
    # Each board is imported where it is opened: commands that open none start in half the time.
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        from spotkeeper_ledger.s3 import S3Board  # noqa: PLC0415

        return S3Board(parts.netloc, parts.path.strip("/"), timeout=timeout, region=region, most_bytes=most_bytes)
    if parts.scheme == "gs" and parts.netloc:
        from spotkeeper_ledger.gcs import GcsBoard  # noqa: PLC0415

        return GcsBoard(parts.netloc, parts.path.strip("/"), timeout=timeout, most_bytes=most_bytes)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        from spotkeeper_ledger.folder import FolderBoard  # noqa: PLC0415

        return FolderBoard(Path(unquote(parts.path)), timeout)
    raise ValueError(f"uri: was {uri!r}, expected s3://bucket[/prefix], gs://bucket[/prefix] or file:///folder")
