"""A board in a local folder: for laptops, tests and shared disks that honour ``flock``."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

from spotkeeper_ledger.board import ANY, Conflict, Denied, Entry, Expected, Stored, Unavailable

_HIDDEN = ".spotkeeper"


class FolderBoard:
    """Objects are files. A write is on disk (file, then folder) when it returns, and whole or absent at any moment.

    A file's version is its inode with its size and time of writing: each write makes a new file, so equal bodies have
    different versions.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""
        try:
            with self._path(key).open("rb") as file:
                return Stored(file.read(), _version(os.fstat(file.fileno())))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Denied(f"{key}: {error}") from None
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None``."""
        if self._current(self._path(key)) in (version, None):
            return None
        return self.read(key)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; raises :class:`Conflict` where it is not."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                if expect is not ANY and self._current(path) != expect:
                    raise Conflict(f"{key}: expected {expect or 'no object'}, found {self._current(path) or 'none'}")
                return self._replace(path, body)
        except PermissionError as error:
            raise Denied(f"{key}: {error}") from None
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        top = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self._root
        found: List[Entry] = []
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if name.startswith(_HIDDEN) or not key.startswith(prefix):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                found.append(Entry(key, _version(status), status.st_size, status.st_mtime))
        return iter(sorted(found, key=lambda entry: entry.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        top = self._path(prefix.rstrip("/"))
        return iter(sorted(path.name for path in top.iterdir() if path.is_dir()) if top.is_dir() else [])

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        try:
            with self._locked():
                self._path(key).unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def _path(self, key: str) -> Path:
        if key.startswith("/") or ".." in key.split("/"):
            raise ValueError(f"key: was {key!r}, expected a path inside the board")
        return self._root / key

    def _current(self, path: Path) -> Optional[str]:
        try:
            return _version(path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _replace(self, path: Path, body: bytes) -> str:
        handle, partial = tempfile.mkstemp(prefix=_HIDDEN + "-part-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
                version = _version(os.fstat(file.fileno()))
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return version

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / (_HIDDEN + "-lock")).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go of it when its holder dies
            yield


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
