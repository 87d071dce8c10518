"""Waiting for a store that does not answer: a start that gave up would use up the restarts of a sound job."""

from __future__ import annotations

import logging
import time
from typing import Callable, TypeVar

from spotkeeper_ledger import Unavailable

PATIENCE_SECONDS = 600.0
"""How long a start waits before it counts as a crash."""
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 10.0
_log = logging.getLogger("spotkeeper.training")

Result = TypeVar("Result")


def patiently(ask: Callable[[], Result]) -> Result:
    """Return what ``ask`` returns, asked again while it raises :class:`Unavailable`, for 10 minutes at most."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            return ask()
        except Unavailable as error:
            if time.monotonic() + pause > give_up_at:
                raise
            _log.warning("the checkpoint store does not answer (%s); asking again in %.1f s", error, pause)
        time.sleep(pause)
        pause = min(_LAST_PAUSE, 2 * pause)
