"""Messages of Pub/Sub, and the requests by which they are pushed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from spotkeeper_lab.local_gcp.services import Given
from spotkeeper_lab.local_gcp.world import now

PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"


@dataclass(frozen=True)
class Message:
    """What was published."""

    id: str
    data: bytes
    attributes: Mapping[str, str]
    published: str = field(default_factory=now)

    def json(self) -> Given:
        """Return it as it is delivered: a push has some names in both spellings."""
        data = base64.b64encode(self.data).decode()
        attributes = {"attributes": dict(self.attributes)} if self.attributes else {}
        spelt = {"messageId": self.id, "publishTime": self.published}
        return {**attributes, "data": data, **spelt}


def pushed(subscription: Given, message: Message, attempt: int) -> tuple[bytes, Mapping[str, str]]:
    """Return a push's body and headers; Eventarc's subscriptions have those of a CloudEvent."""
    told = {**message.json(), "message_id": message.id, "publish_time": message.published}
    body = {"message": told, "subscription": subscription["name"]}
    if subscription.get("deadLetterPolicy"):
        body["deliveryAttempt"] = attempt
    headers = {"Content-Type": "application/json"}
    if subscription.get("labels", {}).get("goog-eventarc"):
        topic = str(subscription["topic"])
        headers |= {"ce-specversion": "1.0", "ce-type": PUBLISHED, "ce-source": f"//pubsub.googleapis.com/{topic}"}
        headers |= {"ce-id": message.id, "ce-time": message.published}
    return json.dumps(body).encode(), headers
