"""When people are called: the alarms of a responder, as a table, and whom they reach.

What the function measures, and what people are to be told of, it writes into its log. Alarms that go by that watch the
log itself, not metrics that count its entries: an alert policy on a metric of one's own is refused for up to ten
minutes after the metric was made, and with it everything that is deployed for the first time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp import naming
from spotkeeper.gcp.labels import Labels

MORE, LESS = "COMPARISON_GT", "COMPARISON_LT"
ANNOUNCEMENT = "announcement"
"""Name of an alarm that rings for every entry of the log that people are to be told of."""
SOONEST_AGAIN = "300s"
"""How long Cloud Monitoring waits at least before it tells of another announcement: it takes no less."""
SELDOM = "3600s"
"""How long it waits before it tells of the same trouble again, of which there is an entry a minute."""
CLOSED_AFTER = "1800s"
"""How long an alarm without data stays open."""


@dataclass(frozen=True)
class Alarm:
    """One alarm: it rings when one of Google's metrics has compared so with the threshold for so many minutes."""

    metric: str
    meaning: str
    minutes: int = 1
    threshold: float = 0
    comparison: str = MORE
    resource: str = "cloud_run_revision"
    """Type of what is measured."""
    label: str = "service_name"
    value: Callable[[str], str] = naming.function_name
    """Value of the label, from the responder's name."""
    aligner: str = "ALIGN_DELTA"
    more: str = ""
    """What else the filter asks for."""
    missing: str = "EVALUATION_MISSING_DATA_INACTIVE"
    """What a minute without data counts as."""


@dataclass(frozen=True)
class Written:
    """One alarm: it rings when the function has written into its log that something is more than 0."""

    measure: str
    """By its name in the log."""
    meaning: str


ALARMS: Mapping[str, Alarm | Written] = {
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
        metric="run.googleapis.com/request_count",
        more=' AND metric.labels.response_code_class="2xx"',
        comparison=LESS,
        threshold=1,
        minutes=5,
        missing="EVALUATION_MISSING_DATA_ACTIVE",
        meaning="The responder has not looked at its fleets for five minutes.",
    ),
    "quota": Written(
        measure="LaunchFailuresQuota",
        meaning="A fleet cannot grow because of a quota of this project. Nothing is bought for it: raise the quota.",
    ),
    "configuration": Written(
        measure="LaunchFailuresConfiguration",
        meaning="A fleet cannot start nodes because of its image, its network, its key or its permissions.",
    ),
    "drought": Written(measure="Drought", meaning="A fleet finds no spot capacity."),
    "on-demand-cap": Written(
        measure="OnDemandCapReached",
        meaning="A fleet has used all the on-demand that its max_on_demand_hours allows. It goes on with spot and its "
        "base, and buys nothing until that is raised.",
    ),
    "deadline": Written(
        measure="DeadlineAtRisk",
        meaning="A fleet's deadline, or its cost, is not assured any more; spotkeeper status says why.",
    ),
}
"""Every alarm of a responder but that of announcements, by the last part of its name."""


def entries(alarm: Written, responder: str) -> str:
    """Return which entries of the log an alarm rings for."""
    return f'{_log_of(responder)} AND jsonPayload.message="measured" AND jsonPayload.{alarm.measure}>0'


def series(alarm: Alarm, responder: str) -> str:
    """Return which time series an alarm watches."""
    where = f'resource.type="{alarm.resource}" AND resource.labels.{alarm.label}="{alarm.value(responder)}"'
    return f'metric.type="{alarm.metric}" AND {where}{alarm.more}'


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
        watched = responder.apply(lambda known, alarm=alarm: _watched(alarm, known))  # type: ignore[misc]
        form = "condition_threshold" if isinstance(alarm, Alarm) else "condition_matched_log"
        seldom = {} if isinstance(alarm, Alarm) else {"notification_rate_limit": {"period": SELDOM}}
        _policy(
            f"{name}-{suffix}",
            pulumi.Output.concat(responder, "-", suffix),
            {"display_name": suffix, form: watched},  # type: ignore[misc]
            {"auto_close": CLOSED_AFTER, **seldom},  # type: ignore[typeddict-item]
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
                "filter": responder.apply(lambda known: f"{_log_of(known)} AND jsonPayload.{ANNOUNCEMENT}:*"),
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


def _watched(alarm: Alarm | Written, responder: str) -> dict[str, Any]:
    if isinstance(alarm, Written):
        return {"filter": entries(alarm, responder)}
    waits = alarm.minutes > 1  # what does not wait has no minutes without data
    return {
        "filter": series(alarm, responder),
        "comparison": alarm.comparison,
        "threshold_value": alarm.threshold,
        "duration": f"{60 * (alarm.minutes - 1)}s",
        "aggregations": [
            {"alignment_period": "60s", "per_series_aligner": alarm.aligner, "cross_series_reducer": "REDUCE_SUM"}
        ],
        **({"evaluation_missing_data": alarm.missing} if waits else {}),
    }


def _log_of(responder: str) -> str:
    service = naming.function_name(responder)
    return f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"'


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
