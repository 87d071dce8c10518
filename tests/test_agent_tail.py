from __future__ import annotations

import os
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from spotkeeper_agent.tail import KEPT_BYTES, LINE_CHARACTERS, Tail, catch_output, pump


def of(*chunks: bytes) -> Tail:
    tail = Tail()
    for chunk in chunks:
        tail.feed(chunk)
    return tail


def test_the_last_lines_as_a_terminal_would_show_them() -> None:
    tail = of(b"one\ntw", b"o\n 10%\r 20%\r 30%\r\nend")
    assert tail.lines() == ["one", "two", " 30%", "end"]
    assert tail.lines(2) == [" 30%", "end"]
    assert tail.lines(0) == []
    assert of().lines() == []
    assert of(b"\xff\n").lines() == ["\N{REPLACEMENT CHARACTER}"]


def test_however_much_is_said_little_is_kept() -> None:
    tail = Tail()
    for number in range(3000):
        tail.feed(b"%d %s\n" % (number, b"x" * 1000))
    assert len(tail._kept) <= 2 * KEPT_BYTES
    assert tail.bytes > 3_000_000
    shown = tail.lines()
    assert shown[-1].startswith("2999 ")
    assert all(line.endswith("x") and line[:1].isdigit() for line in shown), "no line without its beginning"
    assert max(map(len, shown)) <= LINE_CHARACTERS
    endless = of(b"y" * 10_000_000)
    assert len(endless._kept) <= 2 * KEPT_BYTES
    assert endless.lines() == ["y" * LINE_CHARACTERS]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200_000), max_size=6))
def test_everything_is_passed_on_in_order(chunks: list[bytes]) -> None:
    reading, writing = os.pipe()
    passed: list[bytes] = []
    tail = Tail()
    reader = threading.Thread(target=pump, args=(reading, tail, passed.append))
    reader.start()
    for chunk in chunks:
        os.write(writing, chunk)
    os.close(writing)
    reader.join(10)
    said = b"".join(chunks)
    assert b"".join(passed) in (said, said + b"\n")
    assert tail.bytes == len(said)
    for piece in passed:
        assert piece.endswith(b"\n") or len(piece) >= 64 * 1024, "no line is torn that could be kept whole"


def test_the_reader_ends_with_the_last_writer() -> None:
    tail = Tail()
    writing, reader = catch_output(tail)
    os.write(writing, b"hello\n")
    os.close(writing)
    reader.join(10)
    assert not reader.is_alive()
    assert tail.lines() == ["hello"]
