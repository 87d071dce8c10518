"""The agent's log: one JSON object a line on standard output, for the journal and for programs that read it."""

from __future__ import annotations

import json
import sys
import threading
import time

_lock = threading.Lock()


def log(event: str, **fields: object) -> None:
    """Write one line: ``at`` (Unix seconds), ``event`` and ``fields``; those that are ``None`` are left out."""
    told = {name: value for name, value in fields.items() if value is not None}
    line = json.dumps({"at": round(time.time(), 3), "event": event, **told}, default=str)
    with _lock:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            return  # a full disk or a closed pipe must not stop training


def pass_on(lines: bytes) -> None:
    """Write what the job has said to standard output, never into the middle of one of our own lines."""
    with _lock:
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
        except (OSError, ValueError, AttributeError):
            return  # as above
