"""Policies as the real stack program declares them, and whether they let a request through.

moto's evaluator decides (``moto.iam.access_control``: statements, patterns, a denial that beats every permission). It
fills in no policy variables, knows no condition operator but ``StringEquals``, takes an unmet condition for a denial
and looks at no service as a caller: so all four are settled here first, statement by statement, as the IAM User Guide
has them ("IAM JSON policy elements").
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from pulumi_support import Declared

Policy = Mapping[str, Any]
Statement = Mapping[str, Any]

FLEET = "spotkeeper-test-training"
RESPONDER = "spotkeeper-123456789012-eu-west-1"
CHECKPOINTS = "saves/job"
"""Bucket and prefix of the checkpoints."""
HERE = "eu-west-1:123456789012"
"""What an ARN of this region and account has in its middle."""
USER = "AROAEXAMPLE:i-0123456789abcdef0"
"""``aws:userid`` of a node: its role's id and its own."""


@dataclass(frozen=True)
class Request:
    """What somebody asks AWS to do."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys and what they are in this request."""
    caller: str = ""
    """The service that asks, where one does."""


def policies(declared: Declared) -> Iterator[tuple[str, Policy]]:
    """Return every policy that the program declares, with the resource that it belongs to.

    A fleet's own input of that name says what is done when spot is missing.
    """
    for seen in declared.notes.seen:
        for name in ("policy", "assumeRolePolicy"):
            if seen.kind != "AwsTrainingFleet" and isinstance(seen.inputs.get(name), str):
                yield seen.label, json.loads(seen.inputs[name])


def texts(value: str | Sequence[str]) -> list[str]:
    """Return a policy's value as a list; it may be written as one text."""
    return [value] if isinstance(value, str) else list(value)


def allowed(policy: Policy, request: Request) -> bool:
    """Whether the policy lets the request through."""
    return _decided(policy, request) is PermissionResult.PERMITTED


def denied(policy: Policy, request: Request) -> bool:
    """Whether the policy turns the request away, whatever else permits it."""
    return _decided(policy, request) is PermissionResult.DENIED


def _decided(policy: Policy, request: Request) -> PermissionResult:
    statements = [
        {**statement, "Resource": [_filled_in(pattern, request) for pattern in texts(statement.get("Resource", "*"))]}
        for statement in policy["Statement"]
        if _concerns(statement, request)
    ]
    bare = [{key: value for key, value in each.items() if key not in ("Condition", "Principal")} for each in statements]
    return IAMPolicy(json.dumps({**policy, "Statement": bare})).is_action_permitted(request.action, request.resource)


def _concerns(statement: Statement, request: Request) -> bool:
    principal = statement.get("Principal", "*")
    by_caller = principal == "*" or request.caller in texts(principal["Service"])
    return by_caller and all(
        key in request.context
        and any(OPERATORS[operator](request.context[key], _filled_in(text, request)) for text in texts(expected))
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )


def _like(actual: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(actual, pattern.replace("[", "[[]"))


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda actual, expected: actual == expected,
    "Bool": lambda actual, expected: actual == expected,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}
"""Condition operators; a policy that uses another one fails the test that evaluates it."""


def _filled_in(text: str, request: Request) -> str:
    """Fill in policy variables. One that the request does not know stays as it is, so that nothing can match."""
    return re.sub(r"\$\{([^}]*)\}", lambda found: request.context.get(found[1], found[0]), text)
