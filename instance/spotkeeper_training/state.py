"""The state of a training run to parts of a checkpoint and back: tensors as safetensors, the rest as JSON.

Each entry of a state becomes ``<entry>.safetensors``, which any tool can read, and all that is no tensor goes into
``state.json``. Nothing is pickled, and so nothing that is loaded can run code.

    parts = to_parts({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3})
    state = from_parts(restored.parts)
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Union

from spotkeeper_training.leaves import Leaf, NotExpressible, leaf_of, restored, view_of
from spotkeeper_training.tensors import Placed, header, place, read
from spotkeeper_training.tree import Walk, value_of

Buffer = Union[bytes, bytearray, memoryview]
DOCUMENT = "state.json"
SUFFIX = ".safetensors"
FORMAT = 1
_ENTRY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Packed:
    """One part that has to be copied before training goes on: what comes first, then leaves at their places."""

    name: str
    head: bytes
    leaves: Tuple[Tuple[int, Leaf], ...]
    """Where each begins, counted from the start of the part."""
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What a state becomes: parts to copy, parts that nobody can change any more, and the document."""

    packed: Tuple[Packed, ...]
    ready: Mapping[str, bytes]
    document: Any
    """Made of fresh dictionaries and lists, ``None`` where parts were given."""

    @property
    def size(self) -> int:
        """How many bytes there is to copy."""
        return sum(part.bytes for part in self.packed)

    @property
    def total(self) -> int:
        """How many bytes there are to publish, but for the document."""
        return self.size + sum(map(len, self.ready.values()))

    def text(self) -> Dict[str, bytes]:
        """Return the part that holds the document, none where parts were given."""
        if self.document is None:
            return {}
        return {DOCUMENT: json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()}


def plan(state: Mapping[str, Any]) -> Plan:
    """Return how ``state`` is saved. Nothing is copied yet.

    Args:
        state: parts as :meth:`.CheckpointStore.publish` takes them, which stay as they are; or any nested state of
            dictionaries, lists, tuples, numbers, strings, bytes, torch tensors and numpy arrays. Tensors that share all
            of their memory are saved once.

    Raises :class:`~spotkeeper_training.leaves.NotExpressible` for what can only be pickled, ``ValueError`` for an entry
    whose name is no file name.
    """
    if state and all(_is_body(body) for body in state.values()):
        return _given(state)
    packed: List[Packed] = []
    documents: Dict[str, Any] = {}
    for entry, value in state.items():
        if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
            raise ValueError(f"state: had an entry {entry!r}, expected letters, digits, dots, hyphens and underscores")
        walk = Walk()
        documents[entry] = walk.document(value, ()) if isinstance(value, Mapping) else walk.document(value, (entry,))
        if walk.leaves:
            packed.append(_packed(entry + SUFFIX, walk.leaves))
    return Plan(tuple(packed), {}, {"format": FORMAT, "state": documents})


def to_parts(state: Mapping[str, Any]) -> Dict[str, Union[bytes, Sequence[memoryview]]]:
    """Return the parts of ``state`` without copying it: they change when it changes. For arguments see :func:`plan`."""
    planned = plan(state)
    parts: Dict[str, Union[bytes, Sequence[memoryview]]] = {**planned.ready, **planned.text()}
    for part in planned.packed:
        head = [memoryview(part.head)] if part.head else []
        parts[part.name] = [*head, *(view_of(leaf) for _, leaf in part.leaves)]
    return parts


def from_parts(parts: Mapping[str, Buffer]) -> Dict[str, Any]:
    """Return the state whose parts these are. Tensors lie over the parts' own memory where that can be written.

    Raises ``ValueError`` for parts that :func:`to_parts` has not made.
    """
    if DOCUMENT not in parts:
        raise ValueError(f"parts: had no {DOCUMENT} ({', '.join(sorted(parts))}), expected those of a saved state")
    document = json.loads(bytes(parts[DOCUMENT]))
    if document.get("format") != FORMAT:
        raise ValueError(f"{DOCUMENT}: was of format {document.get('format')}, expected {FORMAT}")
    return {entry: _entry(entry, held, parts) for entry, held in document["state"].items()}


def _entry(entry: str, document: Any, parts: Mapping[str, Buffer]) -> Any:
    name = entry + SUFFIX
    return value_of(document, _finder(name, read(parts[name]) if name in parts else {}))


def _finder(file: str, tensors: Mapping[str, Tuple[Placed, memoryview]]) -> Callable[[str, Any], Any]:
    made: Dict[Tuple[str, str], Any] = {}

    def find(kind: str, reference: Any) -> Any:
        name, *given = reference if isinstance(reference, list) else (reference,)
        if name not in tensors:
            raise ValueError(f"{file}: has no {name!r}, to which {DOCUMENT} refers")
        if (kind, name) not in made:
            placed, data = tensors[name]
            dtype, shape = given or (placed.dtype, placed.shape)
            made[kind, name] = restored(kind, dtype, tuple(shape), data)
        return made[kind, name]

    return find


def _packed(name: str, leaves: Mapping[str, Leaf]) -> Packed:
    head, order, end = _layout(tuple((key, leaf.dtype, leaf.shape) for key, leaf in leaves.items()))
    return Packed(name, head, tuple((start, leaves[key]) for start, key in order), end)


@functools.lru_cache(maxsize=64)
def _layout(tensors: Tuple[Tuple[str, str, Tuple[int, ...]], ...]) -> Tuple[bytes, Tuple[Tuple[int, str], ...], int]:
    """Return header, places and size of a file: the same at every save, as long as the shapes are."""
    placed = place(tensors)
    head = header(placed)
    order = tuple((len(head) + at.start, at.name) for at in placed)
    return head, order, len(head) + placed[-1].start + placed[-1].bytes


def _is_body(body: Any) -> bool:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return True
    return isinstance(body, (list, tuple)) and bool(body) and all(isinstance(view, memoryview) for view in body)


def _given(parts: Mapping[str, Any]) -> Plan:
    ready = {name: body for name, body in parts.items() if isinstance(body, bytes)}
    packed = []
    for name, body in parts.items():
        if name in ready:
            continue
        leaves, start = [], 0
        for view in [body] if isinstance(body, (bytearray, memoryview)) else body:
            leaf = leaf_of(view, (name,))
            if leaf is None:
                raise NotExpressible(f"{name}: was a {type(view).__name__}, expected bytes or views of bytes")
            leaves.append((start, leaf))
            start += leaf.size
        packed.append(Packed(name, b"", tuple(leaves), start))
    return Plan(tuple(packed), ready, None)
