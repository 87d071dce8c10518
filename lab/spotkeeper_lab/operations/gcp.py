"""A responder on Google Cloud, with application default credentials, as Google's own libraries take them.

Which project it is in says its bucket: none has to be configured, and none that is configured can mislead.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from spotkeeper_lab.operations.dead_letters import HOLD_SECONDS, NOTICE, UNREADABLE, Letter
from spotkeeper_lab.operations.google_api import Api, ApplicationDefault, answers
from spotkeeper_ledger import FleetSpec
from spotkeeper_ledger.gcs import URL as STORAGE
from spotkeeper_ledger.gcs import GcsBoard
from spotkeeper_responder.gcp import Compute, GcpCloud, parse
from spotkeeper_responder.gcp.compute import URL as COMPUTE
from spotkeeper_responder.malformed import MalformedEvent
from spotkeeper_responder.model import GroupView, NoticeWritten, Tick

PUBSUB = "https://pubsub.googleapis.com"
PULL_SECONDS = 10.0
"""How long a pull is waited for: Pub/Sub answers it once there is a message, and says of none that there is none."""
TICK, PREEMPTION = "tick", "preemption"
"""Kinds of messages that only Google Cloud has."""
_BURIED, _SENT_AT = "CloudPubSubDeadLetterSource", "CloudPubSubDeadLetterSourceTopicPublishTime"
"""What Pub/Sub adds to the attributes of what it gives up: how their names begin, and when it was first published."""


class GcpAccount:
    """An :class:`~spotkeeper_lab.operations.account.Account` on Google Cloud.

    The environment variables by which Google's own tools are sent to emulators are honoured.

    Args:
        bucket: of the ledger.
        timeout: seconds that one request may take.
    """

    def __init__(self, bucket: str, timeout: float) -> None:
        self._bucket, self._timeout = bucket, timeout
        emulated = os.environ.get("STORAGE_EMULATOR_HOST") and not os.environ.get("GCE_METADATA_HOST")
        self._tokens = None if emulated else ApplicationDefault(timeout)
        self.ledger = GcsBoard(bucket, timeout=timeout, tokens=self._tokens)

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return both groups, as the responder sees them."""
        ends_at = time.monotonic() + self._timeout
        compute = Compute(
            self._project,
            spec.region,
            tokens=self._tokens,
            time_left=lambda: ends_at - time.monotonic(),
            url=os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE") or COMPUTE,
        )
        with answers():
            return GcpCloud(compute, announce=_nobody).groups(spec)

    def dead_letters(self) -> GcpDeadLetters:
        """Return what the dead-letter subscription holds."""
        return GcpDeadLetters(self._api("PUBSUB_EMULATOR_HOST", PUBSUB), self._project, self._bucket)

    @cached_property
    def _project(self) -> str:
        """Number of the project that the bucket is in."""
        found = self._api("STORAGE_EMULATOR_HOST", STORAGE).call("GET", f"/storage/v1/b/{self._bucket}")
        return str(found["projectNumber"])

    def _api(self, variable: str, usual: str) -> Api:
        emulator = os.environ.get(variable, "")
        url = emulator if "://" in emulator or not emulator else f"http://{emulator}"
        return Api(url or usual, self._tokens, self._timeout)


class GcpDeadLetters:
    """:class:`~spotkeeper_lab.operations.dead_letters.DeadLetters` in a subscription of Pub/Sub."""

    batch = 100

    def __init__(self, pubsub: Api, project: str, responder: str) -> None:
        from spotkeeper.gcp import naming  # noqa: PLC0415 - it brings Pulumi, which looking at a fleet needs not

        self.source, self.target = naming.dead_letter_name(responder), naming.topic_name(responder)
        self._pubsub = pubsub
        self._source = f"/v1/projects/{project}/subscriptions/{self.source}"
        self._target = f"/v1/projects/{project}/topics/{self.target}"

    def take(self) -> Sequence[Letter]:
        """Pull some messages."""
        answer = self._pubsub.wait("POST", f"{self._source}:pull", {"maxMessages": self.batch}, PULL_SECONDS)
        letters = [_letter(one) for one in answer.get("receivedMessages", ())]
        if letters:
            self._hold(letters, HOLD_SECONDS)
        return letters

    def release(self, letters: Sequence[Letter]) -> None:
        """Let messages be delivered again."""
        self._hold(letters, 0)

    def move(self, letters: Sequence[Letter]) -> int:
        """Publish messages, which the topic takes all of or none, and acknowledge them."""
        self._pubsub.call("POST", f"{self._target}:publish", {"messages": [dict(letter.message) for letter in letters]})
        self._pubsub.call("POST", f"{self._source}:acknowledge", {"ackIds": [letter.receipt for letter in letters]})
        return len(letters)

    def _hold(self, letters: Sequence[Letter], seconds: int) -> None:
        body = {"ackIds": [letter.receipt for letter in letters], "ackDeadlineSeconds": seconds}
        self._pubsub.call("POST", f"{self._source}:modifyAckDeadline", body)


def kind_of(attributes: Mapping[str, str], data: bytes) -> str:
    """Return what a message is about, as the responder would read it."""
    try:
        heard = parse("", attributes, data)
    except MalformedEvent:
        return UNREADABLE
    if any(isinstance(each.event, Tick) for each in heard):
        return TICK
    return NOTICE if any(isinstance(each.event, NoticeWritten) for each in heard) else PREEMPTION


def _letter(received: Mapping[str, Any]) -> Letter:
    found = received["message"]
    attributes: Mapping[str, str] = found.get("attributes", {})
    ours = {name: value for name, value in attributes.items() if not name.startswith(_BURIED)}
    return Letter(
        id=found["messageId"],
        kind=kind_of(ours, base64.b64decode(found.get("data", ""))),
        sent_at=_timestamp(attributes.get(_SENT_AT, "")) or _timestamp(found.get("publishTime", "")),
        message={"data": found.get("data", ""), "attributes": ours},
        receipt=received["ackId"],
    )


def _timestamp(text: str) -> float:
    """Return Unix seconds; 0 for what is no time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _nobody(subject: str, text: str) -> None:
    """Nothing is announced from here."""
