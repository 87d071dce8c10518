"""How large objects move: written from views, read into memory that is there, never held twice."""

from __future__ import annotations

from typing import Callable, Optional, Protocol, Sequence

Took = Callable[[int, int], None]
"""Told of every stretch that has arrived: first byte, end. One that begins at 0 after others begins anew."""


class Bulk(Protocol):
    """Moves objects. Its methods are called from several threads at once."""

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:
        """Write an object under a key that nobody else uses; it is whole, and it lasts, when this returns.

        Raises:
            Unavailable: not within ``seconds``, or the store has no room.
            Denied: it may not be written.
        """

    def download(self, key: str, into: memoryview, took: Took, *, seconds: float) -> Optional[int]:
        """Fill ``into`` with an object, and return the object's length; ``None`` where there is none.

        Nothing is read of an object of another length. Raises :class:`Unavailable` and :class:`Denied` as above.
        """

    def settle(self, folder: str) -> None:
        """Make the names of what was uploaded below ``folder`` last as well."""

    def discard(self, folder: str) -> None:
        """Take away half a checkpoint that nothing names, where that is easily done; raises nothing."""

    def vacate(self, folder: str) -> None:
        """Take away a folder whose objects were deleted, where that is something; raises nothing."""
