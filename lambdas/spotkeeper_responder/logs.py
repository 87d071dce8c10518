"""The log: one JSON object a line, as Lambda's own JSON format has it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def write_line(line: str) -> None:
    """Write a line to standard output in one piece: lines of two threads never mix."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def log(level: str, message: str, **fields: object) -> None:
    """Write an entry; what JSON does not know is written as text.

    Of text only the first line is written: where AWS refuses a signature it quotes below that what it was sent, the
    session's token among it.
    """
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {name: value.partition("\n")[0] if isinstance(value, str) else value for name, value in fields.items()}
    write_line(json.dumps({"timestamp": stamp, "level": level, "message": message, **told}, default=str))
