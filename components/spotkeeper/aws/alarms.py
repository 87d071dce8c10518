"""When people are called: the alarms of a responder, as a table, and the topic that they go to.

The function's announcements go to the same topic.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from spotkeeper.aws import naming
from spotkeeper.aws.naming import Place
from spotkeeper.aws.policies import topic_policy
from spotkeeper.aws.tags import Tags

NAMESPACE = "Spotkeeper"
"""Where the function's own metrics are."""


@dataclass(frozen=True)
class Alarm:
    """One alarm: it rings when the statistic compares so with the threshold in so many minutes in a row."""

    metric: str
    dimension: str
    value: Callable[[str], str]
    """Value of the dimension, from the responder's name."""
    statistic: str
    threshold: float
    minutes: int
    meaning: str
    namespace: str = NAMESPACE
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"
    """What a minute without data counts as."""


ALARMS: Mapping[str, Alarm] = {
    "dead-letters": Alarm(
        metric="ApproximateNumberOfMessagesVisible",
        namespace="AWS/SQS",
        dimension="QueueName",
        value=naming.dead_letter_name,
        statistic="Maximum",
        threshold=0,
        minutes=1,
        meaning="Events could not be delivered or handled; they wait in the dead-letter queue.",
    ),
    "errors": Alarm(
        metric="Errors",
        namespace="AWS/Lambda",
        dimension="FunctionName",
        value=naming.function_name,
        statistic="Sum",
        threshold=0,
        minutes=1,
        meaning="The responder's function failed; its log says why.",
    ),
    "backlog": Alarm(
        metric="ApproximateAgeOfOldestMessage",
        namespace="AWS/SQS",
        dimension="QueueName",
        value=naming.queue_name,
        statistic="Maximum",
        threshold=60,
        minutes=2,
        meaning="Events wait for more than one of the two minutes that an interruption gives.",
    ),
    "no-tick": Alarm(
        metric="Ticks",
        dimension="Responder",
        value=str,
        statistic="Sum",
        threshold=1,
        comparison="LessThanThreshold",
        missing="breaching",
        minutes=5,
        meaning="The responder has not looked at its fleets for five minutes.",
    ),
    "quota": Alarm(
        metric="LaunchFailuresQuota",
        dimension="Responder",
        value=str,
        statistic="Sum",
        threshold=0,
        minutes=1,
        meaning="A fleet cannot grow because of a quota of this account. Nothing is bought for it: raise the quota.",
    ),
    "configuration": Alarm(
        metric="LaunchFailuresConfiguration",
        dimension="Responder",
        value=str,
        statistic="Sum",
        threshold=0,
        minutes=1,
        meaning="A fleet cannot start nodes because of its image, its network, its key or its permissions.",
    ),
    "drought": Alarm(
        metric="Drought",
        dimension="Responder",
        value=str,
        statistic="Maximum",
        threshold=0,
        minutes=5,
        meaning="A fleet has found no spot capacity for five minutes.",
    ),
    "on-demand-cap": Alarm(
        metric="OnDemandCapReached",
        dimension="Responder",
        value=str,
        statistic="Maximum",
        threshold=0,
        minutes=1,
        meaning="A fleet has used all the on-demand that its max_on_demand_hours allows. It goes on with spot and its "
        "base, and buys nothing until that is raised.",
    ),
    "deadline": Alarm(
        metric="DeadlineAtRisk",
        dimension="Responder",
        value=str,
        statistic="Maximum",
        threshold=0,
        minutes=2,
        meaning="A fleet's deadline, or its cost, is not assured any more; spotkeeper status says why.",
    ),
}
"""Every alarm of a responder, by the last part of its name. Metrics of :data:`NAMESPACE` are over all its fleets."""


def alerts(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    email: pulumi.Input[str] | None,
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> aws.sns.Topic:
    """Make the topic for alarms and announcements and, where an address is given, its subscription.

    The topic is not encrypted with a key of its own: CloudWatch cannot publish through the account's key for SNS, and
    neither alarms nor announcements carry anything that is secret.
    """
    topic = aws.sns.Topic(f"{name}-alerts", name=responder.apply(naming.topic_name), tags=tags, opts=opts)
    aws.sns.TopicPolicy(
        f"{name}-alerts",
        arn=topic.arn,
        policy=pulumi.Output.all(place, responder).apply(lambda known: json.dumps(topic_policy(*known))),
        opts=opts,
    )
    if email is not None:
        aws.sns.TopicSubscription(f"{name}-alerts", topic=topic.arn, protocol="email", endpoint=email, opts=opts)
    return topic


def alarms(
    name: str,
    *,
    responder: pulumi.Output[str],
    topic: aws.sns.Topic,
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> None:
    """Make all alarms; each tells the topic when it rings and when it is over."""
    for suffix, alarm in ALARMS.items():
        aws.cloudwatch.MetricAlarm(
            f"{name}-{suffix}",
            name=pulumi.Output.concat(responder, "-", suffix),
            alarm_description=alarm.meaning,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions={alarm.dimension: responder.apply(alarm.value)},
            statistic=alarm.statistic,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            period=60,
            evaluation_periods=alarm.minutes,
            treat_missing_data=alarm.missing,
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            tags=tags,
            opts=opts,
        )
