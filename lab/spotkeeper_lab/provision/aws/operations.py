"""Alarms and commands."""

from __future__ import annotations

from spotkeeper_lab.provision.aws.account import Aws, creates
from spotkeeper_lab.provision.aws.spelling import pascal, tag_list
from spotkeeper_lab.provision.table import Created, Inputs

ALARM_SETTINGS = (
    "alarmActions", "alarmDescription", "comparisonOperator", "evaluationPeriods", "metricName", "namespace",
    "okActions", "period", "statistic", "threshold", "treatMissingData",
)  # fmt: skip


@creates("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(aws: Aws, name: str, given: Inputs) -> Created:
    """Create an alarm."""
    alarm = given.take("name", name)
    settings = pascal(given.take_all(*ALARM_SETTINGS))
    settings["Dimensions"] = [
        {"Name": key, "Value": value} for key, value in sorted(given.take("dimensions", {}).items())
    ]
    aws.client("cloudwatch").put_metric_alarm(AlarmName=alarm, Tags=tag_list(given.take("tags")), **settings)
    return alarm, {"name": alarm, "arn": f"arn:aws:cloudwatch:{aws.region}:{aws.account}:alarm:{alarm}"}


@creates("aws:ssm/document:Document")
def document(aws: Aws, name: str, given: Inputs) -> Created:
    """Create a command that can be sent to instances."""
    document_name = given.take("name", name)
    aws.client("ssm").create_document(
        Name=document_name,
        Tags=tag_list(given.take("tags")),
        **pascal(given.take_all("content", "documentType", "documentFormat", "targetType")),
    )
    arn = f"arn:aws:ssm:{aws.region}:{aws.account}:document/{document_name}"
    return document_name, {"name": document_name, "arn": arn}
