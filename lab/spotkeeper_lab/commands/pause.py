"""``spotkeeper pause``: let a fleet rest."""

from __future__ import annotations

import argparse
import time

from spotkeeper_lab.commands import OK
from spotkeeper_lab.commands.ledger_option import CODES, account_of, add_ledger
from spotkeeper_lab.commands.waiting import add_wait, say, wait, when
from spotkeeper_lab.operations import pausing
from spotkeeper_lab.operations.tables import paused
from spotkeeper_ledger import HELD, STOPPED

DESCRIPTION = """\
Lets a fleet save and go to nothing: its job writes a checkpoint, every node is drained by name, and both groups are
at zero until `spotkeeper resume`. With --hold the nodes stay, and the responder keeps its hands off them: it still
tells the job of interruptions, but changes no size and drains and terminates nothing, whatever happens.
"""
_EPILOG = f"""\
It says what will happen and when. A fleet that is paused already stays as it is; the other mode replaces it.

examples:
  spotkeeper pause vision-prod-resnet --reason "price peak" --wait
  spotkeeper pause vision-prod-resnet --hold --reason "looking into INC-42"
{CODES}"""
_WILL = {
    STOPPED: "its job saves, every node is drained and terminated, and both groups go to zero",
    HELD: "the responder changes no size and lets nobody go; interruptions are still signalled",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pause``."""
    parser.epilog = _EPILOG
    parser.add_argument("fleet", metavar="FLEET", help="id of the fleet; `spotkeeper status` lists them")
    parser.add_argument("--hold", action="store_true", help="keep the nodes, and keep hands off them")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why: shown by `spotkeeper status`")
    add_ledger(parser)
    add_wait(parser, "until no node is left (with --hold: until the responder has seen it)")


def run(options: argparse.Namespace) -> int:
    """Pause the fleet and say what that does."""
    now, mode = time.time(), HELD if options.hold else STOPPED
    with account_of(options) as account:
        change = pausing.pause(account.ledger, options.fleet, mode, options.reason, now)
        if change.after == change.before and change.before is not None:
            say(f"{options.fleet} is paused already: {paused(change.before, now)}. Nothing was changed.")
        elif mode == STOPPED and change.fleet.ledger.job_ended_at is not None:
            say(f"{options.fleet} is paused, but its job is over: it goes to zero in any case.")
        else:
            say(f"{options.fleet} is paused. {when(change.fleet.ledger, now)}, {_WILL[mode]}.")
            say(f"It goes on with: spotkeeper resume {options.fleet}")
        if options.wait:
            wait(account, change, f"{options.fleet} stays paused.")
    return OK
