"""A folder that a framework has written as its checkpoint: to parts and back, and whether it is whole."""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

INDEX = "files.json"
_STEP = re.compile(r"checkpoint-(\d+)")


def to_parts(folder: Path, wanted: Callable[[Path], bool]) -> Dict[str, Any]:
    """Return the files below ``folder`` as parts, with an index of their names. They are mapped, not read.

    Args:
        folder: the framework's checkpoint.
        wanted: which files to take, asked with paths relative to ``folder``.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and wanted(path.relative_to(folder)))
    names = {f"file-{number}": str(path.relative_to(folder)) for number, path in enumerate(files)}
    parts: Dict[str, Any] = {name: _mapped(folder / path) for name, path in names.items()}
    return {**parts, INDEX: json.dumps(names).encode()}


def write(folder: Path, shards: Mapping[int, Mapping[str, Any]]) -> None:
    """Make ``folder`` from the parts of all ranks. It is there with all its files or not at all.

    Raises ``ValueError`` for a name that leads out of the folder.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    for parts in shards.values():
        for name, relative in json.loads(bytes(parts[INDEX])).items():
            path = partial / relative
            if ".." in Path(relative).parts or Path(relative).is_absolute():
                raise ValueError(f"{INDEX}: had {relative!r}, expected a path inside the folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(parts[name])
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def newest_whole(output_dir: Path) -> Optional[Path]:
    """Return the newest checkpoint of transformers' Trainer in ``output_dir`` that is not half-written."""
    found = {int(name[1]): path for path in output_dir.glob("checkpoint-*") if (name := _STEP.fullmatch(path.name))}
    return next((found[step] for step in sorted(found, reverse=True) if is_whole(found[step], step)), None)


def is_whole(folder: Path, step: int) -> bool:
    """Whether a checkpoint of transformers' Trainer has all its files at full length."""
    try:
        state = json.loads((folder / "trainer_state.json").read_text())
        shards = [
            folder / name
            for index in folder.glob("*.safetensors.index.json")
            for name in json.loads(index.read_text())["weight_map"].values()
        ]
        weights = [*folder.glob("*.safetensors"), *shards]
        return (
            bool(weights or list(folder.glob("*.bin")))
            and state["global_step"] == step
            and all(_is_whole_safetensors(path) for path in weights)
            and all(zipfile.is_zipfile(path) for pattern in ("*.pt", "*.pth", "*.bin") for path in folder.glob(pattern))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_whole_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return False
        header = json.loads(file.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    return bool(path.stat().st_size == 8 + length + max(ends, default=0))


def _mapped(path: Path) -> Any:
    if path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
