"""What comes off the queue: each kind of event as AWS sends it, and everything that is not one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import INTERRUPTION, REBALANCE, SCALE_IN
from spotkeeper_responder import (
    BACKUP,
    CAPACITY,
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
from spotkeeper_responder.aws import parse
from spotkeeper_responder.malformed import MalformedEvent

NODE = "i-0123456789abcdef0"
AT = 1_700_000_000.0
GROUP = "spotkeeper-shop-prod-resnet-spot"


def envelope(source: str, detail_type: str, detail: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": "2023-11-14T22:13:20Z",
        "region": "us-east-2",
        "resources": [f"arn:aws:ec2:us-east-2a:instance/{NODE}"],
        "detail": detail,
        **changes,
    }


def group_detail(group: str = GROUP, **changes: Any) -> dict[str, Any]:
    return {
        "StatusCode": "InProgress",
        "AutoScalingGroupName": group,
        "ActivityId": "87654321-4321-4321-4321-210987654321",
        "Details": {"Availability Zone": "us-east-2b", "Subnet ID": "subnet-12345678"},
        "RequestId": "12345678-1234-1234-1234-123456789012",
        "StatusMessage": "",
        "EndTime": "2023-11-14T22:13:20Z",
        "EC2InstanceId": NODE,
        "StartTime": "2023-11-14T22:13:10Z",
        "Cause": "description-text",
        **changes,
    }


def hook_detail(**changes: Any) -> dict[str, Any]:
    return {
        "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
        "AutoScalingGroupName": GROUP,
        "LifecycleHookName": "spotkeeper-terminate",
        "EC2InstanceId": NODE,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "NotificationMetadata": "",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
        **changes,
    }


def s3(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": {"object": {"key": key}}} for key in keys]}


def heard(body: Any) -> list[tuple[str | None, Event]]:
    found = parse("message-1", body if isinstance(body, str) else json.dumps(body))
    assert all(isinstance(each, Heard) and each.message == "message-1" for each in found)
    return [(each.fleet, each.event) for each in found]


FLEET = "shop-prod-resnet"
WARNING = envelope(
    "aws.ec2", "EC2 Spot Instance Interruption Warning", {"instance-id": NODE, "instance-action": "terminate"}
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WARNING, (None, NoticeHeard(node=NODE, kind=INTERRUPTION, event_at=AT))),
        (
            envelope("aws.ec2", "EC2 Instance Rebalance Recommendation", {"instance-id": NODE}),
            (None, NoticeHeard(node=NODE, kind=REBALANCE, event_at=AT)),
        ),
        (
            envelope("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", hook_detail()),
            (FLEET, NoticeHeard(node=NODE, kind=SCALE_IN, event_at=AT, hook="spotkeeper-terminate")),
        ),
        (
            envelope("aws.autoscaling", "EC2 Instance Launch Successful", group_detail()),
            (FLEET, NodeLaunched(NODE, SPOT)),
        ),
        (
            envelope("aws.autoscaling", "EC2 Instance Launch Successful", group_detail("spotkeeper-a-b-backup")),
            ("a-b", NodeLaunched(NODE, BACKUP)),
        ),
        (
            envelope("aws.autoscaling", "EC2 Instance Terminate Successful", group_detail()),
            (FLEET, NodeGone(NODE)),
        ),
        (
            # There is no instance to name where none was launched.
            envelope(
                "aws.autoscaling",
                "EC2 Instance Launch Unsuccessful",
                group_detail(
                    StatusCode="Failed",
                    EC2InstanceId="",
                    StatusMessage="Could not launch Spot Instances. InsufficientInstanceCapacity - There is none.",
                ),
            ),
            (
                FLEET,
                LaunchFailed(
                    SPOT,
                    CAPACITY,
                    AT,
                    "Could not launch Spot Instances. InsufficientInstanceCapacity - There is none.",
                ),
            ),
        ),
        (envelope("aws.events", "Scheduled Event", {}), (None, Tick())),
        (s3("fleets/shop-prod-resnet/nodes/AROAX%3Ai-1/notice.json"), (FLEET, NoticeWritten("AROAX:i-1"))),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else value.get("detail-type", "s3"),
)
def test_each_kind_of_event(body: dict[str, Any], expected: tuple[str | None, Event]) -> None:
    assert heard(body) == [expected]


@pytest.mark.parametrize("action", ["stop", "hibernate", "terminate", None])
def test_an_interruption_is_one_whatever_becomes_of_the_instance(action: str | None) -> None:
    ((_, event),) = heard({**WARNING, "detail": {"instance-id": NODE, "instance-action": action}})
    assert isinstance(event, NoticeHeard)


def test_one_notification_may_tell_of_several_objects() -> None:
    keys = [f"fleets/{name}/nodes/AROA:i-1/notice.json" for name in ("a", "b")]
    assert [fleet for fleet, _ in heard(s3(*keys))] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2023-11-14T22:13:20Z", "Bucket": "b"},
        {"Event": "autoscaling:TEST_NOTIFICATION", "RequestId": "1", "Time": "2023-11-14T22:13:20Z"},
        envelope("aws.ec2", "EC2 Instance State-change Notification", {"instance-id": NODE, "state": "running"}),
        envelope("my.app", "EC2 Spot Instance Interruption Warning", {"instance-id": NODE}),
        envelope(
            "aws.autoscaling",
            "EC2 Instance-terminate Lifecycle Action",
            hook_detail(LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING"),
        ),
        envelope("aws.autoscaling", "EC2 Instance Launch Successful", group_detail("somebody-elses")),
        envelope("aws.autoscaling", "EC2 Instance Launch Unsuccessful", group_detail("spotkeeper-x")),
        envelope("aws.autoscaling", "EC2 Instance Terminate Successful", group_detail("spotkeeper-X-spot")),
        envelope("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", hook_detail(AutoScalingGroupName="g")),
        s3("fleets/a/nodes/AROA:i-1/report.json", "members.json", "fleets/a/nodes/x/y/notice.json"),
        {},
    ],
)
def test_what_is_not_about_fleets_says_nothing(body: dict[str, Any]) -> None:
    assert heard(body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "body: not JSON"),
        ("nonsense", "body: not JSON"),
        ("[" * 100_000, "body: not JSON"),
        ("[1]", "body: expected a JSON object"),
        ({"Records": 3}, "Records: expected a list"),
        ({"Records": [{"s3": None}]}, "Records: expected s3.object.key in each"),
        ({"Records": [{"s3": {"object": {"key": 3}}}]}, "Records: expected s3.object.key in each"),
        (s3("fleets/UPPER/nodes/a/notice.json"), "fleet: was 'UPPER'"),
        ({**WARNING, "detail": "text"}, "detail: was 'text', expected an object"),
        ({**WARNING, "detail": {}}, "detail.instance-id: was None, expected text"),
        ({**WARNING, "detail": {"instance-id": "i-1; reboot"}}, "detail.instance-id: was 'i-1; reboot', expected"),
        ({**WARNING, "detail": {"instance-id": {"a": 1}}}, "detail.instance-id: was {'a': 1}, expected text"),
        ({**WARNING, "time": "yesterday"}, "time: was 'yesterday', expected an ISO time with its zone"),
        ({**WARNING, "time": "2023-11-14T22:13:20"}, "time: was"),
        ({**WARNING, "time": None}, "time: was None"),
        (envelope("aws.autoscaling", "EC2 Instance Launch Successful", {}), "detail.AutoScalingGroupName: was None"),
        (
            envelope("aws.autoscaling", "EC2 Instance Terminate Successful", group_detail(EC2InstanceId="")),
            "detail.EC2InstanceId: was ''",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(body: Any, problem: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        heard(body)
    assert problem in str(error.value)
    assert len(str(error.value)) < 250


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["detail", "detail-type", "source", "time", "Records", "id"])
DETAIL_KEYS = st.sampled_from([*group_detail(), *hook_detail(), "instance-id"])


@given(
    body=st.sampled_from(
        [
            WARNING,
            envelope("aws.autoscaling", "EC2 Instance Launch Unsuccessful", group_detail()),
            envelope("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", hook_detail()),
        ]
    ),
    wrong=st.dictionaries(KEYS, JSON, max_size=2),
    wrong_inside=st.dictionaries(DETAIL_KEYS, JSON, max_size=2),
)
def test_nothing_that_is_sent_makes_anything_worse_than_malformed(body: Any, wrong: Any, wrong_inside: Any) -> None:
    try:
        heard({**body, "detail": {**body["detail"], **wrong_inside}, **wrong})
    except MalformedEvent as error:
        assert str(error)
