"""``spotkeeper resume``: let a paused fleet go on."""

from __future__ import annotations

import argparse
import time

from spotkeeper_lab.commands import OK
from spotkeeper_lab.commands.ledger_option import CODES, account_of, add_ledger
from spotkeeper_lab.commands.waiting import add_wait, say, wait, when
from spotkeeper_lab.operations import pausing
from spotkeeper_lab.operations.tables import paused

DESCRIPTION = """\
Lets a paused fleet go on: spot nodes are asked for again, on-demand ones for what is missing as its policy says, and
the job goes on from its last checkpoint.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``resume``."""
    parser.epilog = CODES
    parser.add_argument("fleet", metavar="FLEET", help="id of the fleet; `spotkeeper status` lists them")
    add_ledger(parser)
    add_wait(parser, "until as many nodes serve as the fleet wants")


def run(options: argparse.Namespace) -> int:
    """Resume the fleet and say what that does."""
    now = time.time()
    with account_of(options) as account:
        change = pausing.resume(account.ledger, options.fleet)
        target = change.fleet.spec.target
        if change.before is None:
            say(f"{options.fleet} is not paused. Nothing was changed.")
        elif change.fleet.ledger.job_ended_at is not None:
            say(f"{options.fleet} is no longer paused, but its job is over: nothing will start.")
        else:
            say(f"{options.fleet} goes on: it was {paused(change.before, now)}.")
            say(f"{when(change.fleet.ledger, now)}, it is brought back to {target} nodes.")
        if options.wait:
            wait(account, change, f"{options.fleet} goes on all the same.")
    return OK
