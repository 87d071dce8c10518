from __future__ import annotations

import json
import struct

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from spotkeeper_training.tensors import ITEM_BYTES, MalformedTensors, header, place, read

SHAPES = some.lists(some.integers(0, 3), max_size=3).map(tuple)
TENSORS = some.dictionaries(
    some.text(max_size=8).filter(lambda name: name != "__metadata__"),
    some.tuples(some.sampled_from(sorted(ITEM_BYTES)), SHAPES),
    max_size=6,
)


def written(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> tuple[bytes, dict[str, bytes]]:
    placed = place([(name, dtype, shape) for name, (dtype, shape) in tensors.items()])
    bodies = {tensor.name: bytes([number + 1]) * tensor.bytes for number, tensor in enumerate(placed)}
    return header(placed) + b"".join(bodies[tensor.name] for tensor in placed), bodies


@given(TENSORS)
def test_what_is_written_is_read_again_and_every_tensor_is_aligned(
    tensors: dict[str, tuple[str, tuple[int, ...]]],
) -> None:
    file, bodies = written(tensors)
    found = read(file)
    assert {name: bytes(data) for name, (_, data) in found.items()} == bodies
    assert {name: (at.dtype, at.shape) for name, (at, _) in found.items()} == tensors
    start = len(file) - sum(map(len, bodies.values()))
    assert all((start + at.start) % ITEM_BYTES[at.dtype] == 0 for at, _ in found.values())


def test_the_header_is_that_of_the_format() -> None:
    file, _ = written({"w": ("F32", (2,))})
    length = struct.unpack("<Q", file[:8])[0]
    assert json.loads(file[8 : 8 + length]) == {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert (8 + length) % 64 == 0
    assert len(file) == 8 + length + 8


def file_of(described: object, data: bytes = b"") -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{]",
        file_of({"w": {"dtype": "F32", "shape": [2]}}),
        file_of({"w": {"dtype": "X", "shape": [2], "data_offsets": [0, 8]}}, b"x" * 8),
        file_of({"w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 3]}}, b"x" * 3),
        file_of({"w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, b"x" * 3),
        file_of({"w": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}}, b"x" * 3),
        file_of({"w": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, b"x" * 2),
        file_of({"w": {"dtype": "U8", "shape": [-2], "data_offsets": [2, 0]}}, b"xx"),
        file_of({"w": {"dtype": "U8", "shape": ["2"], "data_offsets": [0, 2]}}, b"xx"),
        file_of(
            {
                "v": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
                "w": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]},
            },
            b"xxx",
        ),
    ],
)
def test_anything_else_is_refused(file: bytes) -> None:
    with pytest.raises(MalformedTensors):
        read(file)


def test_views_lie_over_the_file_itself() -> None:
    file, _ = written({"w": ("F32", (2,))})
    memory = bytearray(file)
    numpy.frombuffer(read(memory)["w"][1], dtype="f4")[:] = 7
    assert memory[-4:] == struct.pack("<f", 7)
