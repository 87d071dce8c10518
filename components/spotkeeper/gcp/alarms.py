"""When people are called: the alarms of a responder, as a table, and whom they reach.

What the function measures it writes into its log, one entry a fleet and response. A metric counts the entries in which
something is more than 0, and an alarm watches the metric. What people are to be told of, it writes there as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp import naming
from spotkeeper.gcp.labels import Labels

MORE, LESS = "COMPARISON_GT", "COMPARISON_LT"
ANNOUNCEMENT = "announcement"
"""Name of an alarm that rings for every entry of the log that people are to be told of."""
SOONEST_AGAIN = "300s"
"""How long Cloud Monitoring waits at least before it tells of another such entry: it takes no less."""
CLOSED_AFTER = "1800s"
"""How long an alarm without data stays open."""


@dataclass(frozen=True)
class Alarm:
    """One alarm: it rings when a metric has compared so with the threshold for so many minutes."""

    metric: str
    """Of Google's, with its service; or what the function measures, by its name in the log."""
    meaning: str
    minutes: int = 1
    threshold: float = 0
    comparison: str = MORE
    resource: str = "cloud_run_revision"
    """Type of what Google measures."""
    label: str = "service_name"
    value: Callable[[str], str] = naming.function_name
    """Value of the label, from the responder's name."""
    aligner: str = "ALIGN_DELTA"
    more: str = ""
    """What else the filter asks for."""
    missing: str = "EVALUATION_MISSING_DATA_INACTIVE"
    """What a minute without data counts as."""

    @property
    def measured(self) -> bool:
        """Whether it is the function that measures."""
        return "/" not in self.metric


ALARMS: Mapping[str, Alarm] = {
    "dead-letters": Alarm(
        metric="pubsub.googleapis.com/subscription/num_undelivered_messages",
        resource="pubsub_subscription",
        label="subscription_id",
        value=naming.dead_letter_name,
        aligner="ALIGN_MAX",
        meaning="Events could not be handled; they wait in the dead-letter subscription.",
    ),
    "errors": Alarm(
        metric="run.googleapis.com/request_count",
        more=' AND metric.labels.response_code_class="5xx"',
        minutes=5,
        meaning="The responder's function has failed for five minutes on end; its log says why.",
    ),
    "backlog": Alarm(
        metric="pubsub.googleapis.com/subscription/oldest_unacked_message_age",
        resource="pubsub_subscription",
        label="subscription_id",
        value=naming.topic_name,
        aligner="ALIGN_MAX",
        threshold=60,
        minutes=2,
        meaning="Events wait for more than one of the two minutes that a preemption gives.",
    ),
    "no-tick": Alarm(
        metric="Ticks",
        comparison=LESS,
        threshold=1,
        minutes=5,
        missing="EVALUATION_MISSING_DATA_ACTIVE",
        meaning="The responder has not looked at its fleets for five minutes.",
    ),
    "quota": Alarm(
        metric="LaunchFailuresQuota",
        meaning="A fleet cannot grow because of a quota of this project. Nothing is bought for it: raise the quota.",
    ),
    "configuration": Alarm(
        metric="LaunchFailuresConfiguration",
        meaning="A fleet cannot start nodes because of its image, its network, its key or its permissions.",
    ),
    "drought": Alarm(metric="Drought", minutes=5, meaning="A fleet has found no spot capacity for five minutes."),
    "on-demand-cap": Alarm(
        metric="OnDemandCapReached",
        meaning="A fleet has used all the on-demand that its max_on_demand_hours allows. It goes on with spot and its "
        "base, and buys nothing until that is raised.",
    ),
    "deadline": Alarm(
        metric="DeadlineAtRisk",
        minutes=2,
        meaning="A fleet's deadline, or its cost, is not assured any more; spotkeeper status says why.",
    ),
}
"""Every alarm of a responder but that of announcements, by the last part of its name."""


def metric_filter(alarm: Alarm, responder: str) -> str:
    """Return which entries of the log a metric counts."""
    service = naming.function_name(responder)
    return f'{_log_of(service)} AND jsonPayload.message="measured" AND jsonPayload.{alarm.metric}>0'


def condition_filter(alarm: Alarm, responder: str, metric: str) -> str:
    """Return which time series an alarm watches."""
    where = f'resource.type="{alarm.resource}" AND resource.labels.{alarm.label}="{alarm.value(responder)}"'
    return f'metric.type="{metric}" AND {where}{alarm.more}'


def alarms(
    name: str,
    *,
    responder: pulumi.Output[str],
    channels: pulumi.Input[Sequence[pulumi.Input[str]]] | None,
    email: pulumi.Input[str] | None,
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> None:
    """Make all alarms; each tells the channels when it rings and when it is over.

    Args:
        name: the component's name.
        responder: whose alarms they are.
        channels: full names of notification channels that exist.
        email: address for which one is made besides.
        labels: of what takes some.
        opts: of the resources.
    """
    told = [pulumi.Output.from_input(channels or [])]
    if email is not None:
        channel = gcp.monitoring.NotificationChannel(
            f"{name}-alerts",
            display_name=pulumi.Output.concat(responder, " alerts"),
            type="email",
            labels={"email_address": email},
            user_labels=labels,
            opts=opts,
        )
        told.append(channel.name.apply(lambda known: [known]))
    everybody: pulumi.Output[Sequence[str]] = pulumi.Output.all(*told).apply(
        lambda known: [channel for some in known for channel in some]
    )
    for suffix, alarm in ALARMS.items():
        watched = pulumi.Output.all(responder, _metric(name, suffix, alarm, responder, opts))
        condition = watched.apply(lambda known, alarm=alarm: _threshold(alarm, *known))  # type: ignore[misc]
        _policy(
            f"{name}-{suffix}",
            pulumi.Output.concat(responder, "-", suffix),
            {"display_name": suffix, "condition_threshold": condition},
            {"auto_close": CLOSED_AFTER},
            alarm.meaning,
            everybody,
            labels,
            opts,
        )
    _policy(
        f"{name}-{ANNOUNCEMENT}",
        pulumi.Output.concat(responder, "-", ANNOUNCEMENT),
        {
            "display_name": ANNOUNCEMENT,
            "condition_matched_log": {
                "filter": responder.apply(
                    lambda known: f"{_log_of(naming.function_name(known))} AND jsonPayload.{ANNOUNCEMENT}:*"
                ),
                "label_extractors": {
                    "subject": f"EXTRACT(jsonPayload.{ANNOUNCEMENT})",
                    "text": "EXTRACT(jsonPayload.message)",
                },
            },
        },
        {"auto_close": CLOSED_AFTER, "notification_rate_limit": {"period": SOONEST_AGAIN}},
        "${log.extracted_label.subject}: ${log.extracted_label.text}",
        everybody,
        labels,
        opts,
    )


def _threshold(
    alarm: Alarm, responder: str, metric: str
) -> gcp.monitoring.AlertPolicyConditionConditionThresholdArgsDict:
    waits = alarm.minutes > 1  # what does not wait has no minutes without data
    return {
        "filter": condition_filter(alarm, responder, metric),
        "comparison": alarm.comparison,
        "threshold_value": alarm.threshold,
        "duration": f"{60 * (alarm.minutes - 1)}s",
        "aggregations": [
            {"alignment_period": "60s", "per_series_aligner": alarm.aligner, "cross_series_reducer": "REDUCE_SUM"}
        ],
        **({"evaluation_missing_data": alarm.missing} if waits else {}),  # type: ignore[typeddict-item]
    }


def _log_of(service: str) -> str:
    return f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"'


def _metric(
    name: str, suffix: str, alarm: Alarm, responder: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Return the type of the metric that an alarm watches, which is made where Google has none."""
    if not alarm.measured:
        return pulumi.Output.from_input(alarm.metric)
    counted = gcp.logging.Metric(
        f"{name}-{suffix}",
        name=pulumi.Output.concat(responder, "/", suffix),
        description=f"Entries of the log in which {alarm.metric} is more than 0",
        filter=responder.apply(lambda known: metric_filter(alarm, known)),
        metric_descriptor={"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"},
        opts=opts,
    )
    return pulumi.Output.concat("logging.googleapis.com/user/", counted.name)


def _policy(
    resource: str,
    title: pulumi.Output[str],
    condition: gcp.monitoring.AlertPolicyConditionArgsDict,
    strategy: gcp.monitoring.AlertPolicyAlertStrategyArgsDict,
    meaning: str,
    channels: pulumi.Output[Sequence[str]],
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> None:
    gcp.monitoring.AlertPolicy(
        resource,
        display_name=title,
        combiner="OR",
        conditions=[condition],
        alert_strategy=strategy,
        documentation={"content": meaning, "mime_type": "text/markdown"},
        notification_channels=channels,
        user_labels=labels,
        opts=opts,
    )
