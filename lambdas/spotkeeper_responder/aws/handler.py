"""The function's entry point: a batch from SQS in, the messages that have to come again out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import cache
from typing import Any, Protocol

from spotkeeper_ledger import open_board
from spotkeeper_ledger.codec import MAX_DOCUMENT_BYTES
from spotkeeper_responder.aws.cloud import AwsCloud, Clients
from spotkeeper_responder.aws.events import parse
from spotkeeper_responder.aws.prices import SpotPrices
from spotkeeper_responder.logs import log
from spotkeeper_responder.malformed import MalformedEvent
from spotkeeper_responder.model import Heard, NoticeHeard, NoticeWritten
from spotkeeper_responder.ports import TimeLeft
from spotkeeper_responder.respond import Responder
from spotkeeper_responder.warm import WarmBoard
from spotkeeper_responder.watch import LEDGER_SECONDS, one_worker

RESERVED_SECONDS = 1.5
"""Kept of the function's time: what was begun has to end, and the answer to be given, before Lambda ends it."""


class Context(Protocol):
    """What is used of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long this invocation may still take."""


def handle(event: Mapping[str, Any], context: Context) -> dict[str, list[dict[str, str]]]:
    """Respond to a batch.

    Environment:
        SPOTKEEPER_LEDGER: ``s3://<bucket>``, the responder's ledger; the bucket's name is the responder's.
        SPOTKEEPER_DOCUMENT: name of the SSM document that tells agents of a notice.
        SPOTKEEPER_TOPIC_ARN: the SNS topic that tells people.

    Args:
        event: from SQS, with its ``Records``.
        context: Lambda's.

    Returns:
        The messages that failed, in the form that ``ReportBatchItemFailures`` asks for.
    """
    time_left = TimeLeft(lambda: context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS)
    ledger = os.environ["SPOTKEEPER_LEDGER"]
    name = ledger.removeprefix("s3://").partition("/")[0]
    document = os.environ["SPOTKEEPER_DOCUMENT"]
    topic = os.environ["SPOTKEEPER_TOPIC_ARN"]
    cloud = AwsCloud(_clients(), _prices(), responder=name, document=document, topic=topic, time_left=time_left)
    board = _board(ledger)
    responder = Responder(name, board=board, cloud=cloud, time_left=time_left, worker=_worker())
    heard = _heard(event["Records"])
    if not all(isinstance(each.event, NoticeHeard | NoticeWritten) for each in heard):
        board.forget()
    failed = responder.respond(heard)
    time.sleep(max(0.0, min(responder.rest_seconds, time_left())))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in sorted(failed)]}


def _heard(records: Sequence[Mapping[str, Any]]) -> list[Heard]:
    """Parse the batch. What cannot be read will be no better the next time: it is logged once and taken as done."""
    heard: list[Heard] = []
    for record in records:
        message = record["messageId"]
        try:
            heard += parse(message, record["body"])
        except MalformedEvent as error:
            log("ERROR", "malformed event", message_id=message, error=str(error))
    return heard


@cache
def _board(uri: str) -> WarmBoard:
    return WarmBoard(open_board(uri, timeout=LEDGER_SECONDS, most_bytes=MAX_DOCUMENT_BYTES))


@cache
def _worker() -> Executor:
    return one_worker()


@cache
def _clients() -> Clients:
    return Clients()


@cache
def _prices() -> SpotPrices:
    return SpotPrices()
