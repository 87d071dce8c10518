"""Many copies of memory at once, by a few threads that each take the next piece and meet only at the end.

A tensor library copies one tensor after the other, each with all of its threads, which then wait for each other: on a
machine whose processors are busy that wait is longer than the copy.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Deque, List, Sequence, Tuple

from spotkeeper_training.crew import Crew

Span = Tuple[int, int, int]
"""Where to, where from, how many bytes."""
CHUNK = 8 * 2**20
"""A thread is worth its while from so many bytes on."""
PIECE = 2 * 2**20
"""What a thread takes at a time: so much does one that was kept from running leave to the others at most."""
MOST_THREADS = 8
_helpers = Crew(MOST_THREADS - 1)


def copy_spans(spans: Sequence[Span]) -> None:
    """Copy every span. The memory must stay where it is until this returns; other threads of Python go on meanwhile."""
    size = sum(size for _, _, size in spans)
    threads = threads_for(size)
    if threads == 1:
        _copy(spans)
        return
    pieces = deque(share_out(spans, -(-size // PIECE)))
    helpers = [_helpers.start(lambda: _copy_all(pieces)) for _ in range(threads - 1)]
    _copy_all(pieces)
    for helper in helpers:
        if not helper.cancel():  # one that has not even begun has nothing left to do
            helper.result()


def threads_for(size: int) -> int:
    """Return how many threads copy ``size`` bytes: one for each chunk, as far as there are processors for them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, processors, size // CHUNK))


def share_out(spans: Sequence[Span], shares: int) -> List[List[Span]]:
    """Return the spans in ``shares`` lists of as many bytes each, cut where necessary."""
    total = sum(size for _, _, size in spans)
    each = -(-total // shares) or 1
    found: List[List[Span]] = [[] for _ in range(shares)]
    number, room = 0, each
    for target, source, size in spans:
        done = 0
        while done < size:
            part = min(size - done, room)
            found[number].append((target + done, source + done, part))
            done, room = done + part, room - part
            if not room:
                number, room = number + 1, each
    return found


def _copy_all(pieces: Deque[List[Span]]) -> None:
    """Copy what no other thread has taken, until nothing is left."""
    while True:
        try:
            piece = pieces.popleft()
        except IndexError:
            return
        _copy(piece)


def _copy(spans: Sequence[Span]) -> None:
    import ctypes  # noqa: PLC0415 - who saves bytes alone does without

    for target, source, size in spans:
        ctypes.memmove(target, source, size)
