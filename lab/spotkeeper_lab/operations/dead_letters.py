"""Dead letters: what the responder could not handle, looked through and put back into its queue.

SQS's own ``StartMessageMoveTask`` is not used: AWS limits it to what came from another queue, and a part of what lies
in this one came from EventBridge. So each message is sent to the queue first and deleted only then: whatever happens,
it is in one of the two. One that is in both does no harm, for the responder decides on what it sees, not on what it
hears.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spotkeeper_lab.operations.account import answers

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

HOLD_SECONDS = 600
"""For how long messages that were taken are nobody else's."""
BATCH = 10
"""Most messages that one request takes."""
NOTICE, UNREADABLE = "notice of a node", "unreadable"
"""Kinds of messages besides EventBridge's own: of the bucket, about what a node has written; and what no sender should
have sent, which the responder logs and drops."""


@dataclass(frozen=True)
class Letter:
    """One message."""

    kind: str
    sent_at: float
    """Unix seconds."""
    body: str
    receipt: str
    """What it is deleted by."""


def taken(sqs: SQSClient, queue: str) -> list[Letter]:
    """Take all messages of a queue, which nobody else gets meanwhile.

    Raises:
        NoCloud: SQS refuses, or there is no such queue.
    """
    found: list[Letter] = []
    with answers():
        while True:
            answer = sqs.receive_message(
                QueueUrl=queue,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=HOLD_SECONDS,
                WaitTimeSeconds=1,  # asks all of SQS's servers: an empty answer means an empty queue
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return found
            for message in messages:
                sent_at = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
                body = message.get("Body", "")
                found.append(Letter(kind_of(body), sent_at, body, message.get("ReceiptHandle", "")))


def kind_of(body: str) -> str:
    """Return what a message is about: the ``detail-type`` of EventBridge's events, or one of the kinds above."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(envelope, dict):
        return UNREADABLE
    if "Records" in envelope:
        return NOTICE
    return str(envelope["detail-type"]) if "detail-type" in envelope else UNREADABLE


def released(sqs: SQSClient, queue: str, letters: Sequence[Letter]) -> None:
    """Let others have messages that were taken."""
    with answers():
        for part in _batches(letters):
            entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                {"Id": str(n), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0} for n, letter in enumerate(part)
            ]
            sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries)


def moved(sqs: SQSClient, source: str, target: str, letters: Sequence[Letter]) -> Iterator[int]:
    """Move messages, and yield after each batch how many of it are in the target.

    Whatever the target does not take stays in the source.

    Raises:
        NoCloud: SQS refuses; what was not moved by then is in the source.
    """
    for part in _batches(letters):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(n), "MessageBody": letter.body} for n, letter in enumerate(part)
        ]
        with answers():
            sent = [
                part[int(done["Id"])] for done in sqs.send_message_batch(QueueUrl=target, Entries=entries)["Successful"]
            ]
            if sent:
                sqs.delete_message_batch(
                    QueueUrl=source,
                    Entries=[{"Id": str(n), "ReceiptHandle": letter.receipt} for n, letter in enumerate(sent)],
                )
        kept = [letter for letter in part if letter not in sent]
        if kept:
            released(sqs, source, kept)
        yield len(sent)


def _batches(letters: Sequence[Letter]) -> Iterator[Sequence[Letter]]:
    for start in range(0, len(letters), BATCH):
        yield letters[start : start + BATCH]
