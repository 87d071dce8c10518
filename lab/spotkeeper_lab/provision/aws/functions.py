"""Functions, their triggers and their logs."""

from __future__ import annotations

from spotkeeper_lab.provision.aws.account import Aws, creates
from spotkeeper_lab.provision.aws.spelling import pascal
from spotkeeper_lab.provision.table import Created, Inputs

SETTINGS = (
    "description",
    "runtime",
    "handler",
    "timeout",
    "memorySize",
    "architectures",
    "environment",
    "loggingConfig",
)
MAPPING_SETTINGS = ("batchSize", "maximumBatchingWindowInSeconds", "functionResponseTypes", "scalingConfig")


@creates("aws:lambda/function:Function")
def function(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a function from the archive that the program ships."""
    function_name = given.take("name", name)
    settings = given.take_all(*SETTINGS)
    environment = settings.pop("environment", {})
    arguments = pascal(settings) | {"Environment": {"Variables": environment.get("variables", {})}}
    made = aws.client("lambda").create_function(
        FunctionName=function_name,
        Role=given.take("role"),
        Code={"ZipFile": given.take("code")},
        Tags=given.take("tags", {}),
        **arguments,
    )
    return function_name, {"name": function_name, "arn": made["FunctionArn"], "version": made["Version"]}


@creates("aws:lambda/eventSourceMapping:EventSourceMapping")
def event_source_mapping(aws: Aws, _: str, given: Inputs) -> Created:
    """Let a queue call a function."""
    made = aws.client("lambda").create_event_source_mapping(
        EventSourceArn=given.take("eventSourceArn"),
        FunctionName=given.take("functionName"),
        Tags=given.take("tags", {}),
        **pascal(given.take_all(*MAPPING_SETTINGS)),
    )
    return made["UUID"], {"uuid": made["UUID"], "functionArn": made["FunctionArn"]}


@creates("aws:cloudwatch/logGroup:LogGroup")
def log_group(aws: Aws, name: str, given: Inputs) -> Created:
    """Keep logs for a while."""
    client, group = aws.client("logs"), given.take("name", name)
    client.create_log_group(logGroupName=group, tags=given.take("tags", {}))
    client.put_retention_policy(logGroupName=group, retentionInDays=given.take("retentionInDays"))
    return group, {"name": group, "arn": f"arn:aws:logs:{aws.region}:{aws.account}:log-group:{group}"}
