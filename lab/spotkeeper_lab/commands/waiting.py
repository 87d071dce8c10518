"""Waiting for what a command has set going, with the fleet's status meanwhile."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext

from rich.console import Console

from spotkeeper_lab.commands.status import read_status
from spotkeeper_lab.operations.account import Account
from spotkeeper_lab.operations.pausing import Change, done
from spotkeeper_lab.operations.status import FleetStatus
from spotkeeper_lab.operations.tables import TICK_LATE_SECONDS, count, span
from spotkeeper_ledger import FleetLedger, Unavailable

POLL_SECONDS = 5.0
TICK_SECONDS = 60.0
"""How often the responder looks at every fleet."""


def add_wait(parser: argparse.ArgumentParser, until: str) -> None:
    """Add ``--wait``."""
    parser.add_argument("--wait", action="store_true", help=f"wait {until}; Ctrl-C ends the waiting only")


def when(ledger: FleetLedger, now: float) -> str:
    """Return when the responder will act on what was written, in words."""
    if ledger.ticked_at is None:
        return "At the responder's next tick (it has not looked at this fleet yet)"
    age = max(0.0, now - ledger.ticked_at)
    if age >= TICK_LATE_SECONDS:
        return f"As soon as the responder looks again (it last did {span(age)} ago: see the alarm no-tick)"
    return f"At the responder's next tick (in about {max(0.0, TICK_SECONDS - age):.0f} s)"


def wait(account: Account, change: Change, afterwards: str) -> None:
    """Wait until a change has come about, and show how far it is.

    Args:
        account: where the fleet is.
        change: what was written; nothing, if the fleet was so already.
        afterwards: what is the case if somebody stops the waiting.

    Raises:
        KeyboardInterrupt: somebody has; its message says ``afterwards``.
    """
    console = Console(highlight=False, markup=False, stderr=True)
    ticked_at = change.fleet.ledger.ticked_at if change.after != change.before else None
    said = ""
    try:
        with console.status("") if console.is_terminal else nullcontext() as spinner:
            while True:
                status = _look(account, change.fleet.spec.fleet)
                text = _progress(status)
                if spinner is not None:
                    spinner.update(text)
                elif text != said:
                    console.print(text)
                said = text
                if status is not None and done(status, ticked_at or 0.0):
                    break
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped waiting. {afterwards}") from None
    say(f"Done: {said}.")


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _look(account: Account, fleet: str) -> FleetStatus | None:
    """Return how a fleet is; ``None`` where the ledger does not answer just now."""
    try:
        return read_status(account, fleet, time.time())
    except Unavailable:
        return None


def _progress(status: FleetStatus | None) -> str:
    """Return how far a fleet is, in one line."""
    if status is None:
        return "the ledger does not answer; trying again"
    saved = sum(notice.confirmed_step is not None for notice in status.notices)
    notices = f", {count(len(status.notices), 'node')} under notice ({saved} saved)" if status.notices else ""
    serving = status.spot.serving + status.backup.serving
    return f"{serving} of {count(status.spot.nodes + status.backup.nodes, 'node')} serving{notices}"
