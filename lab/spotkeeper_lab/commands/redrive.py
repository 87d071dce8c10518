"""``spotkeeper redrive``: what could not be handled, once more."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from spotkeeper.aws import naming
from spotkeeper_lab.commands import BROKEN, OK
from spotkeeper_lab.commands.ledger_option import account_of, add_ledger
from spotkeeper_lab.operations.account import NoCloud, answers
from spotkeeper_lab.operations.dead_letters import Letter, moved, released, taken
from spotkeeper_lab.operations.tables import count, span

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

DESCRIPTION = """\
Puts the messages of the dead-letter queue back into the responder's queue, after showing how many of which kind there
are. A message is deleted from the one only when the other has taken it.
"""
_EPILOG = """\
Redrive once the cause is mended: what fails again comes back after five more tries. Old events do no harm: the
responder decides on what it sees of a fleet, and a warning whose node is gone changes nothing.

exit codes: 0 done; 1 not all messages were taken back, and those are still in the dead-letter queue; 2 wrong input, or
AWS refuses; 130 stopped with Ctrl-C
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
        sqs = account.client("sqs")
        source, target = naming.dead_letter_name(account.responder), naming.queue_name(account.responder)
        source_url, target_url = (_url(sqs, name) for name in (source, target))
        letters = taken(sqs, source_url)
        if not options.json:
            _show(letters, source, time.time())
        done = 0
        if options.dry_run:
            released(sqs, source_url, letters)
        else:
            done = sum(moved(sqs, source_url, target_url, letters))
    if options.json:
        kinds = dict(sorted(Counter(letter.kind for letter in letters).items()))
        told = {"queue": source, "messages": len(letters), "kinds": kinds, "moved": done}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    elif letters and not options.dry_run:
        sys.stdout.write(f"{done} of {count(len(letters), 'message')} put back into {target}.\n")
    return OK if options.dry_run or done == len(letters) else BROKEN


def _url(sqs: SQSClient, queue: str) -> str:
    try:
        with answers():
            return sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    except NoCloud as error:
        raise NoCloud(f"queue {queue} in {sqs.meta.region_name}: {error}") from None


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
