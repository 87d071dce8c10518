"""From a URI to the board behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from spotkeeper_ledger.board import Board
from spotkeeper_ledger.folder import FolderBoard
from spotkeeper_ledger.s3 import S3Board


def open_board(uri: str, *, timeout: float = 2.0, region: Optional[str] = None) -> Board:
    """Return the board at ``uri``: ``s3://bucket[/prefix]`` or ``file:///folder``. Nothing is read or made yet.

    Args:
        uri: where.
        timeout: seconds that one call may take (S3), or wait for another writer (folder).
        region: of the bucket (S3); default as :class:`~spotkeeper_ledger.s3.S3Board` finds it.

    Raises:
        ValueError: the URI is of another scheme, or names no bucket or no absolute folder.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Board(parts.netloc, parts.path.strip("/"), timeout=timeout, region=region)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderBoard(Path(unquote(parts.path)), timeout)
    raise ValueError(f"uri: was {uri!r}, expected s3://bucket[/prefix] or file:///folder")
