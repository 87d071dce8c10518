"""Queues, topics and event rules."""

from __future__ import annotations

from spotkeeper_lab.provision.aws.account import Aws, creates
from spotkeeper_lab.provision.aws.spelling import pascal, tag_list
from spotkeeper_lab.provision.table import Created, Inputs

QUEUE_ATTRIBUTES = {
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


def _attribute(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@creates("aws:sqs/queue:Queue")
def queue(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a queue."""
    queue_name, tags = given.take("name", name), given.take("tags", {})
    attributes = {QUEUE_ATTRIBUTES[key]: _attribute(value) for key, value in given.take_all(*QUEUE_ATTRIBUTES).items()}
    url = aws.client("sqs").create_queue(QueueName=queue_name, Attributes=attributes, tags=tags)["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, {"name": queue_name, "url": url, "arn": arn}


@creates("aws:sqs/queuePolicy:QueuePolicy")
def queue_policy(aws: Aws, _: str, given: Inputs) -> Created:
    """Set who may send to a queue."""
    url = given.take("queueUrl")
    aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": given.take("policy")})
    return url, {}


@creates("aws:sns/topic:Topic")
def topic(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a topic."""
    topic_name = given.take("name", name)
    arn = aws.client("sns").create_topic(Name=topic_name, Tags=tag_list(given.take("tags")))["TopicArn"]
    return arn, {"name": topic_name, "arn": arn}


@creates("aws:sns/topicPolicy:TopicPolicy")
def topic_policy(aws: Aws, _: str, given: Inputs) -> Created:
    """Set who may publish to a topic."""
    arn = given.take("arn")
    aws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=given.take("policy"))
    return arn, {}


@creates("aws:sns/topicSubscription:TopicSubscription")
def topic_subscription(aws: Aws, _: str, given: Inputs) -> Created:
    """Subscribe to a topic."""
    made = aws.client("sns").subscribe(
        TopicArn=given.take("topic"),
        Protocol=given.take("protocol"),
        Endpoint=given.take("endpoint"),
        ReturnSubscriptionArn=True,
    )
    return made["SubscriptionArn"], {"arn": made["SubscriptionArn"]}


@creates("aws:cloudwatch/eventRule:EventRule")
def event_rule(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a rule of the event bus."""
    rule, tags = given.take("name", name), tag_list(given.take("tags"))
    arguments = pascal(given.take_all("description", "eventPattern", "scheduleExpression"))
    arn = aws.client("events").put_rule(Name=rule, Tags=tags, **arguments)["RuleArn"]
    return rule, {"name": rule, "arn": arn}


@creates("aws:cloudwatch/eventTarget:EventTarget")
def event_target(aws: Aws, name: str, given: Inputs) -> Created:
    """Send what a rule matches to a target."""
    rule, target_id = given.take("rule"), given.take("targetId", name)
    target = pascal(given.take_all("arn", "retryPolicy", "deadLetterConfig"))
    made = aws.client("events").put_targets(Rule=rule, Targets=[{"Id": target_id, **target}])
    if made["FailedEntryCount"]:
        raise RuntimeError(f"{name}: the event bus refused the target: {made['FailedEntries']}")
    return f"{rule}-{target_id}", {"targetId": target_id}
