"""``spotkeeper status``: how fleets are."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from rich.console import Console

from spotkeeper_lab.commands import OK
from spotkeeper_lab.commands.ledger_option import CODES, account_of, add_ledger
from spotkeeper_lab.operations.account import Account, NoCloud
from spotkeeper_lab.operations.reading import Fleet, read_fleet, read_fleets, read_job, reported_at
from spotkeeper_lab.operations.status import FleetStatus, status_of
from spotkeeper_lab.operations.tables import details, overview
from spotkeeper_responder.model import GroupView

FILE_WIDTH = 160
"""Columns of what is not written to a terminal, which has its own width."""

DESCRIPTION = """\
Shows all fleets of a ledger in a table, or one fleet in full: its nodes, what is missing and since when, the last
tick, the job and its last checkpoint, nodes under notice, failed launches, what was used, and whether it is paused.
"""
_EPILOG = f"""\
The table is made of the ledger alone. For one fleet its two groups are described as well, which is how nodes on
an old version of the launch template are known. Where that cannot be asked, nodes are those that the last tick saw,
and the output says so.
{CODES}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``status``."""
    parser.epilog = _EPILOG
    parser.add_argument("fleet", nargs="?", metavar="FLEET", help="id of the fleet to show in full")
    add_ledger(parser)
    parser.add_argument("--json", action="store_true", help="for programs: a list of fleets, or one fleet")


def run(options: argparse.Namespace) -> int:
    """Show one fleet, or all of them."""
    now = time.time()
    with account_of(options) as account:
        if options.fleet:
            statuses = [read_status(account, options.fleet, now)]
        else:
            statuses = [_status(account, fleet, now) for fleet in read_fleets(account.ledger)]
    if options.json:
        told = [asdict(status) for status in statuses]
        sys.stdout.write(json.dumps(told[0] if options.fleet else told, indent=2) + "\n")
    else:
        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = FILE_WIDTH
        console.print(details(statuses[0], now) if options.fleet else overview(statuses))
    return OK


def read_status(account: Account, name: str, now: float) -> FleetStatus:
    """Return how a fleet is, of its groups too where they can be described.

    Raises:
        UnknownFleet: there is none of this name.
        BoardError: the ledger cannot be read.
    """
    fleet = read_fleet(account.ledger, name)
    try:
        return _status(account, fleet, now, groups=account.groups(fleet.spec))
    except NoCloud as error:
        return _status(account, fleet, now, problem=str(error))


def _status(
    account: Account,
    fleet: Fleet,
    now: float,
    *,
    groups: tuple[GroupView, GroupView] | None = None,
    problem: str = "",
) -> FleetStatus:
    job, reports = read_job(account.ledger, fleet.spec), reported_at(account.ledger, fleet.spec)
    return status_of(fleet, job, reports, now, groups=groups, problem=problem)
