"""Checksums of parts: CRC-32C by the processor's own instruction where the library is there, else CRC-32.

Small parts take CRC-32 from the standard library in any case: nothing has to be imported for them.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Callable, Iterable, Optional

from spotkeeper_training.errors import MissingExtra

CRC32, CRC32C = "crc32", "crc32c"
SMALL_BYTES = 2**20
"""Up to here the standard library's sum is as good."""
_BLOCK = 2**18

Extend = Callable[[int, memoryview], int]


def best(total: int) -> str:
    """Return which sum to take for ``total`` bytes."""
    return CRC32C if total > SMALL_BYTES and _crc32c() is not None else CRC32


def extend(kind: str, value: int, view: memoryview) -> int:
    """Return the sum over what ``value`` is the sum of, and ``view`` after it.

    Raises :class:`MissingExtra` for CRC-32C where its library is not installed.
    """
    if kind == CRC32:
        return zlib.crc32(view, value)
    fast = _crc32c()
    if fast is None:
        raise MissingExtra("google-crc32c")
    return fast(value, view)


def of(kind: str, views: Iterable[memoryview]) -> int:
    """Return the sum over several buffers that follow each other."""
    value = 0
    for view in views:
        value = extend(kind, value, view)
    return value


@lru_cache(maxsize=1)
def _crc32c() -> Optional[Extend]:
    try:
        import google_crc32c  # noqa: PLC0415 - large parts only
    except ImportError:
        return None
    if google_crc32c.implementation != "c":
        return None  # in Python it would be slower than any disk

    def extended(value: int, view: memoryview) -> int:
        # The library takes nothing but bytes; a copy of this size does not leave the processor's cache.
        for at in range(0, len(view), _BLOCK):
            value = google_crc32c.extend(value, bytes(view[at : at + _BLOCK]))
        return value

    return extended
