"""Alert policies, and who is told."""

from __future__ import annotations

from spotkeeper_lab.provision.gcp.project import Gcp, creates
from spotkeeper_lab.provision.gcp.spelling import Fields, each, one, same, spelled
from spotkeeper_lab.provision.table import Created, Inputs

AGGREGATION = same("alignmentPeriod", "perSeriesAligner", "crossSeriesReducer", "groupByFields")
THRESHOLD: Fields = {
    **same("filter", "comparison", "duration", "thresholdValue", "evaluationMissingData", "trigger"),
    "aggregations": ("aggregations", each(AGGREGATION)),
}
ABSENT: Fields = same("filter", "duration", "trigger") | {"aggregations": ("aggregations", each(AGGREGATION))}
CONDITION: Fields = {
    **same("displayName"),
    "conditionThreshold": ("conditionThreshold", one(THRESHOLD)),
    "conditionAbsent": ("conditionAbsent", one(ABSENT)),
    "conditionMatchedLog": ("conditionMatchedLog", one(same("filter", "labelExtractors"))),
}
STRATEGY: Fields = {
    **same("autoClose", "notificationPrompts"),
    "notificationRateLimit": ("notificationRateLimit", one(same("period"))),
}
POLICY: Fields = {
    **same("displayName", "combiner", "enabled", "notificationChannels", "userLabels", "severity"),
    "documentation": ("documentation", one(same("content", "mimeType", "subject"))),
    "conditions": ("conditions", each(CONDITION)),
    "alertStrategy": ("alertStrategy", one(STRATEGY)),
}
"""Inputs of an alert policy to its body."""
CHANNEL: Fields = same("displayName", "type", "labels", "description", "enabled", "userLabels")


@creates("gcp:monitoring/alertPolicy:AlertPolicy")
def alert_policy(gcp: Gcp, _: str, given: Inputs) -> Created:
    """Create an alert policy."""
    made = gcp.rest.call("POST", f"/v3/projects/{gcp.project}/alertPolicies", spelled(given.take_all(*POLICY), POLICY))
    return made["name"], {"name": made["name"]}


@creates("gcp:monitoring/notificationChannel:NotificationChannel")
def channel(gcp: Gcp, _: str, given: Inputs) -> Created:
    """Say where somebody is told."""
    given.take("forceDelete")
    made = gcp.rest.call(
        "POST", f"/v3/projects/{gcp.project}/notificationChannels", spelled(given.take_all(*CHANNEL), CHANNEL)
    )
    return made["name"], {"name": made["name"]}
