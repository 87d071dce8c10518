"""How word reaches the function: rules and bucket notifications into one queue, with a second one for what got lost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from spotkeeper.aws import naming
from spotkeeper.aws.naming import Place
from spotkeeper.aws.policies import queue_policy
from spotkeeper.aws.tags import Tags
from spotkeeper.naming import GROUP_PREFIX
from spotkeeper_ledger import keys

FUNCTION_SECONDS = 15
"""Timeout of the function."""
VISIBILITY_SECONDS = 6 * FUNCTION_SECONDS
"""How long a message that is being handled is hidden: six timeouts, as AWS asks of queues that feed functions."""
KEEP_SECONDS = 3600
"""How long an event waits to be handled. Ticks tell the same later, so nothing is won by handling older ones."""
KEEP_DEAD_SECONDS = 14 * 24 * 3600
"""How long what could not be handled is kept for people to look at: as long as SQS can."""
DELIVERY_SECONDS = 300
"""How long EventBridge tries to deliver an event; an interruption is over after two minutes."""

RULES: Mapping[str, Mapping[str, Any]] = {
    "spot": {
        "source": ["aws.ec2"],
        "detail-type": ["EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"],
    },
    "groups": {
        "source": ["aws.autoscaling"],
        "detail-type": [
            "EC2 Instance-terminate Lifecycle Action",
            "EC2 Instance Launch Successful",
            "EC2 Instance Launch Unsuccessful",
            "EC2 Instance Terminate Successful",
        ],
        "detail": {"AutoScalingGroupName": [{"prefix": GROUP_PREFIX}]},
    },
}
"""Event pattern of each rule. Spot events carry neither group nor tags, so all of a region come; the function drops
foreign ones. There is no rule for state changes: they say nothing that these do not say earlier."""
TICK = "rate(1 minute)"
"""The shortest period that EventBridge has."""


@dataclass(frozen=True)
class Events:
    """The queues, and everything that has to be there for events to arrive."""

    queue: aws.sqs.Queue
    dead: aws.sqs.Queue
    wiring: Sequence[pulumi.Resource]


def events(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    bucket: aws.s3.Bucket,
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> Events:
    """Make queues, rules, targets, the bucket notification, and the policies that let them send."""
    dead = aws.sqs.Queue(
        f"{name}-dead",
        name=responder.apply(naming.dead_letter_name),
        message_retention_seconds=KEEP_DEAD_SECONDS,
        sqs_managed_sse_enabled=True,
        tags=tags,
        opts=opts,
    )
    queue = aws.sqs.Queue(
        f"{name}-events",
        name=responder.apply(naming.queue_name),
        message_retention_seconds=KEEP_SECONDS,
        visibility_timeout_seconds=VISIBILITY_SECONDS,
        sqs_managed_sse_enabled=True,
        redrive_policy=dead.arn.apply(lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})),
        tags=tags,
        opts=opts,
    )
    rules = {
        **{kind: _rule(name, kind, responder, tags, opts, pattern=pattern) for kind, pattern in RULES.items()},
        "tick": _rule(name, "tick", responder, tags, opts),
    }
    arns = pulumi.Output.all(*[rule.arn for rule in rules.values()])
    policies = [
        aws.sqs.QueuePolicy(
            f"{name}-events",
            queue_url=queue.url,
            policy=pulumi.Output.all(place, queue.name, arns, bucket.id).apply(
                lambda known: json.dumps(queue_policy(known[0], known[1], rules=known[2], bucket=known[3]))
            ),
            opts=opts,
        ),
        aws.sqs.QueuePolicy(
            f"{name}-dead",
            queue_url=dead.url,
            policy=pulumi.Output.all(place, dead.name, arns).apply(
                lambda known: json.dumps(queue_policy(known[0], known[1], rules=known[2]))
            ),
            opts=opts,
        ),
    ]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=policies))
    targets = [
        aws.cloudwatch.EventTarget(
            f"{name}-{kind}",
            rule=rule.name,
            target_id="responder",
            arn=queue.arn,
            retry_policy={"maximum_event_age_in_seconds": DELIVERY_SECONDS, "maximum_retry_attempts": 20},
            dead_letter_config={"arn": dead.arn},
            opts=after,
        )
        for kind, rule in rules.items()
    ]
    notification = aws.s3.BucketNotification(
        f"{name}-notices",
        bucket=bucket.id,
        queues=[
            {
                "queue_arn": queue.arn,
                "events": ["s3:ObjectCreated:*"],
                "filter_prefix": keys.FLEETS,
                "filter_suffix": "/notice.json",
            }
        ],
        opts=after,
    )
    return Events(queue, dead, [*targets, notification])


def _rule(
    name: str,
    kind: str,
    responder: pulumi.Output[str],
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
    pattern: Any = None,
) -> aws.cloudwatch.EventRule:
    return aws.cloudwatch.EventRule(
        f"{name}-{kind}",
        name=responder.apply(lambda known: f"{known}-{kind}"),
        description=f"Spotkeeper: {kind}",
        event_pattern=json.dumps(pattern) if pattern else None,
        schedule_expression=None if pattern else TICK,
        tags=tags,
        opts=opts,
    )
