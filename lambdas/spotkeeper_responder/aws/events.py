"""From a message on the queue to events: EventBridge's, and the bucket's about what nodes have written.

Whatever cannot be read is refused with a reason; whatever can be read and means nothing here gives no events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from spotkeeper_ledger import INTERRUPTION, REBALANCE, SCALE_IN, keys
from spotkeeper_responder.aws.failures import classify
from spotkeeper_responder.malformed import MalformedEvent, object_in, time_in
from spotkeeper_responder.model import (
    BACKUP,
    SPOT,
    Event,
    Heard,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    NoticeHeard,
    NoticeWritten,
    Tick,
)

GROUP = re.compile(r"spotkeeper-([a-z0-9][a-z0-9-]{0,127})-(spot|backup)")
"""Names of the groups of fleets: ``spotkeeper-<fleet>-spot`` and ``spotkeeper-<fleet>-backup``."""
NODE = re.compile(r"i-[0-9a-f]{8,17}")
_NOTICE_KEY = re.compile(re.escape(keys.FLEETS) + r"([^/]+)/nodes/([^/]+)/notice\.json")
_TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


def parse(message: str, body: str) -> list[Heard]:
    """Return what a message says; nothing, if it is not about fleets.

    Args:
        message: its id.
        body: its text.

    Raises:
        MalformedEvent: It cannot be read.
    """
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"body: not JSON ({error})") from None
    if not isinstance(envelope, dict):
        raise MalformedEvent("body: expected a JSON object")
    if "Records" in envelope:
        return _written(message, envelope["Records"])
    found = _PARSERS.get((str(envelope.get("source")), str(envelope.get("detail-type"))))
    if found is None:
        return []
    fleet, event = found(object_in(envelope, "detail"), time_in(envelope, "time"))
    return [] if event is None else [Heard(message, event, fleet)]


Parsed = tuple[str | None, Event | None]


def _tick(_detail: Mapping[str, Any], _at: float) -> Parsed:
    return None, Tick()


def _interruption(detail: Mapping[str, Any], at: float) -> Parsed:
    # Stop and hibernate are reclaims as well: the node is gone either way. The deadline follows from the fleet's spec.
    return None, NoticeHeard(node=_node(detail, "instance-id"), kind=INTERRUPTION, event_at=at)


def _rebalance(detail: Mapping[str, Any], at: float) -> Parsed:
    return None, NoticeHeard(node=_node(detail, "instance-id"), kind=REBALANCE, event_at=at)


def _terminating(detail: Mapping[str, Any], at: float) -> Parsed:
    fleet, _ = _group(detail)
    if fleet is None or detail.get("LifecycleTransition") != _TERMINATING:
        return None, None
    node, hook = _node(detail, "EC2InstanceId"), _text(detail, "LifecycleHookName")
    return fleet, NoticeHeard(node=node, kind=SCALE_IN, event_at=at, hook=hook)


def _launched(detail: Mapping[str, Any], _at: float) -> Parsed:
    fleet, group = _group(detail)
    return fleet, NodeLaunched(_node(detail, "EC2InstanceId"), group) if fleet else None


def _not_launched(detail: Mapping[str, Any], at: float) -> Parsed:
    fleet, group = _group(detail)
    message = str(detail.get("StatusMessage") or detail.get("Cause") or "")
    return fleet, LaunchFailed(group, classify(message), at, message) if fleet else None


def _terminated(detail: Mapping[str, Any], _at: float) -> Parsed:
    fleet, _ = _group(detail)
    return fleet, NodeGone(_node(detail, "EC2InstanceId")) if fleet else None


_PARSERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], float], Parsed]] = {
    ("aws.events", "Scheduled Event"): _tick,
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _interruption,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _rebalance,
    ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"): _terminating,
    ("aws.autoscaling", "EC2 Instance Launch Successful"): _launched,
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful"): _not_launched,
    ("aws.autoscaling", "EC2 Instance Terminate Successful"): _terminated,
}


def _written(message: str, records: Any) -> list[Heard]:
    """The bucket's notification: the key alone says whose notice was written; what it says is read from the ledger."""
    if not isinstance(records, list):
        raise MalformedEvent("Records: expected a list")
    found = []
    for record in records:
        try:
            key = unquote_plus(record["s3"]["object"]["key"])  # S3 encodes keys in notifications, spaces as +
        except (KeyError, TypeError, AttributeError):
            raise MalformedEvent("Records: expected s3.object.key in each") from None
        match = _NOTICE_KEY.fullmatch(key)
        if match:
            found.append(Heard(message, NoticeWritten(match[2]), _fleet(match[1])))
    return found


def _fleet(name: str) -> str:
    try:
        return keys.check_fleet(name)
    except ValueError as error:
        raise MalformedEvent(str(error)) from None


def _group(detail: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return fleet and group (``spot``, ``backup``) of a group's name; no fleet for a group that is none of a fleet."""
    match = GROUP.fullmatch(_text(detail, "AutoScalingGroupName"))
    return (match[1], SPOT if match[2] == SPOT else BACKUP) if match else (None, "")


def _node(detail: Mapping[str, Any], key: str) -> str:
    value = _text(detail, key)
    if not NODE.fullmatch(value):
        raise MalformedEvent(f"detail.{key}: was {value[:40]!r}, expected an instance id")
    return value


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"detail.{key}: was {value!r:.40}, expected text")
    return value
