"""Asking again while time is left: a service that throttles or fails is given a moment, and nobody waits for ever."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Callable, Union

from spotkeeper_ledger.board import BoardError
from spotkeeper_ledger.http import Response

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.4


def patiently(attempt: Callable[[float], Union[Response, BoardError]], seconds: float) -> Response:
    """Return the answer of the first attempt that has one, marked as retried where it was not the first.

    Args:
        attempt: sends the request, given the seconds left; returns an error that may pass, raises one that will not.
        seconds: how long it may all take; then the last reason is raised.
    """
    deadline = time.monotonic() + seconds
    pause, tries = _FIRST_PAUSE, 0
    while True:
        outcome = attempt(deadline - time.monotonic())
        tries += 1
        if isinstance(outcome, Response):
            return replace(outcome, retried=outcome.retried or tries > 1)
        wait = pause * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, keeps no secret
        if time.monotonic() + wait >= deadline:
            raise outcome
        time.sleep(wait)
        pause = min(2 * pause, _LAST_PAUSE)
