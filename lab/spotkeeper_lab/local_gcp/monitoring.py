"""Cloud Monitoring: alert policies on entries of the log, and on metrics that count them.

A policy that takes labels out of an entry tells people of it (``announced``); any other rings (``alarm``). Periods
count back from the present, where Cloud Monitoring's begin with whole minutes: so an alarm rings up to a minute earlier
here.

Not done: metrics of Google's own services (policies on them are kept, and never ring), values of metrics other than how
many entries there were, notification channels (they are kept), rate limits of notifications.
"""

from __future__ import annotations

import itertools
import operator
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local_gcp import log_filter
from spotkeeper_lab.local_gcp.logs import Entry, Logs
from spotkeeper_lab.local_gcp.refusals import required
from spotkeeper_lab.local_gcp.services import Given, Kept, Method

OK, RINGS = "OK", "ALARM"
_METRIC = re.compile(r'metric\.type\s*=\s*"logging\.googleapis\.com/user/([^"]+)"')
_EXTRACT = re.compile(r"EXTRACT\((.+)\)")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "COMPARISON_GT": operator.gt,
    "COMPARISON_GE": operator.ge,
    "COMPARISON_LT": operator.lt,
    "COMPARISON_LE": operator.le,
}
_ACTIVE = "EVALUATION_MISSING_DATA_ACTIVE"


class Monitoring:
    """The alert policies of a project.

    Args:
        events: where is written down what rings and what people are told.
        logs: where entries come from, and metrics that count them.
    """

    def __init__(self, events: EventLog, logs: Logs) -> None:
        self._events, self._logs = events, logs
        self.policies, self.channels = Kept(), Kept()
        self._numbers = itertools.count(1)
        self._counted: dict[str, list[float]] = {}
        """When an entry was counted, by the metric's name."""
        self._made: dict[str, float] = {}
        self._states: dict[str, str] = {}
        self._lock = threading.Lock()
        logs.watchers.append(self._look)

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        policies = _methods("alertPolicies", self.policies, self._create)
        return {**policies, **_methods("notificationChannels", self.channels, self._add)}

    def watch(self) -> None:
        """See which policies on metrics ring now."""
        with self._lock:
            for policy in self.policies:
                for condition in policy.get("conditions", ()):
                    if "conditionThreshold" in condition:
                        self._judge(policy, condition["conditionThreshold"])

    def _look(self, entry: Entry) -> None:
        for metric in self._logs.metrics:
            if log_filter.parse(str(metric["filter"]))(entry):
                name = str(metric["name"]).partition("/metrics/")[2]
                self._counted.setdefault(name, []).append(time.time())
        for policy in self.policies:
            for condition in policy.get("conditions", ()):
                matched: Mapping[str, Any] | None = condition.get("conditionMatchedLog")
                if matched is not None and log_filter.parse(str(matched["filter"]))(entry):
                    self._tell(policy, condition, matched.get("labelExtractors", {}), entry)
        self.watch()

    def _tell(self, policy: Given, condition: Given, extractors: Given, entry: Entry) -> None:
        taken = {name: _extracted(str(how), entry) for name, how in extractors.items()}
        if taken:
            self._events.add("announced", subject=taken.get("subject", ""), text=taken.get("text", ""))
        else:
            self._change(policy, RINGS, str(condition.get("displayName", "")))

    def _judge(self, policy: Given, threshold: Given) -> None:
        metric = _METRIC.search(str(threshold.get("filter", "")))
        if metric is None:
            return
        aggregation: Given = next(iter(threshold.get("aggregations", ())), {})
        period = _seconds(aggregation.get("alignmentPeriod", "60s"))
        windows = 1 + int(_seconds(threshold.get("duration", "0s")) // period)
        now, made = time.time(), self._made[str(policy["name"])]
        ends = [now - number * period for number in range(windows)]
        counted = self._counted.get(metric[1], ())
        over = all(breaches(counted, end, period, threshold, made) for end in ends)
        reason = f"{metric[1]}: {threshold['comparison']} {threshold.get('thresholdValue', 0)} for {windows} periods"
        self._change(policy, RINGS if over else OK, reason)

    def _change(self, policy: Given, state: str, reason: str) -> None:
        name = str(policy["name"])
        if state != self._states.get(name, OK):
            self._states[name] = state
            meaning = str(policy.get("documentation", {}).get("content", ""))
            self._events.add("alarm", name=policy["displayName"], state=state, reason=reason, meaning=meaning)

    def _create(self, asked: Given, body: Given) -> Given:
        for name in ("displayName", "combiner", "conditions"):
            if not body.get(name):
                raise required(f"alert_policy.{name}")
        for condition in body["conditions"]:
            if "conditionMatchedLog" in condition:
                log_filter.parse(str(condition["conditionMatchedLog"].get("filter", "")))
        name = f"{asked['name']}/alertPolicies/{next(self._numbers)}"
        self._made[name] = time.time()
        return self.policies.add(name, body)

    def _add(self, asked: Given, body: Given) -> Given:
        return self.channels.add(f"{asked['name']}/notificationChannels/{next(self._numbers)}", body)


def breaches(counted: Sequence[float], end: float, period: float, threshold: Given, made: float) -> bool:
    """Return whether a period is over a threshold.

    Args:
        counted: when entries were counted, Unix seconds.
        end: of the period, Unix seconds.
        period: seconds.
        threshold: as the API has it. What a period without entries counts as is said in it, too.
        made: when the policy was made: before that nothing is missing.
    """
    found = sum(end - period < at <= end for at in counted)
    if not found:
        return threshold.get("evaluationMissingData") == _ACTIVE and end - period >= made
    return _COMPARISONS[threshold["comparison"]](found, float(threshold.get("thresholdValue", 0)))


def _methods(sort: str, kept: Kept, create: Method) -> Mapping[str, Method]:
    prefix = f"monitoring.projects.{sort}"
    return {
        f"{prefix}.create": create,
        f"{prefix}.get": lambda asked, _: kept.get(asked["name"]),
        f"{prefix}.list": lambda asked, _: {sort: kept.below(asked["name"])},
        f"{prefix}.patch": lambda asked, body: kept.patch(asked["name"], body),
        f"{prefix}.delete": lambda asked, _: kept.remove(asked["name"]),
    }


def _extracted(how: str, entry: Entry) -> str:
    match = _EXTRACT.fullmatch(how)
    return str(log_filter.value_of(entry, match[1]) or "") if match else ""


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
