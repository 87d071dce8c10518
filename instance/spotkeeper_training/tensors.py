"""The safetensors format: a header in JSON that says where each tensor lies, then their bytes. Nothing is unpickled.

A header is written apart from the bytes, so that tensors are copied once, into the memory that is uploaded.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

Buffer = Union[bytes, bytearray, memoryview]

ITEM_BYTES: Mapping[str, int] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
    "C64": 8,
}
"""Bytes of one element, by the format's name of its type."""
LARGEST_HEADER = 100_000_000
"""What the format allows, in bytes."""
_LENGTH_BYTES = 8
_ALIGNMENT = 64
"""The header is padded to this, so that every tensor is aligned wherever its file is."""


class MalformedTensors(ValueError):
    """These bytes are not in the safetensors format."""


@dataclass(frozen=True)
class Placed:
    """One tensor of a file: its type, its shape, and where its bytes lie, counted from the end of the header."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    start: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return ITEM_BYTES[self.dtype] * math.prod(self.shape)


def place(tensors: Sequence[Tuple[str, str, Tuple[int, ...]]]) -> List[Placed]:
    """Return where tensors go, given as name, type and shape: those of large elements first, so that all are aligned.

    What is equal in that stays in the given order.
    """
    placed, start = [], 0
    for name, dtype, shape in sorted(tensors, key=lambda tensor: -ITEM_BYTES[tensor[1]]):
        placed.append(Placed(name, dtype, shape, start))
        start += placed[-1].bytes
    return placed


def header(placed: Sequence[Placed]) -> bytes:
    """Return what comes before the tensors' bytes."""
    described = {
        tensor.name: {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": (tensor.start, tensor.start + tensor.bytes),
        }
        for tensor in placed
    }
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % _ALIGNMENT)
    if len(text) > LARGEST_HEADER:
        raise ValueError(f"tensors: their header was {len(text)} bytes, expected at most {LARGEST_HEADER}")
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def read(file: Buffer) -> Dict[str, Tuple[Placed, memoryview]]:
    """Return the tensors of a file with views of their bytes, in the order in which they lie there.

    Raises :class:`MalformedTensors` for anything else, bytes that no tensor or two tensors own included.
    """
    view = memoryview(file).cast("B")
    length = int.from_bytes(view[:_LENGTH_BYTES], "little")
    if len(view) < _LENGTH_BYTES or length > min(LARGEST_HEADER, len(view) - _LENGTH_BYTES):
        raise MalformedTensors(f"header: was said to be {length} bytes, of a file of {len(view)}")
    try:
        described = json.loads(bytes(view[_LENGTH_BYTES : _LENGTH_BYTES + length]))
        placed = [_placed(name, entry) for name, entry in described.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedTensors(f"header: {type(error).__name__}: {error}") from None
    data = view[_LENGTH_BYTES + length :]
    found, end = {}, 0
    for tensor in sorted(placed, key=lambda tensor: (tensor.start, tensor.bytes)):
        if tensor.start != end or tensor.start + tensor.bytes > len(data):
            raise MalformedTensors(f"{tensor.name}: began at byte {tensor.start}, expected {end} of {len(data)}")
        end += tensor.bytes
        found[tensor.name] = (tensor, data[tensor.start : end])
    if end != len(data):
        raise MalformedTensors(f"tensors: end at byte {end} of {len(data)}")
    return found


def _placed(name: str, entry: Mapping[str, Any]) -> Placed:
    start, end = entry["data_offsets"]
    shape, dtype = tuple(entry["shape"]), str(entry["dtype"])
    if not all(type(number) is int and number >= 0 for number in (start, end, *shape)):
        raise ValueError(f"{name}: shape and offsets were {shape}, {start}, {end}, expected numbers of at least 0")
    placed = Placed(name, dtype, shape, start)
    if placed.bytes != end - start:
        raise ValueError(f"{name}: was {end - start} bytes, expected {placed.bytes}")
    return placed
