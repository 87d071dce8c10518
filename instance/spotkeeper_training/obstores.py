"""Google Cloud Storage through obstore: documents by conditional writes, large objects from the caller's memory.

Of the two conditions that GCS knows, object generations are used: ``x-goog-if-generation-match``.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Dict, Iterator, Optional, Sequence
from urllib.parse import urlsplit

from spotkeeper_ledger import ABSENT, ANY, Conflict, Denied, Entry, Stored, Unavailable
from spotkeeper_ledger.board import Expected
from spotkeeper_training.bulk import Took
from spotkeeper_training.errors import MissingExtra

_CHUNK = 2**20


def open_bucket(uri: str, *, seconds: float) -> Any:
    """Return obstore's handle of ``gs://bucket[/prefix]``. Its credentials and settings come from the environment.

    Args:
        uri: where.
        seconds: that one request may take, and its retries besides.

    Raises:
        ValueError: the URI names no bucket.
        MissingExtra: obstore is not installed.
    """
    parts = urlsplit(uri)
    if not parts.netloc:
        raise ValueError(f"uri: was {uri!r}, expected gs://bucket[/prefix]")
    try:
        from obstore.store import GCSStore  # noqa: PLC0415 - only where it is used
    except ImportError:
        raise MissingExtra("obstore") from None
    span = timedelta(seconds=seconds)
    return GCSStore(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={"timeout": span, "allow_http": True},
        retry_config={"retry_timeout": span},
    )


class ObstoreBoard:
    """Documents in a bucket. A version is the object's generation."""

    def __init__(self, bucket: Any) -> None:
        self._bucket, self._obstore = bucket, importlib.import_module("obstore")

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""
        with _told(key):
            try:
                found = self._obstore.get(self._bucket, key)
                return Stored(bytes(found.bytes()), _version(found.meta))
            except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
                return None

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None`` (also where it is gone)."""
        found = self.read(key)
        return found if found and found.version != version else None

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``; raises :class:`Conflict` where it is not."""
        mode: Any = {"version": str(expect)}
        if expect is ABSENT or expect is ANY:
            mode = "create" if expect is ABSENT else "overwrite"
        with _told(key):
            try:
                return _version(self._obstore.put(self._bucket, key, body, mode=mode, use_multipart=False))
            except (self._obstore.exceptions.AlreadyExistsError, self._obstore.exceptions.PreconditionError):
                raise Conflict(f"{key}: expected {expect or 'no object'}, somebody else wrote first") from None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""
        found = []
        with _told(prefix):
            # A folder is all that can be asked for.
            for page in self._obstore.list(self._bucket, prefix.rpartition("/")[0] or None):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        at = meta["last_modified"].timestamp()
                        found.append(Entry(meta["path"], _version(meta), meta["size"], at))
        return iter(sorted(found, key=lambda entry: entry.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""
        return iter(
            sorted({e.key[len(prefix) :].split("/")[0] for e in self.list(prefix) if "/" in e.key[len(prefix) :]})
        )

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        with _told(key):
            try:
                self._obstore.delete(self._bucket, key)
            except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
                return


class ObstoreBulk:
    """Large objects in a bucket, one request each. A transfer ends at the bucket's own time-out, not before."""

    def __init__(self, bucket: Any) -> None:
        self._bucket, self._obstore = bucket, importlib.import_module("obstore")

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:  # noqa: ARG002
        """Put an object."""
        body: Any = views[0] if len(views) == 1 else b"".join(views)
        with _told(key):
            self._obstore.put(self._bucket, key, body, use_multipart=False)

    def download(
        self,
        key: str,
        into: memoryview,
        took: Took,
        *,
        seconds: float,  # noqa: ARG002
    ) -> Optional[int]:
        """Fill ``into`` with an object, and return its length."""
        with _told(key):
            try:
                found = self._obstore.get(self._bucket, key)
            except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
                return None
            size = int(found.meta["size"])
            if size != len(into):
                return size
            at = 0
            for chunk in found.stream(min_chunk_size=_CHUNK):
                end = at + len(chunk)
                into[at:end] = memoryview(chunk)
                took(at, end)
                at = end
            return at

    def settle(self, folder: str) -> None:
        """Do nothing: an object that was put lasts."""

    def discard(self, folder: str) -> None:
        """Do nothing: a bucket that has just failed would take long, and what is left is deleted after the grace."""

    def vacate(self, folder: str) -> None:
        """Do nothing: a bucket has no folders."""


def _version(meta: Dict[str, Any]) -> str:
    return str(meta["version"])


@contextmanager
def _told(key: str) -> Iterator[None]:
    """Raise what obstore raises as what a board raises."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - as above

    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Denied(f"{key}: {_first_line(error)}") from None
    except (BaseError, OSError) as error:
        raise Unavailable(f"{key}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
