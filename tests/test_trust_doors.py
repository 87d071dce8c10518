"""Who is let in by queues, topic and bucket as the stack declares them: its own senders, and with encryption only."""

from __future__ import annotations

import pytest

from pulumi_support import Declared
from spotkeeper_ledger import keys
from test_stack import run
from trust_support import FLEET, HERE, RESPONDER, Policy, Request, allowed, denied, policies

RULE = f"arn:aws:events:{HERE}:rule/{RESPONDER}"
ACCOUNT = "123456789012"
EVENTS, DEAD = (f"arn:aws:sqs:{HERE}:{RESPONDER}-events{end}" for end in ("", "-dead"))
TOPIC = f"arn:aws:sns:{HERE}:{RESPONDER}-alerts"
NOTICE = f"arn:aws:s3:::{RESPONDER}/{keys.notice(FLEET, 'AROAEXAMPLE:i-0123456789abcdef0')}"


@pytest.fixture(scope="module")
def declared() -> Declared:
    return run()


def sent(queue: str, caller: str, source: str, account: str = ACCOUNT) -> Request:
    return Request("sqs:SendMessage", queue, {"aws:SourceArn": source, "aws:SourceAccount": account}, caller)


@pytest.mark.parametrize("kind", ["spot", "groups", "tick"])
def test_each_rule_reaches_both_queues(declared: Declared, kind: str) -> None:
    for name, queue in (("responder-events", EVENTS), ("responder-dead", DEAD)):
        policy = declared.policy("QueuePolicy", name)
        assert allowed(policy, sent(queue, "events.amazonaws.com", f"{RULE}-{kind}"))


def test_the_bucket_reaches_the_queue_of_events(declared: Declared) -> None:
    request = sent(EVENTS, "s3.amazonaws.com", f"arn:aws:s3:::{RESPONDER}")
    assert allowed(declared.policy("QueuePolicy", "responder-events"), request)


@pytest.mark.parametrize(
    "request_",
    [
        sent(EVENTS, "events.amazonaws.com", "arn:aws:events:eu-west-1:999999999999:rule/spotkeeper-spot"),
        sent(EVENTS, "events.amazonaws.com", f"arn:aws:events:{HERE}:rule/somebody-elses"),
        sent(EVENTS, "events.amazonaws.com", f"{RULE}-spot-2"),
        sent(EVENTS, "s3.amazonaws.com", f"arn:aws:s3:::{RESPONDER}", account="999999999999"),
        sent(EVENTS, "s3.amazonaws.com", "arn:aws:s3:::another-bucket"),
        sent(EVENTS, "sns.amazonaws.com", f"{RULE}-spot"),
        sent(EVENTS, "events.amazonaws.com", ""),
        Request("sqs:SendMessage", EVENTS, {}, "events.amazonaws.com"),
        Request("sqs:ReceiveMessage", EVENTS, {"aws:SourceArn": f"{RULE}-spot"}, "events.amazonaws.com"),
        sent(DEAD, "s3.amazonaws.com", f"arn:aws:s3:::{RESPONDER}"),
    ],
    ids=str,
)
def test_nobody_else_does(declared: Declared, request_: Request) -> None:
    name = "responder-dead" if request_.resource == DEAD else "responder-events"
    assert not allowed(declared.policy("QueuePolicy", name), request_)


def test_alarms_of_this_account_reach_the_topic_and_others_do_not(declared: Declared) -> None:
    policy = declared.policy("TopicPolicy", "responder-alerts")
    for account, may in ((ACCOUNT, True), ("999999999999", False)):
        request = Request("sns:Publish", TOPIC, {"aws:SourceAccount": account}, "cloudwatch.amazonaws.com")
        assert allowed(policy, request) is may


@pytest.mark.parametrize("service", ["ec2", "lambda"])
def test_a_role_is_taken_on_by_its_service_only(declared: Declared, service: str) -> None:
    role = declared.one("Role", {"ec2": "training-node", "lambda": "responder-function"}[service])
    policy = next(policy for label, policy in policies(declared) if label == role.label)
    for caller in ("ec2", "lambda", "ecs-tasks"):
        assert allowed(policy, Request("sts:AssumeRole", "*", {}, f"{caller}.amazonaws.com")) is (caller == service)


@pytest.mark.parametrize(
    ("kind", "name", "action", "resource"),
    [
        ("BucketPolicy", "responder-ledger", "s3:PutObject", NOTICE),
        ("BucketPolicy", "responder-ledger", "s3:GetObject", NOTICE),
        ("BucketPolicy", "responder-ledger", "s3:ListBucket", f"arn:aws:s3:::{RESPONDER}"),
        ("QueuePolicy", "responder-events", "sqs:SendMessage", EVENTS),
        ("QueuePolicy", "responder-dead", "sqs:SendMessage", DEAD),
        ("TopicPolicy", "responder-alerts", "sns:Publish", TOPIC),
    ],
)
def test_whoever_asks_is_turned_away_without_encryption(
    declared: Declared, kind: str, name: str, action: str, resource: str
) -> None:
    policy: Policy = declared.policy(kind, name)
    for transport, refused in (("false", True), ("true", False)):
        assert denied(policy, Request(action, resource, {"aws:SecureTransport": transport})) is refused
