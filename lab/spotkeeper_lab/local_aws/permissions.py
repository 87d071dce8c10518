"""What instances may do to objects in S3: the inline policies of their role, as they were declared, are applied.

An instance is known by the session token that its own metadata server gave out. Actions, resources with ``*`` and
``?``, ``${aws:userid}``, explicit denials and conditions on ``s3:prefix`` count.

Not done: other services, callers that are no instances, bucket policies (the ledger's refuses what comes without TLS,
and nothing here comes with it), managed policies, boundaries, and signatures, which nobody checks here. A condition or
a variable that is not known is an error, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.iam.models import iam_backends
from werkzeug.wrappers import Response

from spotkeeper_lab.local_aws.metadata import TOKEN
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.world import World

ACTIONS: Mapping[str, str] = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
"""Operation to the action that allows it; an instance may do no other."""
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def allowed(policies: Iterable[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Return whether policies let ``action`` be done to ``resource``.

    Args:
        policies: documents.
        action: such as ``s3:PutObject``.
        resource: its ARN.
        context: ``aws:userid``, and with a listing ``s3:prefix``.

    Raises:
        NotImplementedError: A statement that is about the action has a variable or a condition that is not known here.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if action in _several(statement["Action"])
        and any(_matches(pattern, resource, context) for pattern in _several(statement["Resource"]))
        and _holds(statement.get("Condition", {}), context)
    }
    return effects == {"Allow"}


class Permissions:
    """Refuses what an instance's role does not allow it."""

    def __init__(self, world: World, nodes: NodeProcesses) -> None:
        self._world = world
        self._nodes = nodes

    def refusal(self, token: str, operation: str, path: str, query: str) -> Response | None:
        """Return the answer to a request of an instance that must not make it; ``None`` for all others.

        Args:
            token: the session token that came with it, empty where none did.
            operation: of S3.
            path: ``/bucket/key``, encoded or not.
            query: encoded.
        """
        if not token.startswith(TOKEN):
            return None
        node = token.removeprefix(TOKEN)
        with self._world.lock:
            role = iam_backends[self._world.account]["aws"].get_role(self._nodes.metadata(node).role)
            policies = [json.loads(policy) for policy in role.policies.values()]
        context = {"aws:userid": f"{role.id}:{node}", "s3:prefix": parse_qs(query).get("prefix", [""])[0]}
        resource = f"arn:aws:s3:::{unquote(path).strip('/')}"
        if allowed(policies, ACTIONS.get(operation, ""), resource, context):
            return None
        return Response(_DENIED, status=403, content_type="application/xml")


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, wanted in condition.items():
        for key, patterns in wanted.items():
            if (operator, key) != ("StringLike", "s3:prefix"):
                raise NotImplementedError(f"condition: was {operator} of {key}, expected StringLike of s3:prefix")
            if not any(_matches(pattern, context[key], context) for pattern in _several(patterns)):
                return False
    return True


def _matches(pattern: str, value: str, context: Mapping[str, str]) -> bool:
    unknown = set(_VARIABLE.findall(pattern)) - context.keys()
    if unknown:
        raise NotImplementedError(f"policy variable: was {', '.join(sorted(unknown))}, expected aws:userid")
    filled = _VARIABLE.sub(lambda found: context[found[1]], pattern)
    parts = {"*": ".*", "?": "."}
    return (
        re.fullmatch("".join(parts.get(letter, re.escape(letter)) for letter in filled), value, re.DOTALL) is not None
    )
