"""The process that is killed: saves checkpoints as told, in a fork of itself, so that it starts within milliseconds.

Each line of its input is an order; it answers each with the exit status of the fork. Loads nothing but the store.
"""

from __future__ import annotations

import io
import json
import logging
import mmap
import os
import signal
import struct
import sys
import threading
import time
from typing import Any

from spotkeeper_training import CheckpointStore, Retention

STATE = struct.Struct("<qqqq")
"""Process, whether it is inside a save, the last step that was said to be published, boundaries passed."""
EFFECTS = frozenset(
    {"open", "write", "flush", "fsync", "__exit__", "close", "mkdir", "replace", "unlink", "fdopen", "flock", "sendall"}
)
"""Functions of the interpreter that stand for system calls with an effect."""
PIECE_BYTES = 400_000


def body(step: int) -> dict[str, Any]:
    """Return the parts of a step: three pieces and a half, two small ones, one that is empty, one of two buffers."""
    line = f"step {step:08d} ".encode()
    weights = memoryview(line * (7 * PIECE_BYTES // 2 // len(line)))
    return {
        "weights": weights,
        "momentum": [weights[:1000], memoryview(line)],
        "position": str(step).encode(),
        "empty": b"",
    }


class Boundaries:
    """Counts the boundaries between system calls in all threads, and kills the process at one of them."""

    def __init__(self, state: mmap.mmap, kill_at: int | None, record: str | None) -> None:
        self._state, self._kill_at, self._record = state, kill_at, record
        self._lock = threading.Lock()
        self.names: list[str] = []

    def __enter__(self) -> None:
        threading.setprofile(self._passed)
        sys.setprofile(self._passed)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]

    def _passed(self, frame: Any, event: str, called: Any) -> None:
        if event not in ("c_call", "c_return") or called.__name__ not in EFFECTS:
            return
        if called.__name__ == "__exit__" and not isinstance(called.__self__, io.IOBase):
            return  # a lock
        with self._lock:
            self.names.append(f"{'before' if event == 'c_call' else 'after'} {called.__name__}")
            if len(self.names) == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def work(order: dict[str, Any]) -> None:
    logging.disable()
    with open(order["state"], "r+b") as file:  # noqa: PTH123 - the descriptor is all that is needed
        state = mmap.mmap(file.fileno(), STATE.size)
    state[:] = STATE.pack(os.getpid(), 0, order["step"], 0)
    keep = Retention(2, grace_seconds=0)
    store = CheckpointStore(order["uri"], generation=order["generation"], keep=keep, transfer_seconds=20)
    store._objects._piece_bytes = PIECE_BYTES
    store.begin()
    latest = store.latest()
    step = store.load(latest).step if latest else 0
    told = step
    boundaries = Boundaries(state, order.get("kill_at"), order.get("record"))
    state[:] = STATE.pack(os.getpid(), 1, told, 0)
    for _ in range(order["saves"]):
        step += 1
        parts = body(step)
        state[:] = STATE.pack(os.getpid(), 1, told, 0)
        if order.get("count", True):
            with boundaries:
                store.publish(step, parts)
        else:
            store.publish(step, parts)
        told = step
        state[:] = STATE.pack(os.getpid(), 0, told, 0)
    if order.get("record"):
        with open(order["record"], "w") as file:  # noqa: PTH123 - as above
            json.dump(boundaries.names, file)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if not process:
            try:
                work(order)
            except BaseException as error:  # noqa: BLE001 - a fork must not go on in this loop
                sys.stderr.write(f"{error!r}\n")
                os._exit(1)
            os._exit(0)
        if "after_seconds" in order:
            with open(order["state"], "rb") as file:  # noqa: PTH123 - as above
                while STATE.unpack(file.read(STATE.size))[:2] != (process, 1):
                    file.seek(0)
                    time.sleep(0.0005)
            time.sleep(order["after_seconds"])
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
