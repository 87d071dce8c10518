"""What the declared policies let a node and the function do: all that they really do, and nothing of anybody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_support import Declared
from spotkeeper.archives import agent_archive
from spotkeeper_ledger import keys
from test_stack import run
from trust_support import FLEET, HERE, RESPONDER, USER, Policy, Request, allowed

ROOT = Path(__file__).parents[1]
NEIGHBOURS = ("spotkeeper-test-training-2", "spotkeeper-test-trainin", "x", "spotkeeper-test-training-spot")
"""Other fleets, with names that are easily taken for ours."""
FOLDER = f"{keys.nodes(FLEET)}{USER}/"
OTHER_USER = "AROAEXAMPLE:i-0fedcba9876543210"


@pytest.fixture(scope="module")
def declared() -> Declared:
    return run()


@pytest.fixture(scope="module")
def node(declared: Declared) -> Policy:
    return declared.policy("RolePolicy", "training-node")


@pytest.fixture(scope="module")
def function(declared: Declared) -> Policy:
    return declared.policy("RolePolicy", "responder-function")


def on_object(action: str, key: str, bucket: str = RESPONDER, user: str = USER) -> Request:
    return Request(f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}", {"aws:userid": user})


def listing(prefix: str, bucket: str = RESPONDER) -> Request:
    return Request("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"aws:userid": USER, "s3:prefix": prefix})


def on_group(action: str, group: str, responder: str = RESPONDER) -> Request:
    arn = f"arn:aws:autoscaling:{HERE}:autoScalingGroup:63d6c3:autoScalingGroupName/{group}"
    return Request(f"autoscaling:{action}", arn, {"aws:ResourceTag/spotkeeper:responder": responder})


def calls(pattern: str, file: str) -> set[Any]:
    """What a pattern finds in a file of the code: the requests that it makes."""
    found = set(re.findall(pattern, (ROOT / file).read_text("utf-8")))
    assert found, f"{pattern} finds nothing in {file}"
    return found


# ---------------------------------------------------------------- a node


NODE_DOES = [
    on_object("GetObject", agent_archive().key),
    on_object("GetObject", keys.spec(FLEET)),
    on_object("GetObject", keys.signals(FLEET)),
    on_object("GetObject", keys.generation(FLEET)),
    on_object("PutObject", keys.generation(FLEET)),
    on_object("GetObject", keys.progress(FLEET)),
    on_object("PutObject", keys.progress(FLEET)),
    on_object("PutObject", keys.notice(FLEET, USER)),
    on_object("PutObject", keys.report(FLEET, USER)),
    on_object("PutObject", keys.log(FLEET, USER)),
    listing(keys.generation(FLEET)),  # to tell an object that is not there from one that is denied
    *[on_object(f"{verb}Object", "job/parts/1/0.npz", "saves") for verb in ("Get", "Put", "Delete")],
    listing("job/head.json", "saves"),
    listing("job/parts/", "saves"),
    *[
        on_group(action, f"spotkeeper-{FLEET}-{kind}")
        for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat")
        for kind in ("spot", "backup")
    ],
    Request("ssm:UpdateInstanceInformation", f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0"),
    Request("ssmmessages:CreateControlChannel"),
    Request("ec2messages:GetMessages"),
]
NODE_MUST_NOT = [
    *[
        on_object(action, key)
        for action in ("PutObject", "DeleteObject")
        for key in (
            keys.spec(FLEET),
            keys.ledger(FLEET),
            keys.signals(FLEET),
            keys.MEMBERS,
            agent_archive().key,
            keys.notice(FLEET, OTHER_USER),
            keys.report(FLEET, OTHER_USER),
            keys.log(FLEET, OTHER_USER),
            keys.report(FLEET, f"{USER}0"),
        )
    ],
    on_object("DeleteObject", keys.generation(FLEET)),
    on_object("DeleteObject", keys.report(FLEET, USER)),
    *[
        on_object(action, key)
        for fleet in NEIGHBOURS
        for action in ("GetObject", "PutObject")
        for key in (keys.spec(fleet), keys.ledger(fleet), keys.generation(fleet), keys.report(fleet, USER))
    ],
    on_object("GetObject", keys.MEMBERS),
    *[listing(prefix) for prefix in ("", "fleets/", "agent/", *map(keys.fleet_prefix, NEIGHBOURS))],
    *[on_object(action, "other/head.json", "saves") for action in ("GetObject", "PutObject", "DeleteObject")],
    on_object("PutObject", "job-2/head.json", "saves"),
    on_object("GetObject", "job/head.json", "saves-2"),
    listing("", "saves"),
    listing("job-2/", "saves"),
    *[
        on_group(action, f"spotkeeper-{fleet}-spot")
        for fleet in NEIGHBOURS
        for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat")
    ],
    *[
        on_group(action, f"spotkeeper-{FLEET}-spot")
        for action in ("SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup", "UpdateAutoScalingGroup")
    ],
    Request("ssm:SendCommand", f"arn:aws:ssm:{HERE}:document/{RESPONDER}-notice"),
    Request("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{RESPONDER}-events"),
    Request("sns:Publish", f"arn:aws:sns:{HERE}:{RESPONDER}-alerts"),
    Request("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/training-node"),
    Request("sts:AssumeRole", f"arn:aws:iam::123456789012:role/{RESPONDER}-responder"),
]


@pytest.mark.parametrize("request_", NODE_DOES, ids=lambda r: f"{r.action} {r.resource}")
def test_a_node_may_do_what_it_does(node: Policy, request_: Request) -> None:
    assert allowed(node, request_)


@pytest.mark.parametrize("request_", NODE_MUST_NOT, ids=lambda r: f"{r.action} {r.resource}")
def test_a_node_may_do_nothing_that_is_not_its_own(node: Policy, request_: Request) -> None:
    assert not allowed(node, request_)


def test_the_agents_requests_to_auto_scaling_are_all_here() -> None:
    named = calls(r'_call\("(\w+)"', "instance/spotkeeper_agent/hook.py")
    assert {f"autoscaling:{name}" for name in named} == {r.action for r in NODE_DOES if "autoscaling" in r.action}


PIECES = st.sampled_from(
    [
        FLEET,
        *NEIGHBOURS,
        USER,
        OTHER_USER,
        "fleets",
        "nodes",
        "job",
        "agent",
        "spec.json",
        "..",
        "*",
        "${aws:userid}",
        "",
    ]
)


@given(st.lists(PIECES | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8), max_size=6))
def test_whatever_its_key_a_node_writes_below_its_own_folder_and_the_jobs_only(node: Policy, pieces: list[str]) -> None:
    key = "/".join(pieces)
    assert allowed(node, on_object("PutObject", key)) == key.startswith((FOLDER, f"{keys.fleet_prefix(FLEET)}job/"))


@given(st.from_regex(r"[A-Za-z0-9:-]*", fullmatch=True))
def test_a_request_without_a_user_id_has_no_folder(node: Policy, user: str) -> None:
    for context in ({}, {"aws:userid": f"AROAOTHER:{user}"}):
        request = Request("s3:PutObject", f"arn:aws:s3:::{RESPONDER}/{keys.report(FLEET, USER)}", context)
        assert not allowed(node, request)


# ---------------------------------------------------------------- the function


NOTICE_DOCUMENT = f"arn:aws:ssm:{HERE}:document/{RESPONDER}-notice"
LOG = f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{RESPONDER}-responder:log-stream:2026/11/23/[$LATEST]58419525d"


def on_instance(responder: str) -> Request:
    tags = {"ssm:resourceTag/spotkeeper:responder": responder}
    return Request("ssm:SendCommand", f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0", tags)


FUNCTION_DOES = [
    *[
        on_object("GetObject", key)
        for key in (
            keys.MEMBERS,
            keys.spec(FLEET),
            keys.ledger(FLEET),
            keys.signals(FLEET),
            keys.generation(FLEET),
            keys.progress(FLEET),
            keys.notice(FLEET, USER),
            keys.report(FLEET, USER),
        )
    ],
    *[on_object("PutObject", key) for key in (keys.MEMBERS, keys.ledger(FLEET), keys.signals(FLEET))],
    listing(keys.FLEETS),
    listing(keys.nodes(FLEET)),
    Request("autoscaling:DescribeAutoScalingGroups"),
    Request("autoscaling:DescribeScalingActivities"),
    Request("ec2:DescribeSpotPriceHistory"),
    *[
        on_group(action, f"spotkeeper-{FLEET}-backup")
        for action in ("SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction")
    ],
    Request("ssm:SendCommand", NOTICE_DOCUMENT),
    on_instance(RESPONDER),
    Request("sns:Publish", f"arn:aws:sns:{HERE}:{RESPONDER}-alerts"),
    *[
        Request(f"sqs:{action}", f"arn:aws:sqs:{HERE}:{RESPONDER}-events")
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    ],
    *[Request(f"logs:{action}", LOG) for action in ("CreateLogStream", "PutLogEvents")],
]
FUNCTION_MUST_NOT = [
    *[
        on_object("PutObject", key)
        for key in (keys.spec(FLEET), keys.generation(FLEET), keys.report(FLEET, USER), agent_archive().key)
    ],
    *[on_object("DeleteObject", key) for key in (keys.spec(FLEET), keys.ledger(FLEET), keys.MEMBERS)],
    on_object("GetObject", "job/head.json", "saves"),
    on_object("GetObject", keys.ledger(FLEET), "spotkeeper-other"),
    *[
        on_group(action, f"spotkeeper-{FLEET}-spot", responder="spotkeeper-other")
        for action in ("SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction")
    ],
    on_group("SetDesiredCapacity", "web"),
    on_group("DeleteAutoScalingGroup", f"spotkeeper-{FLEET}-spot"),
    on_instance("spotkeeper-other"),
    Request("ssm:SendCommand", f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0"),
    Request("ssm:SendCommand", "arn:aws:ssm:eu-west-1::document/AWS-RunShellScript"),
    Request("ec2:TerminateInstances", f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0"),
    Request("sqs:SendMessage", f"arn:aws:sqs:{HERE}:{RESPONDER}-events"),
    Request("sns:Publish", f"arn:aws:sns:{HERE}:other"),
    Request("iam:PassRole", "arn:aws:iam::123456789012:role/training-node"),
]


@pytest.mark.parametrize("request_", FUNCTION_DOES, ids=lambda r: f"{r.action} {r.resource}")
def test_the_function_may_do_what_it_does(function: Policy, request_: Request) -> None:
    assert allowed(function, request_)


@pytest.mark.parametrize("request_", FUNCTION_MUST_NOT, ids=lambda r: f"{r.action} {r.resource}")
def test_the_function_may_do_nothing_to_what_is_not_its_fleets(function: Policy, request_: Request) -> None:
    assert not allowed(function, request_)


def test_the_functions_requests_are_all_here() -> None:
    made = calls(r"clients\.(\w+)\.(\w+)\(", "lambdas/spotkeeper_responder/aws/cloud.py")
    does = {f"{service}:{operations(service)[method]}" for service, method in made}
    assert does == {r.action for r in FUNCTION_DOES if r.action.split(":")[0] in ("autoscaling", "ec2", "ssm", "sns")}


def operations(service: str) -> Mapping[str, str]:
    """What botocore calls each of a client's methods on the wire."""
    client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    mapping: Mapping[str, str] = client.meta.method_to_api_mapping
    return mapping
