"""From a Pub/Sub message to events: the audit log's word of a preemption, a node's own, and the clock's.

Whatever cannot be read is refused with a reason; whatever can be read and means nothing here gives no events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from spotkeeper_ledger import INTERRUPTION, keys
from spotkeeper_responder.gcp.names import node_of, place_of
from spotkeeper_responder.malformed import MalformedEvent, object_in, time_in
from spotkeeper_responder.model import Heard, NoticeHeard, NoticeWritten, Tick

KIND = "spotkeeper"
"""The attribute that says what a message of our own is: :data:`TICK` or :data:`NOTICE`."""
TICK, NOTICE = "tick", "notice"
PREEMPTED = "compute.instances.preempted"
"""The audit log's name of a preemption. Some write it with ``v1.`` before it, so its end is what counts."""
_RESOURCE = re.compile(r"projects/[^/]+/zones/[^/]+/instances/([^/]+)")
_FOLDER = re.compile(r"[^/]{1,256}")


def parse(message: str, attributes: Mapping[str, Any], data: bytes) -> list[Heard]:
    """Return what a message says; nothing, if it is not about fleets.

    Args:
        message: its id.
        attributes: as published.
        data: as published, decoded from base64.

    Raises:
        MalformedEvent: It cannot be read.
    """
    kind = attributes.get(KIND)
    if kind == TICK:
        return [Heard(message, Tick())]
    if kind == NOTICE:
        return [_written(message, attributes)]
    if kind is not None:
        raise MalformedEvent(f"{KIND}: was {kind!r:.40}, expected {TICK!r} or {NOTICE!r}")
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"data: not JSON ({error})") from None
    if not isinstance(entry, dict):
        raise MalformedEvent("data: expected a JSON object")
    payload = object_in(entry, "protoPayload")
    if not str(payload.get("methodName", "")).endswith(PREEMPTED):
        return []
    return _preempted(message, entry, payload)


def _preempted(message: str, entry: Mapping[str, Any], payload: Mapping[str, Any]) -> list[Heard]:
    match = _RESOURCE.fullmatch(str(payload.get("resourceName", "")))
    if match is None:
        raise MalformedEvent(f"resourceName: was {payload.get('resourceName')!r:.80}, expected an instance's")
    labels = object_in(object_in(entry, "resource"), "labels")
    try:
        node = node_of(match[1], str(labels.get("instance_id", "")))
    except ValueError as error:
        if "number" in str(error):
            raise MalformedEvent(str(error)) from None
        return []  # somebody else's instance
    place = place_of(node)
    heard = NoticeHeard(node=node, kind=INTERRUPTION, event_at=time_in(entry, "timestamp"))
    return [Heard(message, heard, place[0] if place else None)]


def _written(message: str, attributes: Mapping[str, Any]) -> Heard:
    """A node says that it has written a notice; what that says is read from the ledger."""
    folder = attributes.get("folder")
    if not isinstance(folder, str) or not _FOLDER.fullmatch(folder):
        raise MalformedEvent(f"folder: was {folder!r:.40}, expected the name of a node's folder")
    try:
        fleet = keys.check_fleet(str(attributes.get("fleet")))
    except ValueError as error:
        raise MalformedEvent(str(error)) from None
    return Heard(message, NoticeWritten(folder), fleet)
