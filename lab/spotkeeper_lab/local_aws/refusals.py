"""How AWS's services say no: throttling and internal errors, in each service's own protocol.

Codes and shapes are those of the services' API references: S3 answers in XML of its own, services of the query protocol
(Auto Scaling) in an ``ErrorResponse``, those of the JSON protocols (Systems Manager) with ``__type``. Not done: headers
that ask to wait, messages that differ by operation.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.wrappers import Response

from spotkeeper_lab.local.faults import BROKEN, THROTTLED, Call


@dataclass(frozen=True)
class Refusal:
    """What a service answers instead of doing what it was asked."""

    status: int
    code: str
    message: str


_S3: Mapping[str, Refusal] = {
    THROTTLED: Refusal(503, "SlowDown", "Please reduce your request rate."),
    BROKEN: Refusal(500, "InternalError", "We encountered an internal error. Please try again."),
}
_QUERY: Mapping[str, Refusal] = {
    THROTTLED: Refusal(400, "Throttling", "Rate exceeded"),
    BROKEN: Refusal(500, "InternalFailure", "The request processing has failed because of an unknown error."),
}
_JSON: Mapping[str, Refusal] = {
    THROTTLED: Refusal(400, "ThrottlingException", "Rate exceeded"),
    BROKEN: Refusal(500, "InternalServerError", "An error occurred on the server side."),
}
SERVICES: Mapping[str, Mapping[str, Refusal]] = {"s3": _S3, "autoscaling": _QUERY, "ssm": _JSON}
"""Signing name of a service to how it refuses, for :data:`THROTTLED` and :data:`BROKEN`."""


def refused(service: str, kind: str, method: str = "GET") -> Response:
    """Return a service's answer to a request that it does not do.

    Args:
        service: a key of :data:`SERVICES`.
        kind: :data:`THROTTLED` or :data:`BROKEN`.
        method: of the request; the answer to ``HEAD`` has no body.
    """
    refusal, request = SERVICES[service][kind], str(uuid.uuid4())
    error = f"<Code>{refusal.code}</Code><Message>{refusal.message}</Message>"
    content = "application/xml"
    if service == "s3":
        body = f"<Error>{error}<RequestId>{request}</RequestId></Error>"
    elif service == "ssm":
        body, content = json.dumps({"__type": refusal.code, "message": refusal.message}), "application/x-amz-json-1.1"
    else:
        blame = "Sender" if refusal.status < 500 else "Receiver"
        inside = f"<Error><Type>{blame}</Type>{error}</Error><RequestId>{request}</RequestId>"
        body = f"<ErrorResponse>{inside}</ErrorResponse>"
    return Response("" if method == "HEAD" else body, status=refusal.status, content_type=content)


def refuse(call: Call, kind: str) -> Response:
    """Return how a call is refused; one to a service that is none of :data:`SERVICES`, as S3 does it."""
    return refused(call.service if call.service in SERVICES else "s3", kind, call.method)
