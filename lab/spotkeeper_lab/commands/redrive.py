"""``spotkeeper redrive``: what could not be handled, once more."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

from rich.console import Console
from rich.table import Table

from spotkeeper_lab.commands import BROKEN, OK
from spotkeeper_lab.commands.ledger_option import account_of, add_ledger
from spotkeeper_lab.operations.dead_letters import DeadLetters, Letter, moved, released, taken
from spotkeeper_lab.operations.tables import count, span

DESCRIPTION = """\
Puts the messages that the responder could not handle back to where it gets its own, after showing how many of which
kind there are: from the dead-letter queue into its queue on AWS, from the dead-letter subscription into its topic on
Google Cloud. A message is deleted from the one only when the other has taken it.
"""
_EPILOG = """\
Redrive once the cause is mended: what fails again comes back after as many tries as before. Old events do no harm:
the responder decides on what it sees of a fleet, and a warning whose node is gone changes nothing. Google Cloud says of
a subscription that holds nothing more only that it waits: ten seconds of that are taken for an answer.

exit codes: 0 done; 1 not all messages were taken back, and those are still where they were; 2 wrong input, or the
cloud refuses; 130 stopped with Ctrl-C
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``redrive``."""
    parser.epilog = _EPILOG
    add_ledger(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what is there and move nothing")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Show the dead letters and move them."""
    with account_of(options) as account:
        dead = account.dead_letters()
        letters = _found(dead)
        if not options.json:
            _show(letters, dead.source, time.time())
        done = 0
        if options.dry_run:
            released(dead, letters)
        else:
            done = sum(moved(dead, letters))
    if options.json:
        kinds = dict(sorted(Counter(letter.kind for letter in letters).items()))
        told = {"queue": dead.source, "messages": len(letters), "kinds": kinds, "moved": done}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    elif letters and not options.dry_run:
        sys.stdout.write(f"{done} of {count(len(letters), 'message')} put back into {dead.target}.\n")
    return OK if options.dry_run or done == len(letters) else BROKEN


def _found(dead: DeadLetters) -> Sequence[Letter]:
    """Take all messages; it is told meanwhile, for some clouds are slow to say that there are no more."""
    console = Console(stderr=True)
    with console.status(f"Looking through {dead.source}") if console.is_terminal else nullcontext():
        return taken(dead)


def _show(letters: Sequence[Letter], queue: str, now: float) -> None:
    console = Console(highlight=False, markup=False)
    if not letters:
        console.print(f"{queue} is empty.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("messages", justify="right")
    table.add_column("kind")
    table.add_column("oldest", justify="right")
    for kind, number in Counter(letter.kind for letter in letters).most_common():
        oldest = min(letter.sent_at for letter in letters if letter.kind == kind)
        table.add_row(str(number), kind, f"{span(max(0.0, now - oldest))} ago")
    console.print(table)
