"""Pub/Sub: topics, and subscriptions that push each message to an address, or keep it until somebody pulls it.

A push is one request with one message. Statuses below 300 acknowledge it; any other, or none within the subscription's
deadline, brings it again after a while that doubles, until the subscription's dead-letter policy sends it elsewhere.
Source: Pub/Sub documentation, "Push subscriptions", "Handle message failures", and its REST reference.

Not done: filters, ordering, exactly-once delivery, schemas, snapshots, seeking, retention, messages without a wrapper,
identity tokens, and the slow start of pushing.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_gcp.messages import Message, pushed
from spotkeeper_lab.local_gcp.refusals import Refused, invalid
from spotkeeper_lab.local_gcp.services import Given, Kept, Method, Policies
from spotkeeper_lab.local_gcp.subscription_rules import ATTEMPTS, DEADLINES, camel, check, pause, within
from spotkeeper_lab.local_gcp.timing import Timing

ABSENT = 0
"""Status of a push to an address behind which nothing has been started yet."""
_PUSHES = 1000
_COPIES = 3
_SHUFFLE_SECONDS = 1.0
_AGAIN_SECONDS = 0.2
_SOURCE = "CloudPubSubDeadLetterSource"


@dataclass
class MessageFaults:
    """What goes wrong with the cloud's own messages. May be switched at any time."""

    drop_warnings: bool = False
    """Lose what the audit log says of preemptions."""
    duplicate: bool = False
    """Deliver every message three times, under one id."""
    shuffle: bool = False
    """Deliver every copy up to a second late, each by a time of its own."""


class Push(Protocol):
    """Delivers a message."""

    def __call__(self, address: str, body: bytes, headers: Mapping[str, str], seconds: float, *, again: bool) -> int:
        """Return the status that an address answered within so many seconds, :data:`ABSENT` where nothing is there.

        Args:
            address: URL.
            body: of the request.
            headers: of the request.
            seconds: how long the answer may take.
            again: whether the message was delivered before.

        Raises:
            OSError: There was no answer.
        """


class PubSub:
    """The topics and subscriptions of a project.

    Args:
        timers: do what is due later.
        faults: what goes wrong.
        push: delivers messages.
        tell: is told of what is given up, by the subscription.
        timing: how long pushes and pulls take.
    """

    def __init__(
        self,
        timers: Timers,
        faults: MessageFaults,
        push: Push,
        tell: Callable[[str], object],
        timing: Timing,
    ) -> None:
        self._timers, self._faults, self._push, self._tell = timers, faults, push, tell
        self._timing = timing
        self.topics, self.subscriptions = Kept(), Kept()
        self._policies = Policies()
        self._ids = itertools.count(10**16)
        self._random = random.Random(0)  # noqa: S311 - order, not secrets; the same in every run
        self._kept: dict[str, dict[str, tuple[Message, float]]] = {}
        """Messages that wait to be pulled, by subscription and id, and until when each is somebody's."""
        self._changed = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(_PUSHES, thread_name_prefix="local-gcp-push")

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Publish a message and return its id.

        Raises:
            Refused: There is no such topic.
        """
        self.topics.get(topic)
        message = Message(str(next(self._ids)), data, attributes)
        for subscription in [one for one in self.subscriptions if one["topic"] == topic]:
            self._take(subscription, message)
        return message.id

    def kept(self, subscription: str) -> list[Message]:
        """Return the messages that wait for somebody who pulls."""
        with self._changed:
            return [message for message, _ in self._kept.get(subscription, {}).values()]

    def pushed_topic(self) -> str:
        """Return the one topic whose messages are pushed.

        Raises:
            RuntimeError: There is not exactly one push subscription.
        """
        found = [one for one in self.subscriptions if one.get("pushConfig", {}).get("pushEndpoint")]
        if len(found) != 1:
            raise RuntimeError(f"push subscriptions: were {len(found)}, expected one, to the function")
        return str(found[0]["topic"])

    def subscribe(self, name: str, fields: Given) -> Given:
        """Make a subscription.

        Raises:
            Refused: There is one of that name, or it is not what it may be.
        """
        given = {"ackDeadlineSeconds": DEADLINES[0], **{key: value for key, value in fields.items() if value != 0}}
        check(self.topics, given)
        return self.subscriptions.add(name, {"state": "ACTIVE", **given})

    def close(self) -> None:
        """Deliver nothing more, let nobody wait, and wait for what is being delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown(cancel_futures=True)

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        topic, subscription = "pubsub.projects.topics", "pubsub.projects.subscriptions"
        return {
            **self._policies.methods(topic, subscription),
            f"{topic}.create": lambda asked, body: self.topics.add(asked["name"], body),
            f"{topic}.get": lambda asked, _: self.topics.get(asked["topic"]),
            f"{topic}.patch": lambda asked, body: self.topics.patch(asked["name"], body["topic"]),
            f"{topic}.delete": lambda asked, _: self.topics.remove(asked["topic"]),
            f"{topic}.list": lambda asked, _: {"topics": self.topics.below(asked["project"])},
            f"{topic}.publish": self._publish,
            f"{subscription}.create": lambda asked, body: self.subscribe(asked["name"], body),
            f"{subscription}.get": lambda asked, _: self.subscriptions.get(asked["subscription"]),
            f"{subscription}.patch": self._patch,
            f"{subscription}.delete": self._delete,
            f"{subscription}.list": lambda asked, _: {"subscriptions": self.subscriptions.below(asked["project"])},
            f"{subscription}.pull": self._pull,
            f"{subscription}.acknowledge": self._acknowledge,
            f"{subscription}.modifyAckDeadline": self._modify,
        }

    def _publish(self, asked: Given, body: Given) -> Given:
        messages = body.get("messages", ())
        for message in messages:
            if not message.get("data") and not message.get("attributes"):
                why = "The message must have either data or at least one attribute."
                raise invalid("messages", message, why)
        if not messages:
            raise invalid("messages", messages, "Must not be empty.")
        found = [
            self.publish(asked["topic"], base64.b64decode(one.get("data", "")), one.get("attributes", {}))
            for one in messages
        ]
        return {"messageIds": found}

    def _patch(self, _: Given, body: Given) -> Given:
        changes, mask = body["subscription"], str(body.get("updateMask", "")).split(",")
        name = changes["name"]
        wanted = {key: changes.get(key) for key in (camel(path) for path in mask)}
        check(self.topics, {**self.subscriptions.get(name), **{k: v for k, v in wanted.items() if v is not None}})
        return self.subscriptions.patch(name, wanted)

    def _delete(self, asked: Given, _: Given) -> Given:
        with self._changed:
            self._kept.pop(asked["subscription"], None)
        return self.subscriptions.remove(asked["subscription"])

    def _pull(self, asked: Given, body: Given) -> Given:
        name, ends_at = asked["subscription"], time.monotonic() + self._timing.pull_seconds
        seconds, most = self.subscriptions.get(name)["ackDeadlineSeconds"], int(body["maxMessages"])
        with self._changed:
            while not (free := self._free(name)[:most]):
                left = ends_at - time.monotonic()
                if left <= 0 or self._closed or body.get("returnImmediately"):
                    break
                self._changed.wait(min(left, _AGAIN_SECONDS))  # what was held may be free, without anybody's word
            self._hold(name, [message.id for message in free], seconds)
        found = [{"ackId": message.id, "message": message.json()} for message in free]
        return {"receivedMessages": found} if found else {}

    def _acknowledge(self, asked: Given, body: Given) -> Given:
        self.subscriptions.get(asked["subscription"])
        with self._changed:
            for ack in body["ackIds"]:
                self._kept.get(asked["subscription"], {}).pop(ack, None)
        return {}

    def _modify(self, asked: Given, body: Given) -> Given:
        self.subscriptions.get(asked["subscription"])
        within("ackDeadlineSeconds", body.get("ackDeadlineSeconds", 0), (0, DEADLINES[1]))
        with self._changed:
            self._hold(asked["subscription"], body["ackIds"], body.get("ackDeadlineSeconds", 0))
        return {}

    def _free(self, subscription: str) -> list[Message]:
        return [message for message, held in self._kept.get(subscription, {}).values() if held <= time.monotonic()]

    def _hold(self, subscription: str, ids: Sequence[str], seconds: float) -> None:
        """Let nobody else have messages for a time; those that are there no more are no error."""
        kept = self._kept.get(subscription, {})
        for one in ids:
            if one in kept:
                kept[one] = (kept[one][0], time.monotonic() + seconds)
        self._changed.notify_all()

    def _take(self, subscription: Given, message: Message) -> None:
        if not subscription.get("pushConfig", {}).get("pushEndpoint"):
            with self._changed:
                self._kept.setdefault(subscription["name"], {})[message.id] = (message, 0.0)
                self._changed.notify_all()
            return
        for copy in range(_COPIES if self._faults.duplicate else 1):
            late = self._random.uniform(0, _SHUFFLE_SECONDS) if self._faults.shuffle else 0.0
            self._later(late, subscription["name"], message, attempt=1, lasts=copy == 0, repeated=copy > 0)

    def _later(self, seconds: float, name: str, message: Message, *, attempt: int, lasts: bool, repeated: bool) -> None:
        deliver = partial(self._deliver, name, message, attempt=attempt, lasts=lasts, repeated=repeated)
        self._timers.after(seconds, partial(self._submit, deliver))

    def _submit(self, deliver: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed
            self._pool.submit(deliver)

    def _deliver(self, name: str, message: Message, *, attempt: int, lasts: bool, repeated: bool) -> None:
        """Push a message once; ``lasts``: whether it comes again until it is taken, as all copies but one do not."""
        try:
            subscription = self.subscriptions.get(name)
        except Refused:
            return  # it was deleted meanwhile
        body, headers = pushed(subscription, message, attempt)
        address, seconds = subscription["pushConfig"]["pushEndpoint"], float(subscription["ackDeadlineSeconds"])
        try:
            status = self._push(address, body, headers, seconds, again=repeated or attempt > 1)
        except OSError:
            status = 500
        if self._closed or 100 <= status < 300 or (not lasts and status != ABSENT):
            return
        if status == ABSENT:
            self._later(_AGAIN_SECONDS, name, message, attempt=attempt, lasts=lasts, repeated=repeated)
            return
        dead = subscription.get("deadLetterPolicy", {})
        if dead and attempt >= int(dead.get("maxDeliveryAttempts") or ATTEMPTS[0]):
            self._bury(subscription, message, attempt)
            return
        pause = self._pause(subscription.get("retryPolicy", {}), attempt)
        self._later(pause, name, message, attempt=attempt + 1, lasts=lasts, repeated=repeated)

    def _pause(self, policy: Given, attempt: int) -> float:
        again = self._timing.redelivery_seconds
        return pause(policy, attempt) if again is None else again

    def _bury(self, subscription: Given, message: Message, attempts: int) -> None:
        source = {
            f"{_SOURCE}DeliveryCount": str(attempts),
            f"{_SOURCE}Subscription": subscription["name"].rpartition("/")[2],
            f"{_SOURCE}SubscriptionProject": subscription["name"].split("/")[1],
            f"{_SOURCE}TopicPublishTime": message.published,
        }
        self.publish(
            subscription["deadLetterPolicy"]["deadLetterTopic"], message.data, {**message.attributes, **source}
        )
        self._tell(subscription["name"])
