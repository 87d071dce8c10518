"""Who may do what: small policies, each bound to what it is for."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from spotkeeper.aws import policies
from spotkeeper.aws.naming import Place
from spotkeeper.naming import BucketUri

PLACE = Place("aws", "eu-west-1", "123456789012")
NODE = policies.node_policy(
    PLACE, fleet="p-s-f", responder="ledger", checkpoint=BucketUri("s3", "saves", "jobs/digits")
)
FUNCTION = policies.responder_policy(PLACE, "ledger")


def allows(policy: dict[str, Any], action: str, resource: str) -> dict[str, Any] | None:
    """Return the statement that lets ``action`` be done to ``resource``, as IAM matches them; conditions aside."""
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow" and action in statement["Action"]:
            for pattern in statement["Resource"]:
                if fnmatch.fnmatchcase(resource, pattern.replace("${aws:userid}", "AROA1:i-1").replace("[", "[[]")):
                    found: dict[str, Any] = statement
                    return found
    return None


@pytest.mark.parametrize("policy", [NODE, FUNCTION], ids=["node", "function"])
def test_no_action_is_a_pattern_and_everything_is_bound_to_something(policy: dict[str, Any]) -> None:
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action or "?" in action]
        if "*" in statement["Resource"]:
            assert statement["Sid"].endswith("HasNoResources")


def test_only_actions_without_resources_are_bound_to_none() -> None:
    unbound = {
        action
        for policy in (NODE, FUNCTION)
        for statement in policy["Statement"]
        if statement["Resource"] == ["*"]
        for action in statement["Action"]
    }
    assert unbound == {
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeSpotPriceHistory",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:OpenControlChannel",
        "ec2messages:AcknowledgeMessage",
        "ec2messages:DeleteMessage",
        "ec2messages:FailMessage",
        "ec2messages:GetEndpoint",
        "ec2messages:GetMessages",
        "ec2messages:SendReply",
    }


@pytest.mark.parametrize(
    ("action", "key", "may"),
    [
        ("s3:PutObject", "ledger/fleets/p-s-f/nodes/AROA1:i-1/report.json", True),
        ("s3:PutObject", "ledger/fleets/p-s-f/nodes/AROA1:i-2/report.json", False),
        ("s3:PutObject", "ledger/fleets/p-s-f/nodes/AROA1:i-1/log.txt", True),
        ("s3:PutObject", "ledger/fleets/p-s-f/nodes/AROA1:i-2/log.txt", False),
        ("s3:PutObject", "ledger/fleets/p-s-f/nodes/AROA1:i-1/anything", False),
        ("s3:PutObject", "ledger/fleets/p-s-f/job/generation.json", True),
        ("s3:PutObject", "ledger/fleets/p-s-f/spec.json", False),
        ("s3:PutObject", "ledger/fleets/p-s-f/ledger.json", False),
        ("s3:PutObject", "ledger/fleets/p-s-f/signal.json", False),
        ("s3:PutObject", "ledger/members.json", False),
        ("s3:PutObject", "ledger/agent/0.pyz", False),
        ("s3:GetObject", "ledger/agent/0.pyz", True),
        ("s3:GetObject", "ledger/fleets/p-s-f/spec.json", True),
        ("s3:GetObject", "ledger/fleets/p-s-f-2/spec.json", False),
        ("s3:GetObject", "ledger/members.json", False),
        ("s3:DeleteObject", "ledger/fleets/p-s-f/job/generation.json", False),
        ("s3:PutObject", "saves/jobs/digits/head.json", True),
        ("s3:DeleteObject", "saves/jobs/digits/parts/1", True),
        ("s3:PutObject", "saves/jobs/digits-2/head.json", False),
        ("s3:GetObject", "saves/other", False),
    ],
)
def test_a_node_reaches_its_own_objects_only(action: str, key: str, may: bool) -> None:
    assert (allows(NODE, action, f"arn:aws:s3:::{key}") is not None) is may


def test_a_node_lists_its_own_prefixes_only() -> None:
    for bucket, prefix in (("ledger", "fleets/p-s-f/*"), ("saves", "jobs/digits/*")):
        statement = allows(NODE, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        assert statement is not None
        assert statement["Condition"] == {"StringLike": {"s3:prefix": [prefix]}}


def test_a_node_ends_waits_of_its_own_groups_only() -> None:
    arn = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1234:autoScalingGroupName/spotkeeper-"
    assert allows(NODE, "autoscaling:CompleteLifecycleAction", f"{arn}p-s-f-spot")
    assert allows(NODE, "autoscaling:RecordLifecycleActionHeartbeat", f"{arn}p-s-f-backup")
    assert not allows(NODE, "autoscaling:CompleteLifecycleAction", f"{arn}p-s-f-2-spot")
    assert not allows(NODE, "autoscaling:SetDesiredCapacity", f"{arn}p-s-f-spot")


def test_checkpoints_without_a_prefix_are_the_whole_bucket() -> None:
    policy = policies.node_policy(PLACE, fleet="f", responder="ledger", checkpoint=BucketUri("s3", "saves", ""))
    assert allows(policy, "s3:PutObject", "arn:aws:s3:::saves/head.json")
    statement = allows(policy, "s3:ListBucket", "arn:aws:s3:::saves")
    assert statement is not None
    assert statement["Condition"] == {"StringLike": {"s3:prefix": ["*"]}}


@pytest.mark.parametrize(
    ("action", "resource", "key"),
    [
        (
            "autoscaling:SetDesiredCapacity",
            "autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/spotkeeper-f-spot",
            "aws:ResourceTag/spotkeeper:responder",
        ),
        (
            "autoscaling:TerminateInstanceInAutoScalingGroup",
            "autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/spotkeeper-f-spot",
            "aws:ResourceTag/spotkeeper:responder",
        ),
        ("ssm:SendCommand", "ec2:eu-west-1:123456789012:instance/i-1", "ssm:resourceTag/spotkeeper:responder"),
    ],
)
def test_what_the_function_does_to_fleets_is_bound_to_its_tag(action: str, resource: str, key: str) -> None:
    statement = allows(FUNCTION, action, f"arn:aws:{resource}")
    assert statement is not None
    assert statement["Condition"] == {"StringEquals": {key: "ledger"}}


@pytest.mark.parametrize(
    ("action", "resource", "may"),
    [
        ("s3:PutObject", "s3:::ledger/members.json", True),
        ("s3:PutObject", "s3:::ledger/fleets/f/ledger.json", True),
        ("s3:PutObject", "s3:::ledger/fleets/f/signal.json", True),
        ("s3:PutObject", "s3:::ledger/fleets/f/spec.json", False),
        ("s3:PutObject", "s3:::ledger/fleets/f/job/generation.json", False),
        ("s3:PutObject", "s3:::ledger/fleets/f/nodes/n/report.json", False),
        ("s3:GetObject", "s3:::ledger/fleets/f/nodes/n/report.json", True),
        ("ssm:SendCommand", "ssm:eu-west-1:123456789012:document/ledger-notice", True),
        ("ssm:SendCommand", "ssm:eu-west-1::document/AWS-RunShellScript", False),
        ("sqs:ReceiveMessage", "sqs:eu-west-1:123456789012:ledger-events", True),
        ("sqs:SendMessage", "sqs:eu-west-1:123456789012:ledger-events", False),
        ("sns:Publish", "sns:eu-west-1:123456789012:ledger-alerts", True),
        ("sns:Publish", "sns:eu-west-1:123456789012:ledger-2-alerts", False),
        ("sns:Subscribe", "sns:eu-west-1:123456789012:ledger-alerts", False),
        (
            "autoscaling:SetDesiredCapacity",
            "autoscaling:eu-west-1:1:autoScalingGroup:1:autoScalingGroupName/web",
            False,
        ),
    ],
)
def test_the_function_reaches(action: str, resource: str, may: bool) -> None:
    assert (allows(FUNCTION, action, f"arn:aws:{resource}") is not None) is may


def test_other_partitions_have_other_arns() -> None:
    china = Place("aws-cn", "cn-north-1", "1")
    policy = policies.node_policy(china, fleet="f", responder="ledger", checkpoint=BucketUri("s3", "saves", "x"))
    bound = [arn for statement in policy["Statement"] for arn in statement["Resource"] if arn != "*"]
    assert all(arn.startswith("arn:aws-cn:") for arn in bound)


def test_queues_take_from_their_rules_and_bucket_only_and_only_encrypted() -> None:
    policy = policies.queue_policy(PLACE, "q", rules=["arn:rule/1", "arn:rule/2"], bucket="ledger")
    rules, tls, notices = policy["Statement"]
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    assert rules["Condition"] == {"ArnEquals": {"aws:SourceArn": ["arn:rule/1", "arn:rule/2"]}}
    assert notices["Principal"] == {"Service": "s3.amazonaws.com"}
    assert notices["Condition"] == {
        "ArnEquals": {"aws:SourceArn": "arn:aws:s3:::ledger"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert len(policies.queue_policy(PLACE, "q", rules=[])["Statement"]) == 2


def test_alarms_of_this_account_reach_the_topic() -> None:
    alarms, tls = policies.topic_policy(PLACE, "ledger")["Statement"]
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert tls["Effect"] == "Deny"


def test_the_bucket_gives_nothing_away_without_encryption() -> None:
    (statement,) = policies.bucket_policy(PLACE, "ledger")["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == ["arn:aws:s3:::ledger", "arn:aws:s3:::ledger/*"]
