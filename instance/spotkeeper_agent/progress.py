"""How far the job is: from the run directory to ``job/progress.json``, fenced by the generation."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional

from spotkeeper_agent.goodput import Account, total
from spotkeeper_ledger import ABSENT, Board, Conflict, Goodput, MalformedDocument, Progress, dump, keys, load
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


class ProgressWriter:
    """Writes ``job/progress.json``, each word with the account of all generations before it. For one thread.

    Args:
        board: the ledger.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._earlier: Optional[Progress] = None
        self._generation: Optional[int] = None
        self.written: Optional[Goodput] = None
        """The account that was last written."""

    def write(self, progress: Progress, account: Optional[Account]) -> bool:
        """Write the fleet's progress unless a later generation has; returns whether it was written.

        Raises :class:`Unavailable` or ``Denied`` if the board cannot be used.
        """

        def with_account(found: Optional[Progress]) -> Progress:
            if self._generation != progress.generation:
                self._generation = progress.generation
                ours = found is not None and found.generation < progress.generation
                self._earlier = found if ours and found and found.incarnation == progress.incarnation else None
            if account is None:
                return progress
            self.written = total(account, self._earlier)
            return replace(progress, goodput=self.written)

        return write_progress(self._board, progress, with_account)


def write_progress(
    board: Board, progress: Progress, complete: Optional[Callable[[Optional[Progress]], Progress]] = None
) -> bool:
    """Write the fleet's progress unless a later generation has; returns whether it was written.

    ``complete`` is given what is there and returns what is written instead of ``progress``.

    Raises :class:`Unavailable` or ``Denied`` if the board cannot be used.
    """
    key = keys.progress(progress.fleet)
    while True:
        found = board.read(key)
        present = _parse(found.body) if found is not None else None
        if present is not None and _is_fenced(progress, present):
            return False
        try:
            body = dump(complete(present) if complete else progress)
            board.write(key, body, expect=found.version if found else ABSENT)
        except Conflict:
            continue  # each round, somebody has made progress
        return True


def _parse(body: bytes) -> Optional[Progress]:
    try:
        return load(Progress, body)
    except MalformedDocument:
        return None


def _is_fenced(progress: Progress, written: Progress) -> bool:
    return written.incarnation == progress.incarnation and written.generation > progress.generation
