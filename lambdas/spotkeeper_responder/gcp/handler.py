"""The function's entry point: a message from Pub/Sub in; an error where it has to come again."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from spotkeeper_ledger import open_board
from spotkeeper_ledger.codec import MAX_DOCUMENT_BYTES
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_responder.gcp.cloud import GcpCloud
from spotkeeper_responder.gcp.compute import URL, Compute
from spotkeeper_responder.gcp.events import parse
from spotkeeper_responder.gcp.turns import Outcome, Turns
from spotkeeper_responder.logs import write_line
from spotkeeper_responder.malformed import object_in
from spotkeeper_responder.model import Heard, NoticeHeard, NoticeWritten
from spotkeeper_responder.ports import TimeLeft
from spotkeeper_responder.respond import Responder
from spotkeeper_responder.warm import WarmBoard
from spotkeeper_responder.watch import LEDGER_SECONDS, one_worker

THREADS = 8
"""Of the framework's server where nothing else is said, on two processors."""
GATHER_SECONDS = 1.0
"""How long others that follow a notice are gathered before they are responded to, as a queue's batch window does."""
BATCH_SECONDS = 15.0
"""How long a batch may take, whoever waits behind it."""
ANNOUNCEMENT = "announcement"
"""The field of an entry that people are told of; the alert policy looks for it."""


class Unserved(Exception):
    """The message has to come again."""


class Event(Protocol):
    """What Pub/Sub pushes, parsed: the body of its request, or a CloudEvent."""

    data: Any


def handle(event: Event) -> None:
    """Respond to a message, together with all that have come meanwhile.

    Environment:
        SPOTKEEPER_LEDGER: ``gs://<bucket>``, the responder's ledger; the bucket's name is the responder's.
        SPOTKEEPER_PROJECT, SPOTKEEPER_REGION: where the fleets' groups are.
        THREADS: how many requests are taken at once, for the framework's server as for us; default 8.
        CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE: URL of a stand-in for Compute Engine; default Google's.

    Args:
        event: its ``data`` is what a subscription pushes, which is also that of a CloudEvent of type
            ``google.cloud.pubsub.topic.v1.messagePublished``.

    Raises:
        Unserved: Pub/Sub has to deliver it again.
    """
    message, heard = _heard(event)
    if heard and not _turns().take(message, heard):
        raise Unserved(f"message {message}: a fleet that it concerns was not served to the end")


def respond(heard: Sequence[Heard]) -> Outcome:
    """Respond to a batch."""
    ends_at = time.monotonic() + BATCH_SECONDS
    time_left = TimeLeft(lambda: ends_at - time.monotonic())
    ledger = os.environ["SPOTKEEPER_LEDGER"]
    stand_in = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE")
    compute = Compute(
        os.environ["SPOTKEEPER_PROJECT"],
        os.environ["SPOTKEEPER_REGION"],
        tokens=_tokens(),
        time_left=time_left,
        url=stand_in or URL,
    )
    board = _board(ledger)
    name = ledger.removeprefix("gs://").partition("/")[0]
    cloud = GcpCloud(compute, _announce)
    responder = Responder(
        name, board=board, cloud=cloud, time_left=time_left, worker=_worker(), log=log, emit=_measured
    )
    notices = [isinstance(each.event, NoticeHeard | NoticeWritten) for each in heard]
    if not all(notices):
        board.forget()
    failed = responder.respond(heard)
    return Outcome(failed, max(responder.rest_seconds, GATHER_SECONDS if any(notices) else 0.0))


def log(level: str, message: str, **fields: object) -> None:
    """Write an entry as Cloud Logging reads it: one JSON object a line. Of text only the first line is written."""
    told = {name: value.partition("\n")[0] if isinstance(value, str) else value for name, value in fields.items()}
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    write_line(json.dumps({"severity": level, "message": message, "time": stamp, **told}, default=str))


def _heard(event: Event) -> tuple[str, list[Heard]]:
    """Parse the message. What cannot be read will be no better the next time: it is logged once and taken as done."""
    message = ""
    try:
        published = object_in(object_in({"data": event.data}, "data"), "message")
        message = str(published.get("messageId") or published.get("message_id") or "")
        attributes = object_in({"attributes": {}, **published}, "attributes")
        return message, parse(message, attributes, base64.b64decode(published.get("data") or "", validate=True))
    except (ValueError, TypeError) as error:
        log("ERROR", "malformed event", message_id=message, error=str(error))
        return message, []


def _announce(subject: str, text: str) -> None:
    log("NOTICE", text, **{ANNOUNCEMENT: subject})


def _measured(line: str) -> None:
    """Write what was measured as fields, which log-based metrics are made of."""
    values = json.loads(line)
    log("INFO", "measured", **{name: value for name, value in values.items() if name != "_aws"})


@cache
def _turns() -> Turns:
    return Turns(respond, int(os.environ.get("THREADS") or THREADS))


@cache
def _board(uri: str) -> WarmBoard:
    return WarmBoard(open_board(uri, timeout=LEDGER_SECONDS, most_bytes=MAX_DOCUMENT_BYTES))


@cache
def _worker() -> Executor:
    return one_worker()


@cache
def _tokens() -> TokenSource:
    return TokenSource()
