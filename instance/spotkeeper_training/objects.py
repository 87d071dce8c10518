"""The objects of one checkpoint: parts, then a manifest; verified as they are read, deleted the other way round."""

from __future__ import annotations

import time
from functools import partial
from typing import Dict, Optional, Sequence, Set, Tuple

from spotkeeper_ledger import ABSENT, Board, MalformedDocument, Unavailable, dump, load
from spotkeeper_ledger.checkpoints import Manifest, Part
from spotkeeper_training import sums
from spotkeeper_training.bulk import Bulk
from spotkeeper_training.crew import Crew
from spotkeeper_training.pieces import PIECE_BYTES, Body, Loaded, Parts, Piece, cut, whole

__all__ = ["MANIFESTS", "PARTS", "Body", "Loaded", "Objects", "Parts"]

MANIFESTS, PARTS = "manifests/", "parts/"
SMALL_BYTES = 2**20
"""Up to here objects are moved one after the other: that is done before a thread has started."""


class Objects:
    """Reads and writes checkpoints, of which a manifest's key is the name. What is latest is not known here.

    Args:
        board: where manifests go.
        bulk: what moves parts to and from the same place.
        seconds: how long one object may take.
    """

    def __init__(self, board: Board, bulk: Bulk, seconds: float) -> None:
        self._board, self._bulk, self._seconds = board, bulk, seconds
        self._crew, self._piece_bytes = Crew(), PIECE_BYTES

    def write_parts(self, folder: str, rank: int, parts: Parts, deadline: Optional[float] = None) -> Tuple[Part, ...]:
        """Write the parts of one rank below ``folder``, and return what names them. They last when this returns.

        Args:
            folder: whose name nobody else uses.
            rank: whose they are.
            parts: name to body.
            deadline: on the monotonic clock; default none.

        Raises:
            ValueError: a buffer cannot be used.
            Unavailable: the store does not answer. What was written already is named by nobody.
        """
        pieces = cut(parts, self._piece_bytes)
        total = sum(piece.bytes for piece in pieces)
        kind = sums.best(total)
        tasks = [partial(self._write, folder, rank, piece, kind, deadline) for piece in pieces]
        try:
            written = [task() for task in tasks] if total <= SMALL_BYTES else self._crew.run(tasks)
            self._bulk.settle(folder)
        except BaseException:
            self._bulk.discard(folder)
            raise
        return tuple(written)

    def write_manifest(self, name: str, manifest: Manifest) -> str:
        """Write a manifest, and return its key."""
        key = f"{MANIFESTS}{name}.json"
        self._board.write(key, dump(manifest), expect=ABSENT)
        return key

    def manifest(self, key: str) -> Manifest:
        """Return a manifest.

        Raises :class:`MalformedDocument` if it is missing or damaged.
        """
        found = self._board.read(key)
        if found is None:
            raise MalformedDocument(f"{key}: is missing")
        try:
            return load(Manifest, found.body)
        except MalformedDocument as error:
            raise MalformedDocument(f"{key}: {error}") from None

    def check_sizes(self, manifest: Manifest) -> None:
        """Raise :class:`MalformedDocument` unless every object is there with its size; none is read."""
        name = f"{PARTS}g{manifest.generation}-s{manifest.step}-"
        there = {entry.key: entry.bytes for entry in self._board.list(name)}
        for part in manifest.parts:
            _check_size(part, there.get(part.key))

    def read(self, manifest: Manifest, ranks: Optional[Set[int]] = None) -> Dict[int, Dict[str, Loaded]]:
        """Return the parts of some ranks (default: of all), every byte verified as it arrives.

        Raises:
            MalformedDocument: one is missing or damaged.
            MissingExtra: their sum needs a library that is not installed.
        """
        wanted = [part for part in manifest.parts if ranks is None or part.rank in ranks]
        shards = {rank: dict(names) for rank, names in whole(wanted).items()}
        bodies = {
            rank: {name: bytearray(sum(piece.bytes for piece in pieces)) for name, pieces in names.items()}
            for rank, names in shards.items()
        }
        tasks = []
        for rank, names in shards.items():
            for name, pieces in names.items():
                room = memoryview(bodies[rank][name])
                for piece in pieces:
                    tasks.append(partial(self._read, piece, room[: piece.bytes]))
                    room = room[piece.bytes :]
        if sum(part.bytes for part in wanted) <= SMALL_BYTES:
            for task in tasks:
                task()
        else:
            self._crew.run(tasks)
        return {rank: {name: _handy(body) for name, body in names.items()} for rank, names in bodies.items()}

    def delete(self, key: str) -> None:
        """Delete a checkpoint: the manifest first, so that nothing names a part that is gone."""
        try:
            parts = [part.key for part in self.manifest(key).parts]
        except MalformedDocument:
            parts = []
        self._board.delete(key)
        self.delete_objects(parts)

    def delete_objects(self, keys: Sequence[str]) -> None:
        """Delete objects that nothing names."""
        self._crew.run([partial(self._board.delete, key) for key in keys])
        for folder in {key.rpartition("/")[0] for key in keys}:
            self._bulk.vacate(folder)

    def _write(self, folder: str, rank: int, piece: Piece, kind: str, deadline: Optional[float]) -> Part:
        key = f"{folder}/{piece.label}"
        value = sums.of(kind, piece.views)
        self._bulk.upload(key, piece.views, seconds=self._left(key, deadline))
        crc32, crc32c = (value, None) if kind == sums.CRC32 else (None, value)
        return Part(piece.name, key, piece.bytes, crc32, crc32c, rank, piece.number)

    def _read(self, part: Part, into: memoryview) -> None:
        kind = sums.CRC32 if part.crc32 is not None else sums.CRC32C
        value = 0

        def took(begin: int, end: int) -> None:
            nonlocal value
            value = sums.extend(kind, value if begin else 0, into[begin:end])

        _check_size(part, self._bulk.download(part.key, into, took, seconds=self._seconds))
        if value != (part.crc32 if part.crc32 is not None else part.crc32c):
            raise MalformedDocument(f"{part.key}: its bytes are not those that were written")

    def _left(self, key: str, deadline: Optional[float]) -> float:
        if deadline is None:
            return self._seconds
        left = min(self._seconds, deadline - time.monotonic())
        if left <= 0:
            raise Unavailable(f"{key}: no time is left for it")
        return left


def _check_size(part: Part, found: Optional[int]) -> None:
    if found is None:
        raise MalformedDocument(f"{part.key}: is missing")
    if found != part.bytes:
        raise MalformedDocument(f"{part.key}: was {found} bytes, expected {part.bytes}")


def _handy(body: bytearray) -> Loaded:
    """Small parts as bytes; of a large one, memory that tensors can be made over without a copy."""
    return bytes(body) if len(body) <= SMALL_BYTES else body
