"""The board: a handful of objects that all parts read, and write only if nobody else has in between.

Versions are opaque strings (an S3 ETag, a GCS generation, a digest of a file). A write names the version that it was
decided on;
if the object has another one by then, the write is lost, and the loser reads and decides again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional, Protocol, Union

from spotkeeper_ledger.facts import Fact


class BoardError(Exception):
    """Base of everything a board can raise."""


class Conflict(BoardError):
    """The object was not at the expected version: somebody else wrote first. Nothing was written."""


class Unavailable(BoardError):
    """The board did not answer in time, or answered with a fault of its own. Whether a write took effect is unknown."""


class Denied(BoardError):
    """The credentials may not do this, or there are none."""


@dataclass(frozen=True, eq=False, repr=False)
class Stored(Fact):
    """An object's body, and the version it was read at."""

    body: bytes
    version: str


@dataclass(frozen=True, eq=False, repr=False)
class Entry(Fact):
    """An object in a listing. ``modified_at`` is Unix seconds by the store's clock."""

    key: str
    version: str
    bytes: int
    modified_at: float


class _Any:
    """Sentinel type of :data:`ANY`."""

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()
"""Write whatever the object's version is."""
ABSENT = None
"""Write only if there is no such object."""

Expected = Union[str, None, _Any]


class Board(Protocol):
    """Read, write-if-version, list and delete.

    Every call raises :class:`Unavailable` rather than wait beyond its timeout.
    """

    def read(self, key: str) -> Optional[Stored]:
        """Return the object, or ``None`` where there is none."""

    def read_changed(self, key: str, version: str) -> Optional[Stored]:
        """Return the object if its version is no longer ``version``, else ``None`` (also where it is gone)."""

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        """Write ``body`` if the object is at version ``expect``, and return its new version.

        ``ABSENT`` writes only a new object, ``ANY`` always. Raises :class:`Conflict` where it is not.
        """

    def list(self, prefix: str) -> Iterable[Entry]:
        """Every object whose key starts with ``prefix``, in key order."""

    def list_folders(self, prefix: str) -> Iterable[str]:
        """Names of the folders directly below ``prefix``, which ends in ``/``."""

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
