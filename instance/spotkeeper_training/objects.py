"""The objects of one checkpoint: parts, then a manifest; verified when read, deleted the other way round."""

from __future__ import annotations

import re
import secrets
import time
import zlib
from typing import Dict, List, Mapping

from spotkeeper_ledger import ABSENT, Board, MalformedDocument, Manifest, Part, dump, load

MANIFESTS = "manifests/"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Objects:
    """Reads and writes checkpoints, of which a manifest's key is the name. What is latest is not known here.

    Args:
        board: where manifests go.
        bulk: the same place, with the time that parts take.
    """

    def __init__(self, board: Board, bulk: Board) -> None:
        self._board, self._bulk = board, bulk

    def write(self, generation: int, step: int, parts: Mapping[str, bytes]) -> str:
        """Write a checkpoint under a name of its own, and return the key of its manifest.

        Raises:
            ValueError: ``step`` or the name of a part cannot be used.
            Unavailable: the store does not answer. What was written already is named by nobody.
        """
        check(step, parts)
        writer = secrets.token_hex(4)
        name = f"g{generation}-s{step}"
        written = tuple(self._write_part(f"parts/{name}-r0-{writer}/{part}", part, parts[part]) for part in parts)
        key = f"{MANIFESTS}{name}-{writer}.json"
        manifest = Manifest(generation=generation, step=step, at=time.time(), parts=written)
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

    def parts(self, manifest: Manifest) -> Dict[str, bytes]:
        """Return all parts, every byte verified.

        Raises :class:`MalformedDocument` if one is missing or damaged.
        """
        return {part.name: self._read_part(part) for part in manifest.parts}

    def delete(self, key: str) -> None:
        """Delete a checkpoint: the manifest first, so that nothing names a part that is gone."""
        try:
            parts: List[str] = [part.key for part in self.manifest(key).parts]
        except MalformedDocument:
            parts = []
        self._board.delete(key)
        for part in parts:
            self._board.delete(part)

    def _write_part(self, key: str, name: str, body: bytes) -> Part:
        self._bulk.write(key, body, expect=ABSENT)
        return Part(name=name, key=key, bytes=len(body), crc32=zlib.crc32(body))

    def _read_part(self, part: Part) -> bytes:
        found = self._bulk.read(part.key)
        if found is None:
            raise MalformedDocument(f"{part.key}: is missing")
        if len(found.body) != part.bytes:
            raise MalformedDocument(f"{part.key}: was {len(found.body)} bytes, expected {part.bytes}")
        if zlib.crc32(found.body) != part.crc32:
            raise MalformedDocument(f"{part.key}: its bytes are not those that were written")
        return found.body


def check(step: int, parts: Mapping[str, bytes]) -> None:
    """Raise ``ValueError`` if this cannot be a checkpoint."""
    if step < 0:
        raise ValueError(f"step: was {step}, expected completed steps, at least 0")
    if not parts:
        raise ValueError("parts: was empty, expected at least one")
    for name in parts:
        if not _NAME.fullmatch(name):
            raise ValueError(f"parts: was {name!r}, expected a name of letters, digits, dots, hyphens and underscores")
