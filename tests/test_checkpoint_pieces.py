from __future__ import annotations

import array
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import MalformedDocument
from spotkeeper_ledger.checkpoints import Part
from spotkeeper_training import sums
from spotkeeper_training.pieces import cut, views_of, whole


@given(buffers=st.lists(st.binary(max_size=30), max_size=8), most=st.integers(1, 20))
def test_pieces_are_the_body_in_order_and_none_is_too_long(buffers: list[bytes], most: int) -> None:
    pieces = cut({"weights": [memoryview(buffer) for buffer in buffers]}, most)
    assert b"".join(view for piece in pieces for view in piece.views) == b"".join(buffers)
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    assert all(piece.bytes == sum(map(len, piece.views)) <= most for piece in pieces)
    assert len(pieces) == max(1, -(-sum(map(len, buffers)) // most))


def test_nothing_is_copied() -> None:
    body = bytearray(100)
    pieces = cut({"weights": body, "more": [memoryview(body)[:10], memoryview(body)[50:]]}, 30)
    body[99] = 7
    assert [piece.label for piece in pieces] == [
        *(f"weights~{number}" for number in range(4)),
        "more~0",
        "more~1",
    ]
    assert pieces[3].views[-1][-1] == 7
    assert pieces[-1].views[-1][-1] == 7


def test_buffers_of_other_items_are_taken_as_their_bytes() -> None:
    numbers = array.array("d", [1.0, 2.0])
    assert b"".join(views_of("x", memoryview(numbers))) == numbers.tobytes()
    with pytest.raises(ValueError, match="x: a buffer was strided"):
        views_of("x", memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("pieces", [[1, 2], [0, 2], [0, 0], [0, 1, 1]])
def test_a_part_with_a_piece_too_few_or_too_many_is_none(pieces: list[int]) -> None:
    parts = [Part("weights", f"k{piece}", 1, piece=piece) for piece in pieces]
    with pytest.raises(MalformedDocument, match="weights of rank 0: pieces were"):
        whole(parts)


def test_parts_of_one_name_belong_to_their_rank() -> None:
    parts = [Part("weights", "b", 1, rank=1), Part("weights", "a1", 1, piece=1), Part("weights", "a0", 1)]
    found = whole(parts)
    assert {rank: [part.key for part in names["weights"]] for rank, names in found.items()} == {
        0: ["a0", "a1"],
        1: ["b"],
    }


@given(body=st.binary(max_size=2000), at=st.integers(0, 2000), kind=st.sampled_from([sums.CRC32, sums.CRC32C]))
def test_sums_do_not_depend_on_how_a_body_arrives(body: bytes, at: int, kind: str) -> None:
    if kind == sums.CRC32C and sums.best(2**30) != kind:
        return  # its library is not installed
    view = memoryview(body)
    assert sums.of(kind, [view[:at], view[at:]]) == sums.of(kind, [view])


def test_sums_are_what_their_names_say() -> None:
    text = memoryview(b"123456789")
    assert sums.of(sums.CRC32, [text]) == zlib.crc32(text) == 0xCBF43926
    assert sums.best(10) == sums.CRC32, "nothing is imported for small parts"
    if sums.best(2**30) == sums.CRC32C:
        assert sums.of(sums.CRC32C, [text]) == 0xE3069283


def test_without_the_library_its_sum_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "_crc32c", lambda: None)
    assert sums.best(2**30) == sums.CRC32
    with pytest.raises(ImportError, match=r"google-crc32c: .*pip install 'spotkeeper\[training\]'"):
        sums.extend(sums.CRC32C, 0, memoryview(b"x"))
