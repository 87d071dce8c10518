"""How parts are cut into objects, and how the objects make parts again: pure functions over buffers, nothing is copied.

A body is bytes, or several buffers that follow each other: staging memory is never joined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple, Union

from spotkeeper_ledger import MalformedDocument
from spotkeeper_ledger.checkpoints import Part

Buffer = Union[bytes, bytearray, memoryview]
Loaded = Union[bytes, bytearray]
"""A part as it was loaded: bytes up to 1 MiB, beyond that a bytearray, over which tensors need no copy."""
Body = Union[bytes, bytearray, memoryview, Sequence[memoryview]]
"""What a part consists of: one buffer, or several that follow each other."""
Parts = Mapping[str, Body]
"""The parts of a checkpoint (of one rank's share of it), by name."""

PIECE_BYTES = 64 * 2**20
"""Largest object. Several are moved at once; each is one request, so that a killed upload leaves nothing half open."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Piece:
    """What goes into one object."""

    name: str
    number: int
    """Its place among the pieces of its part, from 0."""
    label: str
    """Last segment of its key: the part's name; with ``~`` and the number where the part has several."""
    views: Tuple[memoryview, ...]
    bytes: int


def check(step: int, parts: Parts) -> None:
    """Raise ``ValueError`` if this cannot be a checkpoint."""
    if step < 0:
        raise ValueError(f"step: was {step}, expected completed steps, at least 0")
    if not parts:
        raise ValueError("parts: was empty, expected at least one")
    for name in parts:
        if not _NAME.fullmatch(name):
            raise ValueError(f"parts: was {name!r}, expected a name of letters, digits, dots, hyphens and underscores")


def views_of(name: str, body: Body) -> List[memoryview]:
    """Return a body as views of its bytes.

    Raises ``ValueError`` for a buffer whose bytes do not lie one after the other.
    """
    buffers: Iterable[Buffer] = (body,) if isinstance(body, (bytes, bytearray, memoryview)) else body
    views = []
    for buffer in buffers:
        view = memoryview(buffer)
        if not view.c_contiguous:
            raise ValueError(f"parts: {name}: a buffer was strided, expected its bytes one after the other")
        if view.nbytes:
            views.append(view.cast("B"))
    return views


def cut(parts: Parts, most: int = PIECE_BYTES) -> List[Piece]:
    """Return what goes into each object, none longer than ``most`` bytes."""
    return [piece for name, body in parts.items() for piece in _pieces(name, views_of(name, body), most)]


def whole(parts: Iterable[Part]) -> Dict[int, Dict[str, List[Part]]]:
    """Return the pieces of each part in order, by rank and name.

    Raises :class:`MalformedDocument` if one is missing, or there twice.
    """
    found: Dict[int, Dict[str, List[Part]]] = {}
    for part in parts:
        found.setdefault(part.rank, {}).setdefault(part.name, []).append(part)
    for rank, names in found.items():
        for name, pieces in names.items():
            pieces.sort(key=lambda part: part.piece)
            if [part.piece for part in pieces] != list(range(len(pieces))):
                numbers = ", ".join(str(part.piece) for part in pieces)
                raise MalformedDocument(f"{name} of rank {rank}: pieces were {numbers}, expected each once")
    return found


def _pieces(name: str, views: List[memoryview], most: int) -> List[Piece]:
    groups: List[List[memoryview]] = [[]]
    room = most
    for view in views:
        at = 0
        while at < len(view):
            if not room:
                groups.append([])
                room = most
            taken = view[at : at + room]
            groups[-1].append(taken)
            at, room = at + len(taken), room - len(taken)
    several = len(groups) > 1
    return [
        Piece(name, number, f"{name}~{number}" if several else name, tuple(group), sum(map(len, group)))
        for number, group in enumerate(groups)
    ]
