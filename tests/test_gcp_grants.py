"""Who may do what in a project of Google Cloud: conditions, read by an implementation of their language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import celpy
import pytest

from spotkeeper.gcp import grants
from spotkeeper.gcp.grants import READ, WRITE, Grant, function_grants, node_grants
from spotkeeper.naming import BucketUri

# What of these roles counts here. Source: IAM documentation, "Cloud Storage roles and permissions".
ROLES = {READ: {"get", "list"}, WRITE: {"get", "list", "create", "delete"}}
PREFIX = "storage.googleapis.com/objectListPrefix"

NODE = node_grants("p-s-f", "ledger", BucketUri("gs", "saves", "jobs/digits"))
FUNCTION = function_grants("ledger")


def holds(condition: str, name: str, prefix: str | None = None) -> bool:
    """Whether a condition lets a request through: for an object, or for a listing of a bucket."""
    environment = celpy.Environment()
    program = environment.program(
        environment.compile(condition), functions={"getAttribute": lambda api, name, default: api.get(name, default)}
    )
    asked: Any = {"resource": {"name": name}, "api": {} if prefix is None else {PREFIX: prefix}}
    return bool(program.evaluate({key: celpy.json_to_cel(value) for key, value in asked.items()}))


def may(granted: Mapping[str, Grant], action: str, where: str, prefix: str | None = None) -> bool:
    """Whether any grant lets ``action`` be done to ``bucket/key``, or to ``bucket`` with a listing's prefix."""
    bucket, _, key = where.partition("/")
    name = f"projects/_/buckets/{bucket}" + (f"/objects/{key}" if key else "")
    return any(
        action in ROLES[grant.role] and (not grant.condition or holds(grant.condition, name, prefix))
        for grant in granted.values()
        if grant.bucket == bucket
    )


@pytest.mark.parametrize(
    ("action", "where", "allowed"),
    [
        ("create", "ledger/fleets/p-s-f/nodes/1:n.1/report.json", True),
        ("delete", "ledger/fleets/p-s-f/nodes/1:n.1/report.json", True),  # what overwriting is
        ("create", "ledger/fleets/p-s-f/nodes/1:n.1/notice.json", True),
        ("create", "ledger/fleets/p-s-f/nodes/1:n.1/log.txt", True),
        ("create", "ledger/fleets/p-s-f/nodes/1:n.1/anything", False),
        ("create", "ledger/fleets/p-s-f/job/generation.json", True),
        ("create", "ledger/fleets/p-s-f/job/progress.json", True),
        ("create", "ledger/fleets/p-s-f/job/other.json", False),
        ("create", "ledger/fleets/p-s-f/spec.json", False),
        ("create", "ledger/fleets/p-s-f/ledger.json", False),
        ("create", "ledger/fleets/p-s-f/signal.json", False),
        ("create", "ledger/fleets/p-s-f-2/nodes/1:n.1/report.json", False),
        ("create", "ledger/members.json", False),
        ("create", "ledger/agent/0.pyz.b64", False),
        ("create", "ledger/function/0.zip", False),
        ("delete", "ledger/fleets/p-s-f/spec.json", False),
        ("get", "ledger/agent/0.pyz.b64", True),
        ("get", "ledger/fleets/p-s-f/spec.json", True),
        ("get", "ledger/fleets/p-s-f-2/spec.json", False),
        ("get", "ledger/members.json", False),
        ("get", "ledger/function/0.zip", False),
        ("create", "saves/jobs/digits/head.json", True),
        ("delete", "saves/jobs/digits/parts/1", True),
        ("create", "saves/jobs/digits-2/head.json", False),
        ("get", "saves/other", False),
    ],
)
def test_a_node_reaches_its_fleets_objects_only(action: str, where: str, allowed: bool) -> None:
    assert may(NODE, action, where) is allowed


@pytest.mark.parametrize(
    ("bucket", "prefix", "allowed"),
    [
        ("ledger", "fleets/p-s-f/", True),
        ("ledger", "fleets/p-s-f/nodes/1:", True),
        ("ledger", "fleets/p-s-f-2/", False),
        ("ledger", "fleets/", False),
        ("ledger", "", False),
        ("ledger", None, False),
        ("saves", "jobs/digits/", True),
        ("saves", "jobs/", False),
        ("saves", None, False),
    ],
)
def test_a_node_lists_its_own_prefixes_only(bucket: str, prefix: str | None, allowed: bool) -> None:
    assert may(NODE, "list", bucket, prefix) is allowed


@pytest.mark.parametrize(
    ("action", "where", "allowed"),
    [
        ("create", "ledger/members.json", True),
        ("create", "ledger/fleets/f/ledger.json", True),
        ("create", "ledger/fleets/f/signal.json", True),
        ("create", "ledger/fleets/f/spec.json", False),
        ("create", "ledger/fleets/f/job/generation.json", False),
        ("create", "ledger/fleets/f/nodes/n/report.json", False),
        ("create", "ledger/agent/0.pyz.b64", False),
        ("create", "ledger/function/0.zip", False),
        ("get", "ledger/fleets/f/nodes/n/report.json", True),
        ("get", "ledger/members.json", True),
        ("get", "ledger/function/0.zip", False),
        ("get", "saves/jobs/digits/head.json", False),
    ],
)
def test_the_function_reaches(action: str, where: str, allowed: bool) -> None:
    assert may(FUNCTION, action, where) is allowed


def test_the_function_lists_the_whole_ledger() -> None:
    assert may(FUNCTION, "list", "ledger", "fleets/")
    assert not may(FUNCTION, "list", "saves", "")


def test_checkpoints_without_a_prefix_are_the_whole_bucket() -> None:
    granted = node_grants("f", "ledger", BucketUri("gs", "saves", ""))
    assert granted["checkpoints"] == Grant("saves", WRITE, "")
    assert may(granted, "create", "saves/head.json")
    assert may(granted, "list", "saves", "")


def test_the_names_of_grants_are_known_before_what_they_say() -> None:
    assert tuple(NODE) == grants.NODE
    assert tuple(FUNCTION) == grants.FUNCTION


def test_conditions_are_no_longer_than_iam_takes() -> None:
    """At most 12 logical operators. Source: IAM documentation, "Quotas and limits"."""
    longest = node_grants("f" * 40, "b" * 52, BucketUri("gs", "b" * 63, "p/" * 100))
    for grant in [*longest.values(), *FUNCTION.values()]:
        assert grant.condition.count("&&") + grant.condition.count("||") <= 12
