"""The last lines of an output of any length, in a bounded piece of memory."""

from __future__ import annotations

import os
import threading
from typing import Callable, List, Optional, Tuple

LINES, LINE_CHARACTERS = 200, 1000
"""How much is kept to be looked at: so many lines, of each so many characters."""
KEPT_BYTES = 64 * 1024
"""How much is kept as it came."""
_CHUNK = 64 * 1024


class Tail:
    """Keeps the end of what it is fed. For several threads."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lock = threading.Lock()
        self.bytes = 0
        """How much it has been fed in all."""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the output."""
        with self._lock:
            self.bytes += len(chunk)
            self._kept += chunk[-KEPT_BYTES:]
            if len(self._kept) > 2 * KEPT_BYTES:
                del self._kept[:-KEPT_BYTES]

    def lines(self, most: int = LINES) -> List[str]:
        """Return the last lines, as a terminal would show them: of a line that was overwritten, what it was last."""
        with self._lock:
            kept = bytes(self._kept[-KEPT_BYTES:])
            cut = self.bytes > len(kept)
        found = kept.decode("utf-8", "replace").split("\n")
        if cut and len(found) > 1:
            del found[0]  # only its end is there
        if found and not found[-1]:
            found.pop()
        return [line.rstrip("\r").rpartition("\r")[2][:LINE_CHARACTERS] for line in found[-most:]] if most > 0 else []


def catch_output(tail: Tail, forward: Optional[Callable[[bytes], None]] = None) -> Tuple[int, threading.Thread]:
    """Return the writing end of a pipe for a command's output, and the thread that reads what arrives.

    The caller closes its copy of the descriptor once the command has it; the thread ends when nobody holds it any more.
    See :func:`pump` for the arguments.
    """
    reading, writing = os.pipe()
    reader = threading.Thread(target=pump, args=(reading, tail, forward), name="output", daemon=True)
    reader.start()
    return writing, reader


def pump(source: int, tail: Tail, forward: Optional[Callable[[bytes], None]] = None) -> None:
    """Read the file descriptor ``source`` to its end into ``tail``, then close it.

    Args:
        source: the reading end of a pipe.
        tail: keeps the end.
        forward: called with whole lines, or with pieces of 64 KB and more of longer ones; what remains comes last.
    """
    rest = b""
    try:
        while True:
            chunk = os.read(source, _CHUNK)
            if not chunk:
                break
            tail.feed(chunk)
            if forward is not None:
                whole, end, begun = (rest + chunk).rpartition(b"\n")
                if not end and len(begun) < _CHUNK:
                    rest = begun
                    continue
                forward(whole + end if end else begun)
                rest = begun if end else b""
    finally:
        if rest and forward is not None:
            forward(rest + b"\n")
        os.close(source)
