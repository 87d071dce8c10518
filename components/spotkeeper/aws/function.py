"""The responder's function: its role, its log, its code and what it is fed from."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from spotkeeper.archives import function_archive
from spotkeeper.aws import naming
from spotkeeper.aws.events import FUNCTION_SECONDS, Events
from spotkeeper.aws.naming import Place
from spotkeeper.aws.policies import assumed_by, responder_policy
from spotkeeper.aws.tags import Tags

HANDLER = "spotkeeper_responder.aws.handler.handle"
MEMORY_MB = 512
"""Enough for the clients to start in about a second; the work itself needs a tenth."""
BATCH_SIZE, BATCH_SECONDS = 10_000, 1
"""A storm arrives as one batch and is one decision a fleet; a single event waits at most this long for company. SQS
allows no larger batch, and Lambda ends one at 6 MB: between four and five thousand events."""
CONCURRENCY = 2
"""The least that SQS can be held to. Fleets are guarded by compare-and-swap, so two at a time are only wasteful."""


@dataclass(frozen=True)
class Function:
    """The function, its role and the mapping that feeds it."""

    function: aws.lambda_.Function
    role: aws.iam.Role
    mapping: aws.lambda_.EventSourceMapping


def function(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    fed_from: Events,
    topic: aws.sns.Topic,
    document: aws.ssm.Document,
    log_retention_days: int,
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> Function:
    """Make the function. It starts to take events only when it has its role's policy and its log."""
    function_name = responder.apply(naming.function_name)
    role = aws.iam.Role(
        f"{name}-function",
        name=function_name,
        assume_role_policy=json.dumps(assumed_by("lambda.amazonaws.com")),
        tags=tags,
        opts=opts,
    )
    policy = aws.iam.RolePolicy(
        f"{name}-function",
        role=role.name,
        policy=pulumi.Output.all(place, responder).apply(lambda known: json.dumps(responder_policy(*known))),
        opts=opts,
    )
    log = aws.cloudwatch.LogGroup(
        f"{name}-function",
        name=function_name.apply(lambda known: f"/aws/lambda/{known}"),
        retention_in_days=log_retention_days,
        tags=tags,
        opts=opts,
    )
    made = aws.lambda_.Function(
        f"{name}-function",
        name=function_name,
        description="Keeps Spotkeeper fleets at strength",
        role=role.arn,
        runtime="python3.13",
        architectures=["arm64"],
        handler=HANDLER,
        code=function_archive("aws"),
        timeout=FUNCTION_SECONDS,
        memory_size=MEMORY_MB,
        environment={
            "variables": {
                "SPOTKEEPER_LEDGER": responder.apply(lambda known: f"s3://{known}"),
                "SPOTKEEPER_TOPIC_ARN": topic.arn,
                "SPOTKEEPER_DOCUMENT": document.name,
            }
        },
        logging_config={
            "log_format": "JSON",
            "log_group": log.name,
            "application_log_level": "INFO",
            "system_log_level": "WARN",
        },
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[policy])),
    )
    mapping = aws.lambda_.EventSourceMapping(
        f"{name}-function",
        event_source_arn=fed_from.queue.arn,
        function_name=made.name,
        batch_size=BATCH_SIZE,
        maximum_batching_window_in_seconds=BATCH_SECONDS,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config={"maximum_concurrency": CONCURRENCY},
        tags=tags,
        opts=opts,
    )
    return Function(made, role, mapping)
