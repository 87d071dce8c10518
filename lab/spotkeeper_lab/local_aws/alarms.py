"""Alarms: CloudWatch as far as a function's own metrics go.

moto keeps metrics and alarms. Stood in here: what the function prints in the embedded metric format becomes metrics,
and an alarm of such a metric rings when its statistic compares with its threshold as declared, in as many periods in a
row. Periods count back from the present, where CloudWatch's begin with whole minutes: so an alarm rings up to a period
earlier here.

Not done: metrics of AWS's own services, what an alarm does when it rings, states other than ``OK`` and ``ALARM``,
"M out of N" periods, percentiles, expressions, composite alarms.
"""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatum, cloudwatch_backends

from spotkeeper_lab.local_aws.function import Function, Metric
from spotkeeper_lab.local_aws.world import World

OK, RINGS = "OK", "ALARM"
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": statistics.fmean,
    "SampleCount": len,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def breaches(values: Sequence[float], statistic: str, comparison: str, threshold: float, *, missing: bool) -> bool:
    """Return whether one period of an alarm is over its threshold; ``missing``: whether one without values is."""
    return _COMPARISONS[comparison](_STATISTICS[statistic](values), threshold) if values else missing


class Alarms:
    """Watches the metrics of a function, once a tick."""

    def __init__(self, world: World, function: Function) -> None:
        self._world = world
        self._function = function
        self._taken = 0

    def watch(self) -> None:
        """Take in what was printed since the last time, see which alarms ring, and do so again a tick later."""
        with self._world.lock:
            cloudwatch = cloudwatch_backends[self._world.account][self._world.region]
            printed = self._function.metrics()
            for metric in printed[self._taken :]:
                _put(cloudwatch, metric)
            self._taken = len(printed)
            namespaces = {datum.namespace for datum in cloudwatch.metric_data}
            for alarm in cloudwatch.describe_alarms():
                if alarm.namespace in namespaces:
                    self._judge(cloudwatch, alarm)
        self._world.timers.after(self._world.timing.tick_seconds, self.watch)

    def _judge(self, cloudwatch: CloudWatchBackend, alarm: Alarm) -> None:
        state = RINGS if _rings(cloudwatch, alarm, time.time()) else OK
        if state == alarm.state_value:
            return
        reason = f"{alarm.statistic} of {alarm.metric_name}: {alarm.comparison_operator} {alarm.threshold}"
        cloudwatch.set_alarm_state(alarm.name, reason, "{}", state)
        self._world.events.add("alarm", name=alarm.name, state=state, reason=reason, meaning=alarm.description)


def _put(cloudwatch: CloudWatchBackend, metric: Metric) -> None:
    datum: dict[str, Any] = {
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
        "Timestamp": datetime.fromtimestamp(metric.at, UTC).replace(tzinfo=None),  # as moto keeps its own
        "Value": metric.value,
    }
    cloudwatch.put_metric_data(metric.namespace, [datum])


def _rings(cloudwatch: CloudWatchBackend, alarm: Alarm, now: float) -> bool:
    declared_at = _unix(alarm.configuration_updated_timestamp)
    data = [
        (_unix(datum.timestamp), datum.value)
        for datum in cloudwatch.metric_data
        if isinstance(datum, MetricDatum)
        and (datum.namespace, datum.name) == (alarm.namespace, alarm.metric_name)
        and datum.dimensions == alarm.dimensions
    ]
    for number in range(int(alarm.evaluation_periods)):
        end = now - number * int(alarm.period)
        begin = end - int(alarm.period)
        values = [value for at, value in data if begin < at <= end]
        missing = alarm.treat_missing_data == "breaching" and begin >= declared_at
        threshold = float(alarm.threshold)
        if not breaches(values, alarm.statistic, alarm.comparison_operator, threshold, missing=missing):
            return False
    return True


def _unix(at: datetime) -> float:
    return at.replace(tzinfo=UTC).timestamp()
