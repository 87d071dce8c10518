from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from local_aws_support import cloud, function, until
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.alarms import breaches

# Prints each message as a value of a metric, over two sets of dimensions.
SOURCE = """
import json, time
def handle(event, context):
    for record in event["Records"]:
        directive = {"Namespace": "Own", "Dimensions": [["Who"], ["Whose"]], "Metrics": [{"Name": "Failures"}]}
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        print(json.dumps({"_aws": about, "Who": "fleet", "Whose": "responder", "Failures": float(record["body"])}))
"""


@pytest.mark.parametrize(
    ("values", "statistic", "comparison", "threshold", "expected"),
    [
        ([1, 2], "Sum", "GreaterThanThreshold", 2, True),
        ([1, 1], "Sum", "GreaterThanThreshold", 2, False),
        ([1, 1], "Sum", "GreaterThanOrEqualToThreshold", 2, True),
        ([1, 3], "Maximum", "LessThanThreshold", 3, False),
        ([1, 3], "Minimum", "LessThanThreshold", 3, True),
        ([1, 3], "Average", "LessThanOrEqualToThreshold", 2, True),
        ([0, 0, 0], "SampleCount", "GreaterThanThreshold", 2, True),
    ],
)
def test_a_period_is_judged_as_declared(
    values: list[float], statistic: str, comparison: str, threshold: float, expected: bool
) -> None:
    assert breaches(values, statistic, comparison, threshold, missing=not expected) == expected


@pytest.mark.parametrize("missing", [True, False])
def test_a_period_without_values_is_what_the_alarm_says(missing: bool) -> None:
    assert breaches([], "Sum", "LessThanThreshold", 1, missing=missing) == missing


def declare(aws: LocalAws, name: str, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "Namespace": "Own",
        "MetricName": "Failures",
        "Dimensions": [{"Name": "Whose", "Value": "responder"}],
        "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 2.0,
        "Period": 60,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "AlarmDescription": f"{name} means this.",
    }
    aws.client("cloudwatch").put_metric_alarm(AlarmName=name, **(settings | changes))


def states(aws: LocalAws) -> dict[str, str]:
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}


def test_what_the_function_prints_rings_the_alarm_that_was_declared_for_it(tmp_path: Path) -> None:
    with cloud(tmp_path, tick_seconds=0.1) as aws:
        function(aws, SOURCE, batch=1)
        declare(aws, "ours")
        declare(aws, "higher", Threshold=3.0)
        declare(aws, "another-name", MetricName="Successes")
        declare(aws, "another-value", Dimensions=[{"Name": "Whose", "Value": "nobody"}])
        declare(aws, "no-dimension", Dimensions=[])
        declare(aws, "another-namespace", Namespace="Other", Threshold=-1.0)
        declare(aws, "longer", EvaluationPeriods=2)
        declare(aws, "silence-is-bad", EvaluationPeriods=2, TreatMissingData="breaching", Threshold=1.0)
        declare(aws, "short", Period=1, Threshold=0.0)
        aws.deploy_function()
        for body in ("1", "2"):
            aws.send_raw(body)
        rang = until(aws, "alarm", name="ours", state="ALARM")
        assert rang.detail["meaning"] == "ours means this."
        assert rang.detail["reason"] == "Sum of Failures: GreaterThanThreshold 2.0"
        until(aws, "alarm", name="short", state="ALARM")
        until(aws, "alarm", name="short", state="OK")
        assert [name for name, state in states(aws).items() if state == "ALARM"] == ["ours"]
        found = aws.client("cloudwatch").get_metric_statistics(
            Namespace="Own",
            MetricName="Failures",
            Dimensions=[{"Name": "Who", "Value": "fleet"}],
            StartTime=time.time() - 60,
            EndTime=time.time() + 60,
            Period=120,
            Statistics=["Sum"],
        )
        assert sum(point["Sum"] for point in found["Datapoints"]) == 3.0, json.dumps(found, default=str)
