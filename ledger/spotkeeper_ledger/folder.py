"""A board in a local folder: for laptops, tests and shared disks that honour ``flock``."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator, List, Optional, Tuple

from spotkeeper_ledger.board import ANY, Conflict, Denied, Entry, Expected, Stored, Unavailable

_HIDDEN = ".spotkeeper"
_PAUSE_SECONDS = 0.002


class FolderBoard:
    """Objects are files. A write is on disk (file, then folder) when it returns, and whole or absent at any moment.

    A file's version is its inode with its size and time of writing: each write makes a new file, so equal bodies have
    different versions.

    Args:
        root: the folder; made with the first write.
        timeout: seconds that a write may wait for another writer, who may have been stopped in the middle of one.
    """

    def __init__(self, root: Path, timeout: float = 2.0) -> None:
        self._root, self._timeout = root, timeout

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
            self._make(path.parent)
            with _prepared(path.parent, body) as (partial, version), self._locked():
                if expect is not ANY and self._current(path) != expect:
                    raise Conflict(f"{key}: expected {expect or 'no object'}, found {self._current(path) or 'none'}")
                partial.replace(path)
                _sync_folder(path.parent)
                return version
        except PermissionError as error:
            raise Denied(f"{key}: {error}") from None
        except OSError as error:
            raise Unavailable(f"{key}: {error}") from None

    def within(self, seconds: float) -> FolderBoard:
        """Return this board with writes that may wait so many seconds at most."""
        return FolderBoard(self._root, min(self._timeout, seconds))

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

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each on disk before something is put into it."""
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make(self._root)
        give_up_at = time.monotonic() + self._timeout
        with (self._root / (_HIDDEN + "-lock")).open("a") as lock:
            while not _try_lock(lock):  # the kernel lets go of it when its holder dies, but not when that is stopped
                if time.monotonic() > give_up_at:
                    raise Unavailable(f"{self._root}: another writer has held the lock for {self._timeout} s")
                time.sleep(_PAUSE_SECONDS)
            yield


@contextmanager
def _prepared(folder: Path, body: bytes) -> Iterator[Tuple[Path, str]]:
    """A new file with ``body``, on disk, and its version. Written before the lock is taken, so that nobody waits."""
    handle, name = tempfile.mkstemp(prefix=_HIDDEN + "-part-", dir=folder)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            version = _version(os.fstat(file.fileno()))
        yield partial, version
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
