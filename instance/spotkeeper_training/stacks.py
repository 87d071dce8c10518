"""Lets the agent ask a training process where it is, should it make no step any more."""

from __future__ import annotations

import faulthandler
import logging
import os
from pathlib import Path
from typing import IO, List

from spotkeeper_ledger import run_dir

_log = logging.getLogger("spotkeeper.training")
_open: List[IO[str]] = []  # the handler writes to the descriptor, which has to stay open


def answer_stacks(folder: Path) -> None:
    """Write the stacks of all threads to ``<folder>/stacks/<pid>.txt`` whenever the agent asks for them.

    The interpreter's own handler does it, also while the process is stuck in a call that never returns. It writes
    nothing until then, and does nothing twice.
    """
    if _open or not run_dir.STACKS_SIGNAL:
        return
    try:
        place = folder / run_dir.STACKS
        place.mkdir(parents=True, exist_ok=True)
        file = (place / f"{os.getpid()}.txt").open("w")
        faulthandler.register(run_dir.STACKS_SIGNAL, file=file, all_threads=True)
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        _log.warning("%s: stacks cannot be written there (%s); training goes on", folder, error)
        return
    _open.append(file)
