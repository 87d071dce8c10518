"""What a responder is made of, as the engine sees it: in an update, and in a preview that knows nothing yet."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pulumi
import pytest
from moto.events.models import EventPattern

import spotkeeper
from pulumi_support import ACCOUNT, REGION, Declared, declare, declare_responder, fleet_args
from spotkeeper.archives import function_sources
from spotkeeper.aws.alarms import ALARMS
from spotkeeper.aws.events import RULES
from spotkeeper.aws.notice_document import COMMAND, PARAMETERS, content
from spotkeeper.outputs import schema_name
from spotkeeper_responder.metrics import FLEET_UNITS, RESPONDER_UNITS

R = f"spotkeeper-{ACCOUNT}-{REGION}"
PREFIX = f"{REGION}:{ACCOUNT}"


@pytest.fixture(scope="module")
def usual() -> Declared:
    return declare_responder(alert_email="ops@example.com", tags={"team": "vision"})


def test_every_child_is_the_responders_and_is_named_after_it(usual: Declared) -> None:
    children = [seen for seen in usual.notes.seen if seen.kind != "AwsInterruptionResponder"]
    assert {child.parent for child in children} == {"keeper"}
    assert len({child.urn for child in children}) == len(children) == 36
    names = [child.inputs["name"] for child in children if "name" in child.inputs]
    assert len(names) > 10
    assert all(name.startswith((R, f"/aws/lambda/{R}")) for name in names)


def test_names_go_by_convention(usual: Declared) -> None:
    assert usual.exports["uri"] == f"s3://{R}"
    assert usual.exports["function_name"] == f"{R}-responder"
    assert usual.exports["document_name"] == f"{R}-notice"
    assert usual.exports["queue_url"].endswith(f"/{R}-events")
    assert usual.exports["dead_letter_queue_url"].endswith(f"/{R}-events-dead")
    assert usual.exports["topic_arn"].endswith(f":{R}-alerts")
    assert usual.exports["role_arn"].endswith(f":role/{R}-responder")
    assert set(usual.notes.outputs["keeper"]) == set(
        map(schema_name, spotkeeper.AwsInterruptionResponder.__annotations__)
    )


def test_every_name_fits_for_the_longest_bucket_name() -> None:
    declared = declare_responder(bucket_name="b" * 52)
    limits = {"Role": 64, "Function": 64, "EventRule": 64, "Queue": 80, "Bucket": 63, "Document": 128, "Topic": 256}
    for seen in declared.notes.seen:
        if seen.kind in limits:
            assert len(seen.inputs.get("name") or seen.inputs["bucket"]) <= limits[seen.kind], seen.label


def test_the_bucket_is_private_encrypted_and_keeps_what_counts(usual: Declared) -> None:
    bucket = usual.one("Bucket").inputs
    assert (bucket["bucket"], bucket["forceDestroy"]) == (R, False)
    access = usual.one("BucketPublicAccessBlock").inputs
    assert [access[key] for key in access if key != "bucket"] == [True] * 4
    assert usual.one("BucketOwnershipControls").inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (rule,) = usual.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    assert usual.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    (rule,) = usual.one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
    assert "expiration" not in rule  # nothing that is current may ever expire
    assert "BucketVersioning keeper-ledger" in usual.one("BucketLifecycleConfiguration").depends_on


def test_queues_are_encrypted_and_what_fails_is_kept(usual: Declared) -> None:
    queue, dead = usual.one("Queue", "keeper-events").inputs, usual.one("Queue", "keeper-dead").inputs
    assert queue["sqsManagedSseEnabled"] is dead["sqsManagedSseEnabled"] is True
    assert queue["visibilityTimeoutSeconds"] == 90
    assert json.loads(queue["redrivePolicy"]) == {
        "deadLetterTargetArn": f"arn:aws:sqs:{PREFIX}:{R}-events-dead",
        "maxReceiveCount": 5,
    }
    assert dead["messageRetentionSeconds"] == 1209600


def test_only_the_rules_and_the_bucket_may_send(usual: Declared) -> None:
    rules = [f"arn:aws:events:{PREFIX}:rule/{R}-{kind}" for kind in ("spot", "groups", "tick")]
    for name in ("keeper-events", "keeper-dead"):
        statement = usual.policy("QueuePolicy", name)["Statement"][0]
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}
    senders = [
        s["Principal"] for s in usual.policy("QueuePolicy", "keeper-events")["Statement"] if s["Effect"] == "Allow"
    ]
    assert senders == [{"Service": "events.amazonaws.com"}, {"Service": "s3.amazonaws.com"}]


def test_every_rule_feeds_the_queue_tries_again_and_keeps_what_it_cannot_deliver(usual: Declared) -> None:
    targets = usual.all("EventTarget")
    assert {target.inputs["rule"] for target in targets} == {f"{R}-spot", f"{R}-groups", f"{R}-tick"}
    for target in targets:
        assert target.inputs["arn"] == f"arn:aws:sqs:{PREFIX}:{R}-events"
        assert target.inputs["deadLetterConfig"] == {"arn": f"arn:aws:sqs:{PREFIX}:{R}-events-dead"}
        assert target.inputs["retryPolicy"] == {"maximumEventAgeInSeconds": 300, "maximumRetryAttempts": 20}
        assert {"QueuePolicy keeper-events", "QueuePolicy keeper-dead"} <= target.depends_on
    assert usual.one("EventRule", "keeper-tick").inputs["scheduleExpression"] == "rate(1 minute)"
    for kind, pattern in RULES.items():
        assert json.loads(usual.one("EventRule", f"keeper-{kind}").inputs["eventPattern"]) == pattern


def event(source: str, detail_type: str, **detail: Any) -> dict[str, Any]:
    return {"version": "0", "source": source, "detail-type": detail_type, "detail": detail}


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (event("aws.ec2", "EC2 Spot Instance Interruption Warning", **{"instance-id": "i-1"}), "spot"),
        (event("aws.ec2", "EC2 Instance Rebalance Recommendation", **{"instance-id": "i-1"}), "spot"),
        (event("aws.ec2", "EC2 Instance State-change Notification", **{"instance-id": "i-1"}), None),
        (event("mine", "EC2 Spot Instance Interruption Warning", **{"instance-id": "i-1"}), None),
        *[
            (event("aws.autoscaling", kind, AutoScalingGroupName=group), rule)
            for kind in (
                "EC2 Instance-terminate Lifecycle Action",
                "EC2 Instance Launch Successful",
                "EC2 Instance Launch Unsuccessful",
                "EC2 Instance Terminate Successful",
            )
            for group, rule in (("spotkeeper-p-s-f-spot", "groups"), ("web", None))
        ],
        (event("aws.autoscaling", "EC2 Instance-launch Lifecycle Action", AutoScalingGroupName="spotkeeper-f"), None),
    ],
)
def test_rules_match_what_concerns_fleets(sent: dict[str, Any], rule: str | None) -> None:
    matched = [kind for kind, pattern in RULES.items() if EventPattern.load(json.dumps(pattern)).matches_event(sent)]
    assert matched == ([rule] if rule else [])


def test_nodes_own_notices_go_the_same_way(usual: Declared) -> None:
    notification = usual.one("BucketNotification")
    assert notification.inputs["queues"] == [
        {
            "queueArn": f"arn:aws:sqs:{PREFIX}:{R}-events",
            "events": ["s3:ObjectCreated:*"],
            "filterPrefix": "fleets/",
            "filterSuffix": "/notice.json",
        }
    ]
    assert "QueuePolicy keeper-events" in notification.depends_on


def test_the_function_is_what_the_contract_says(usual: Declared) -> None:
    function = usual.one("Function")
    inputs = function.inputs
    assert (inputs["runtime"], inputs["architectures"]) == ("python3.13", ["arm64"])
    assert (inputs["timeout"], inputs["handler"]) == (15, "spotkeeper_responder.aws.handler.handle")
    assert inputs["environment"]["variables"] == {
        "SPOTKEEPER_LEDGER": f"s3://{R}",
        "SPOTKEEPER_TOPIC_ARN": f"arn:aws:sns:{PREFIX}:{R}-alerts",
        "SPOTKEEPER_DOCUMENT": f"{R}-notice",
    }
    assert inputs["loggingConfig"]["logFormat"] == "JSON"
    assert inputs["loggingConfig"]["logGroup"] == usual.one("LogGroup").inputs["name"] == f"/aws/lambda/{R}-responder"
    assert usual.one("LogGroup").inputs["retentionInDays"] == 30
    assert "RolePolicy keeper-function" in function.depends_on
    assert isinstance(inputs["code"], pulumi.AssetArchive)
    assert set(inputs["code"].assets) == set(function_sources("aws"))


def test_the_function_is_fed_in_batches_that_may_fail_in_part(usual: Declared) -> None:
    mapping = usual.one("EventSourceMapping").inputs
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["scalingConfig"] == {"maximumConcurrency": 2}
    assert (mapping["batchSize"], mapping["maximumBatchingWindowInSeconds"]) == (10_000, 1)
    assert mapping["eventSourceArn"] == f"arn:aws:sqs:{PREFIX}:{R}-events"


def test_the_document_runs_one_line_of_its_parameters_only(usual: Declared) -> None:
    document = usual.one("Document").inputs
    assert (document["documentType"], document["documentFormat"]) == ("Command", "JSON")
    written = json.loads(document["content"])
    assert written == content()
    assert written["schemaVersion"] == "2.2"
    (step,) = written["mainSteps"]
    assert step["inputs"]["runCommand"] == [COMMAND]
    assert set(re.findall(r"{{ (\w+) }}", COMMAND)) == set(PARAMETERS) == set(written["parameters"])


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("Fleet", ["spotkeeper-dev-train", "a"], ["", "A", "a b", "a;b", "a'", "../a", "a\n", "a" * 129]),
        ("Kind", ["interruption", "rebalance", "scale-in", "drain"], ["", "drill", "drain;", "drain\nrm"]),
        ("Deadline", ["1764000000", "none"], ["", "-1", "1e9", "none'", "1 2", "1\n"]),
        ("Nodes", ["all", "i-0123456789abcdef0", ",".join(["i-01234567"] * 1000)], ["", "i-", "i-1;", "all,i-01234567",
                                                                              ",".join(["i-01234567"] * 1001), "*"]),
    ],
)  # fmt: skip
def test_no_parameter_lets_a_shell_do_anything_else(parameter: str, good: list[str], bad: list[str]) -> None:
    _, pattern = PARAMETERS[parameter]
    assert all(re.search(pattern, value) for value in good)
    # Python's "$" matches before a last newline, other engines' does not; such a value must not do harm either way.
    assert not [value for value in bad if re.search(pattern.removesuffix("$") + r"\Z", value)]


def test_the_command_line_reaches_the_agent_as_it_is(tmp_path: Any) -> None:
    agent = tmp_path / "agent"
    agent.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    agent.chmod(0o755)
    values = {"Fleet": "p-s-f", "Kind": "drain", "Deadline": "none", "Nodes": "i-01234567,i-89abcdef"}
    line = COMMAND.replace("/usr/local/bin/spotkeeper-agent", str(agent))
    for name, value in values.items():
        line = line.replace(f"{{{{ {name} }}}}", value)
    said = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["notice", "--fleet", "p-s-f", "--kind", "drain", "--deadline", "none", "--nodes", values["Nodes"]]


def test_alarms_cover_what_can_go_wrong(usual: Declared) -> None:
    alarms = {alarm.inputs["name"].removeprefix(f"{R}-"): alarm.inputs for alarm in usual.all("MetricAlarm")}
    assert set(alarms) == set(ALARMS)
    for alarm in alarms.values():
        assert alarm["alarmActions"] == alarm["okActions"] == [f"arn:aws:sns:{PREFIX}:{R}-alerts"]
        assert alarm["period"] == 60
        assert alarm["alarmDescription"]
    watched = {
        name: (alarm["namespace"], alarm["metricName"], *alarm["dimensions"].items()) for name, alarm in alarms.items()
    }
    assert watched == {
        "dead-letters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName", f"{R}-events-dead")),
        "errors": ("AWS/Lambda", "Errors", ("FunctionName", f"{R}-responder")),
        "backlog": ("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName", f"{R}-events")),
        "no-tick": ("Spotkeeper", "Ticks", ("Responder", R)),
        "quota": ("Spotkeeper", "LaunchFailuresQuota", ("Responder", R)),
        "configuration": ("Spotkeeper", "LaunchFailuresConfiguration", ("Responder", R)),
        "drought": ("Spotkeeper", "Drought", ("Responder", R)),
        "on-demand-cap": ("Spotkeeper", "OnDemandCapReached", ("Responder", R)),
        "deadline": ("Spotkeeper", "DeadlineAtRisk", ("Responder", R)),
    }
    measured = {*FLEET_UNITS, *RESPONDER_UNITS}
    assert {metric for namespace, metric, _ in watched.values() if namespace == "Spotkeeper"} <= measured


def test_silence_is_alarming_for_ticks_and_for_nothing_else(usual: Declared) -> None:
    alarms = {alarm.name.removeprefix("keeper-"): alarm.inputs for alarm in usual.all("MetricAlarm")}
    assert {name for name, alarm in alarms.items() if alarm["treatMissingData"] == "breaching"} == {"no-tick"}
    tick = alarms["no-tick"]
    assert (tick["comparisonOperator"], tick["threshold"], tick["evaluationPeriods"]) == ("LessThanThreshold", 1, 5)


def test_people_are_told_where_they_asked_to_be(usual: Declared) -> None:
    subscription = usual.one("TopicSubscription").inputs
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "ops@example.com")
    assert declare_responder().all("TopicSubscription") == []


def test_one_tags_input_reaches_everything_that_takes_tags(usual: Declared) -> None:
    tags = {"Name": R, "team": "vision", "spotkeeper:responder": R}
    taggable = {"Bucket", "Queue", "EventRule", "Document", "Topic", "Role", "LogGroup", "Function", "MetricAlarm",
                "EventSourceMapping"}  # fmt: skip
    for seen in usual.notes.seen:
        if seen.kind in taggable:
            assert seen.inputs["tags"] == tags, seen.label


def test_an_own_name_is_the_name_of_everything() -> None:
    declared = declare_responder(bucket_name="our-ledger", log_retention_days=7)
    assert declared.exports["uri"] == "s3://our-ledger"
    assert declared.one("Function").inputs["name"] == "our-ledger-responder"
    assert declared.one("LogGroup").inputs["retentionInDays"] == 7


def test_a_fleet_of_the_same_program_comes_after_the_whole_responder() -> None:
    def program() -> None:
        responder = spotkeeper.AwsInterruptionResponder("keeper", {})
        spotkeeper.AwsTrainingFleet("train", fleet_args(responder=responder.uri))

    waits_for = declare(program).one("BucketObjectv2", "train-agent").depends_on
    assert {
        "EventSourceMapping keeper-function",
        "EventTarget keeper-spot",
        "EventTarget keeper-groups",
        "EventTarget keeper-tick",
        "BucketNotification keeper-notices",
        "BucketVersioning keeper-ledger",
        "BucketPublicAccessBlock keeper-ledger",
    } <= waits_for


def test_a_preview_declares_the_same() -> None:
    update, preview = declare_responder(), declare_responder(preview=True)
    assert {seen.label for seen in preview.notes.seen} == {seen.label for seen in update.notes.seen}
    assert isinstance(preview.exports["uri"], pulumi.output.Unknown)
