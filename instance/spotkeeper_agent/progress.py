"""How far the job is: from the run directory to ``job/progress.json``, fenced by the generation."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from spotkeeper_ledger import ABSENT, Board, Conflict, MalformedDocument, Progress, dump, keys, load
from spotkeeper_ledger.run_dir import LocalProgress


def with_local(progress: Progress, local: Optional[LocalProgress]) -> Progress:
    """Return ``progress`` with what the training process has written, if it was of the same generation."""
    if local is None or local.generation not in (None, progress.generation):
        return progress
    return replace(
        progress,
        step=local.step,
        total=local.total,
        steps_per_second=local.steps_per_second,
        published_step=local.published_step,
        published_at=local.published_at,
        save_seconds_p95=local.save_seconds_p95,
    )


def write_progress(board: Board, progress: Progress) -> bool:
    """Write the fleet's progress unless a later generation has; returns whether it was written.

    Raises :class:`Unavailable` or ``Denied`` if the board cannot be used.
    """
    key = keys.progress(progress.fleet)
    while True:
        found = board.read(key)
        if found is not None and _is_fenced(progress, found.body):
            return False
        try:
            board.write(key, dump(progress), expect=found.version if found else ABSENT)
        except Conflict:
            continue  # each round, somebody has made progress
        return True


def _is_fenced(progress: Progress, body: bytes) -> bool:
    try:
        written = load(Progress, body)
    except MalformedDocument:
        return False
    return written.incarnation == progress.incarnation and written.generation > progress.generation
