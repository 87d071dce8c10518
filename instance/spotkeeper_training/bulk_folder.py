"""Large objects in a local folder: each file is on disk before its folder is, and its folder before it is named."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator, Optional, Sequence, Set, Tuple

from spotkeeper_ledger import Denied, Unavailable
from spotkeeper_training.bulk import Took

_BLOCK, _STRETCH = 2**20, 2**23


class FolderBulk:
    """Files below ``root``. No name is used twice, so they are written in place: nobody knows of them yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: Set[Path] = set()

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:
        """Write a file, and have it on disk."""
        path = self._root / key
        give_up_at = time.monotonic() + seconds
        try:
            self._make(path.parent)
            with path.open("xb", _BLOCK) as file:
                for at, view in _stretches(views):
                    file.write(view)
                    _check_time(key, at, give_up_at)
                file.flush()
                os.fsync(file.fileno())
        except PermissionError as error:
            raise Denied(f"{key}: {error}") from None
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def download(self, key: str, into: memoryview, took: Took, *, seconds: float) -> Optional[int]:
        """Fill ``into`` with a file, and return the file's length."""
        give_up_at = time.monotonic() + seconds
        try:
            with (self._root / key).open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                at = 0
                while size == len(into) and at < size:
                    count = file.readinto(into[at : at + _BLOCK])
                    if not count:
                        return at  # it shrinks while it is read
                    took(at, at + count)
                    at += count
                    _check_time(key, at, give_up_at)
                return size
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Denied(f"{key}: {error}") from None
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def settle(self, folder: str) -> None:
        """Have the folder's entries on disk, and those of the folders that were made for it."""
        try:
            _sync(self._root / folder)
            for made in sorted(self._made, reverse=True):
                _sync(made.parent)
            self._made.clear()
        except OSError as error:
            raise Unavailable(f"{folder}: {error}") from None

    def discard(self, folder: str) -> None:
        """Remove a folder: on a full disk the next save would find no room beside half of this one."""
        shutil.rmtree(self._root / folder, ignore_errors=True)

    def vacate(self, folder: str) -> None:
        """Remove a folder if it is empty, and the one above it if that is empty too."""
        with suppress(OSError):
            (self._root / folder).rmdir()
            if folder.count("/") > 1:
                (self._root / folder).parent.rmdir()

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._made.add(folder)


def _stretches(views: Sequence[memoryview]) -> Iterator[Tuple[int, memoryview]]:
    """``views`` in stretches, each with how much went before."""
    done = 0
    for view in views:
        for at in range(0, len(view), _STRETCH):
            yield done, view[at : at + _STRETCH]
            done += _STRETCH


def _check_time(key: str, done: int, give_up_at: float) -> None:
    if time.monotonic() > give_up_at:
        raise Unavailable(f"{key}: time was up after {done} bytes")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
