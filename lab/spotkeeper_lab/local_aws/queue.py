"""From the queue to the function: Lambda's event source mapping for SQS.

The queue, its visibility timeout and its redrive to the dead-letter queue are moto's. One batch is handled at a time.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.sqs.models import Message, Queue, sqs_backends

from spotkeeper_lab.local_aws.function import Function, FunctionFailed, FunctionKilled
from spotkeeper_lab.local_aws.world import World

PARTIAL = "ReportBatchItemFailures"

_POLL_SECONDS = 0.2
_RECEIVED_AT_ONCE = 10


@dataclass(frozen=True)
class Mapped:
    """An event source mapping."""

    queue: str
    """The queue's name."""
    queue_arn: str
    batch_size: int = 10
    window_seconds: float = 0.0
    """How long messages are gathered from the first one on, unless the batch is full before."""
    partial: bool = False
    """Whether the function tells which messages of a batch failed."""


def event_of(messages: Sequence[Message], source: str, region: str) -> Mapping[str, Any]:
    """Return the event that the function gets for messages of the queue with ARN ``source``."""
    records = [
        {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.approximate_receive_count),
                "SentTimestamp": str(message.sent_timestamp),
                "SenderId": message.sender_id,
                "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
            },
            "messageAttributes": {},
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": source,
            "awsRegion": region,
        }
        for message in messages
    ]
    return {"Records": records}


def failed(result: Any, ids: Collection[str]) -> set[str]:
    """Return which messages of a batch the function's result says have failed.

    All have where the result cannot be understood or names a message that was not in the batch.
    """
    if not result:
        return set()
    try:
        named = {item["itemIdentifier"] for item in result.get("batchItemFailures") or ()}
    except (AttributeError, KeyError, TypeError):
        return set(ids)
    understood = named.issubset(ids)
    return named if understood else set(ids)


class Poller:
    """Takes messages from a queue to a function, in a thread of its own, until it is closed."""

    def __init__(self, world: World, mapped: Mapped, function: Function) -> None:
        self._world = world
        self._mapped = mapped
        self._function = function
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-aws-poller", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more messages, and end the function together with the batch that it has."""
        self._closed.set()
        self._function.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                batch = self._gather()
                if batch:
                    self._hand_over(batch)
            except Exception:  # noqa: BLE001 - whatever it was, it must be told and not end the thread
                self._world.events.add("local-cloud-failed", error=traceback.format_exc())
                self._closed.wait(_POLL_SECONDS)

    def _gather(self) -> list[Message]:
        """Return the next batch; empty where none came within a short time."""
        batch = self._receive(self._mapped.batch_size)
        if not batch:
            self._queue().wait_for_messages(_POLL_SECONDS)  # type: ignore[arg-type]  # a condition's timeout: any number
            return []
        until = time.monotonic() + self._mapped.window_seconds
        while len(batch) < self._mapped.batch_size and (left := until - time.monotonic()) > 0:
            if self._closed.is_set():
                break
            more = self._receive(self._mapped.batch_size - len(batch))
            if not more:
                self._queue().wait_for_messages(min(left, _POLL_SECONDS))  # type: ignore[arg-type]  # as above
            batch += more
        return batch

    def _receive(self, most: int) -> list[Message]:
        with self._world.lock:
            queues = sqs_backends[self._world.account][self._world.region]
            hidden = self._world.timing.visibility_seconds
            if hidden is None:
                hidden = queues.get_queue_attributes(self._mapped.queue, ["VisibilityTimeout"])["VisibilityTimeout"]
            return queues.receive_message(self._mapped.queue, min(most, _RECEIVED_AT_ONCE), 0, math.ceil(float(hidden)))

    def _queue(self) -> Queue:
        return sqs_backends[self._world.account][self._world.region].get_queue(self._mapped.queue)

    def _hand_over(self, batch: Sequence[Message]) -> None:
        began = time.monotonic()
        repeated = sum(int(message.approximate_receive_count) > 1 for message in batch)
        try:
            result = self._function.invoke(event_of(batch, self._mapped.queue_arn, self._world.region))
        except FunctionKilled:
            return  # who did it has told; the messages appear again after the visibility timeout
        except FunctionFailed as error:
            if not self._closed.is_set():
                self._world.events.add("function-failed", batch=len(batch), error=str(error))
            return  # as above
        ms = round(1000 * (time.monotonic() - began))
        again = failed(result, {message.id for message in batch}) if self._mapped.partial else set()
        self._world.events.add("function-invoked", batch=len(batch), repeated=repeated, ms=ms, failed=len(again))
        with self._world.lock:
            for message in batch:
                if message.id not in again:
                    self._queue().delete_message(str(message.receipt_handle))
