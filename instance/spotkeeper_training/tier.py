"""A copy of the latest checkpoint's parts on this node's own disk: written first, uploaded from, loaded from.

A copy carries the key of the manifest that was published for it, once it was. Only where that is the latest
checkpoint's is it loaded, every byte verified; otherwise the store is asked, as if there were no copy.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import secrets
import shutil
import zlib
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from spotkeeper_training.pieces import Loaded
from spotkeeper_training.store import Checkpoint

_INDEX = "copy.json"
_log = logging.getLogger("spotkeeper.training")


class Near:
    """One copy on the local disk."""

    def __init__(self, folder: Path, index: Dict[str, Any], parts: Mapping[str, Any]) -> None:
        self.parts = parts
        """The parts, mapped from where they lie."""
        self._folder, self._index = folder, index

    def published(self, checkpoint: Checkpoint) -> None:
        """Write down which checkpoint this is a copy of, and delete all older copies of this rank."""
        _write_whole(self._folder / _INDEX, {**self._index, "manifest": checkpoint.manifest})
        for folder in _copies(self._folder.parent):
            if folder != self._folder:
                shutil.rmtree(folder, ignore_errors=True)


class Tier:
    """The copies of one rank.

    Args:
        folder: on a local disk; each rank has a folder of its own below it.
        rank: whose they are.
        world_size: of how many ranks; copies of more or fewer are of no use.
    """

    def __init__(self, folder: Path, rank: int, world_size: int) -> None:
        self._world = world_size
        self._folder = folder / f"r{rank}"

    def write(self, step: int, parts: Mapping[str, Any]) -> Near:
        """Write a copy that survives a restart of this process, and return it.

        Raises ``OSError`` if the disk is full or away; nothing is left of it then.
        """
        folder = self._folder / f"s{step}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            described = {name: _write_part(folder / name, _views(body)) for name, body in parts.items()}
            index = {"step": step, "world_size": self._world, "parts": described}
            return Near(folder, index, {name: _mapped(folder / name) for name in parts})
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def parts(self, manifest: str) -> Optional[Mapping[str, Loaded]]:
        """Return this rank's parts of a checkpoint, by the key of its manifest, if they are here whole."""
        for folder in _copies(self._folder):
            try:
                index = json.loads((folder / _INDEX).read_bytes())
                if index["manifest"] != manifest or index["world_size"] != self._world:
                    continue
                found = {name: _read_part(folder / name, part) for name, part in index["parts"].items()}
            except FileNotFoundError:
                continue  # never published
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                _log.warning("%s: not loaded (%s: %s)", folder, type(error).__name__, error)
                continue
            _log.info("loaded from %s", folder)
            return found
        return None


def _copies(folder: Path) -> List[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _views(body: Any) -> List[memoryview]:
    return [memoryview(body)] if isinstance(body, (bytes, bytearray, memoryview)) else list(body)


def _write_part(path: Path, views: List[memoryview]) -> Dict[str, int]:
    size = crc = 0
    with path.open("xb", buffering=0) as file:
        for view in views:
            whole = view.cast("B") if len(view) else memoryview(b"")
            done = 0
            while done < len(whole):
                done += file.write(whole[done:])
            size, crc = size + len(whole), zlib.crc32(whole, crc)
    return {"bytes": size, "crc32": crc}


def _mapped(path: Path) -> Any:
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read_part(path: Path, part: Mapping[str, int]) -> bytearray:
    body = bytearray(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        done = 0
        while done < len(body):
            got = file.readinto(memoryview(body)[done:])
            if not got:
                break
            done += got
    if done != part["bytes"] or zlib.crc32(body) != part["crc32"]:
        raise ValueError(f"{path.name}: its bytes are not those that were written")
    return body


def _write_whole(path: Path, document: Mapping[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    os.replace(new, path)  # noqa: PTH105 - a Path would say replace as well, and return another
