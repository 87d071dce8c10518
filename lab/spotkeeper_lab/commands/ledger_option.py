"""The option that all commands on real fleets share: which ledger, and what can go wrong on the way to it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from spotkeeper_lab.commands import Refused
from spotkeeper_lab.operations.account import Account, NoCloud, open_account
from spotkeeper_lab.operations.reading import UnknownFleet
from spotkeeper_ledger import BoardError, MalformedDocument

VARIABLE = "SPOTKEEPER_LEDGER"
CODES = """
exit codes: 0 done; 2 wrong input, or the ledger or the cloud refuses; 130 stopped with Ctrl-C
"""


def add_ledger(parser: argparse.ArgumentParser) -> None:
    """Add ``--ledger``."""
    parser.add_argument(
        "--ledger",
        metavar="URI",
        default=os.environ.get(VARIABLE, ""),
        help=f"the responder's ledger, s3://BUCKET or gs://BUCKET, as the stack exports it as uri (default: "
        f"${VARIABLE}). AWS is reached with the credentials and the region that the AWS command line would take, "
        "Google Cloud with application default credentials",
    )


@contextmanager
def account_of(options: argparse.Namespace) -> Iterator[Account]:
    """Give the account that ``--ledger`` names.

    Raises:
        Refused: whatever goes wrong on the way to it, in one line.
    """
    if not options.ledger:
        raise Refused(f"name the ledger: --ledger s3://BUCKET or gs://BUCKET, or set {VARIABLE}")
    try:
        account = open_account(options.ledger)
    except ValueError as error:
        raise Refused(f"--ledger{str(error).removeprefix('uri')}") from None
    except NoCloud as error:
        raise Refused(str(error)) from None
    try:
        yield account
    except (BoardError, MalformedDocument, NoCloud, UnknownFleet) as error:
        raise Refused(str(error).partition("\n")[0]) from None
