"""Many copies of memory at once, by a few threads that meet only at the end.

A tensor library copies one tensor after the other, each with all of its threads, which then wait for each other: on a
machine whose processors are busy that wait is longer than the copy.
"""

from __future__ import annotations

import os
import threading
from typing import List, Sequence, Tuple

Span = Tuple[int, int, int]
"""Where to, where from, how many bytes."""
CHUNK = 8 * 2**20
MOST_THREADS = 8


def copy_spans(spans: Sequence[Span]) -> None:
    """Copy every span. The memory must stay where it is until this returns; other threads of Python go on meanwhile."""
    shares = share_out(spans, threads_for(sum(size for _, _, size in spans)))
    helpers = [threading.Thread(target=_copy, args=(share,)) for share in shares[1:]]
    for helper in helpers:
        helper.start()
    _copy(shares[0])
    for helper in helpers:
        helper.join()


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


def _copy(spans: Sequence[Span]) -> None:
    import ctypes  # noqa: PLC0415 - who saves bytes alone does without

    for target, source, size in spans:
        ctypes.memmove(target, source, size)
