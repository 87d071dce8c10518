"""What a responder on Google Cloud is made of, as the engine sees it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

import spotkeeper
from gcp_declared import declare_gcp_responder, gcp_fleet_args
from gcp_resources import GCP_NUMBER, GCP_PROJECT, GCP_REGION
from pulumi_support import Declared, declare
from spotkeeper.archives import function_digest, function_sources
from spotkeeper.gcp.alarms import ALARMS, ANNOUNCEMENT, Written, entries
from spotkeeper.gcp.events import ANSWER_SECONDS
from spotkeeper.gcp.function import FUNCTION_SECONDS
from spotkeeper.outputs import schema_name
from spotkeeper_lab.local_gcp import log_filter
from spotkeeper_responder.gcp import handler
from spotkeeper_responder.gcp.events import KIND, NOTICE, TICK
from spotkeeper_responder.metrics import FLEET_UNITS, RESPONDER_UNITS, fleet_line

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

R = f"spotkeeper-{GCP_PROJECT}-{GCP_REGION}"
TOPIC = f"projects/{GCP_PROJECT}/topics/{R}-events"
PUBSUB = f"serviceAccount:service-{GCP_NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def usual() -> Declared:
    channels = [f"projects/{GCP_PROJECT}/notificationChannels/1"]
    return declare_gcp_responder(
        alert_email="ops@example.com", notification_channels=channels, labels={"team": "vision"}
    )


def members(declared: Declared) -> dict[str, tuple[str, str]]:
    """Role and member of every binding."""
    kinds = ("TopicIAMMember", "SubscriptionIAMMember", "IAMMember", "ServiceIamMember", "BucketIAMMember")
    found = [seen for kind in kinds for seen in declared.all(kind)]
    return {seen.label: (seen.inputs["role"], seen.inputs["member"]) for seen in found}


def account(declared: Declared, kind: str) -> str:
    return f"{declared.one('Account', f'keeper-{kind}').inputs['accountId']}@{GCP_PROJECT}.iam.gserviceaccount.com"


def test_every_child_is_the_responders_and_is_named_after_it(usual: Declared) -> None:
    children = [seen for seen in usual.notes.seen if seen.kind != "GcpInterruptionResponder"]
    assert {child.parent for child in children} == {"keeper"}
    assert len({child.urn for child in children}) == len(children)
    names = [child.inputs["name"] for child in children if "name" in child.inputs]
    assert len(names) == 10
    assert all(name.startswith((R, "function/")) for name in names)
    labels = {"spotkeeper-responder": R, "team": "vision"}
    assert all(
        child.inputs["labels"] == labels for kind in ("Bucket", "Topic", "Function") for child in usual.all(kind)
    )


def test_names_go_by_convention(usual: Declared) -> None:
    assert usual.exports["uri"] == f"gs://{R}"
    assert usual.exports["bucket_name"] == R
    assert usual.exports["function_name"] == f"{R}-responder"
    assert usual.exports["topic_id"] == TOPIC
    assert usual.exports["subscription_name"] == f"{R}-events"
    assert usual.exports["dead_letter_subscription_name"] == f"{R}-events-dead"
    assert usual.exports["service_account_email"] == account(usual, "responder")
    assert set(usual.notes.outputs["keeper"]) == set(
        map(schema_name, spotkeeper.GcpInterruptionResponder.__annotations__)
    )


def test_every_name_fits_for_the_longest_bucket_name() -> None:
    declared = declare_gcp_responder(bucket_name="b" * 52)
    limits = {"Bucket": 63, "Function": 63, "Topic": 255, "Subscription": 255, "ProjectSink": 100, "Job": 500}
    for seen in declared.notes.seen:
        if seen.kind in limits:
            assert len(seen.inputs["name"]) <= limits[seen.kind], seen.label
    assert re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", declared.one("IAMCustomRole").inputs["roleId"])
    for made in declared.all("Account"):
        assert re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", made.inputs["accountId"])


def test_the_bucket_is_private_and_keeps_what_counts(usual: Declared) -> None:
    bucket = usual.one("Bucket").inputs
    assert (bucket["name"], bucket["location"], bucket["forceDestroy"]) == (R, GCP_REGION.upper(), False)
    assert (bucket["uniformBucketLevelAccess"], bucket["publicAccessPrevention"]) == (True, "enforced")
    assert bucket["versioning"] == {"enabled": True}
    (rule,) = bucket["lifecycleRules"]  # nothing that is current may ever expire
    assert rule == {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 7}}


def test_preemptions_ticks_and_notices_come_through_one_topic(usual: Declared) -> None:
    sink, tick = usual.one("ProjectSink").inputs, usual.one("Job").inputs
    assert sink["destination"] == f"pubsub.googleapis.com/{TOPIC}"
    assert sink["filter"] == (
        'log_id("cloudaudit.googleapis.com/system_event") AND resource.type="gce_instance" AND '
        'protoPayload.methodName="compute.instances.preempted"'
    )
    assert sink["uniqueWriterIdentity"] is True
    assert members(usual)["TopicIAMMember keeper-preemptions"] == (
        "roles/pubsub.publisher",
        f"serviceAccount:service-{GCP_NUMBER}@gcp-sa-logging.iam.gserviceaccount.com",
    )
    assert (tick["schedule"], tick["region"]) == ("* * * * *", GCP_REGION)
    assert tick["pubsubTarget"] == {"topicName": TOPIC, "attributes": {KIND: TICK}}
    assert NOTICE != TICK


def test_what_fails_is_tried_again_and_then_kept(usual: Declared) -> None:
    fed, dead = usual.one("Subscription", "keeper-events"), usual.one("Subscription", "keeper-events-dead").inputs
    assert fed.inputs["retryPolicy"] == {"minimumBackoff": "5s", "maximumBackoff": "60s"}
    assert fed.inputs["deadLetterPolicy"] == {"deadLetterTopic": f"{TOPIC}-dead", "maxDeliveryAttempts": 10}
    assert (fed.inputs["topic"], dead["topic"]) == (TOPIC, f"{TOPIC}-dead")
    assert fed.inputs["expirationPolicy"] == dead["expirationPolicy"] == {"ttl": ""}
    assert dead["messageRetentionDuration"] == f"{14 * 24 * 3600}s"
    assert "pushConfig" not in dead
    bindings = members(usual)
    assert bindings["TopicIAMMember keeper-events-dead"] == ("roles/pubsub.publisher", PUBSUB)
    assert bindings["SubscriptionIAMMember keeper-events"] == ("roles/pubsub.subscriber", PUBSUB)
    assert {"TopicIAMMember keeper-events-dead", "IAMMember keeper-caller"} <= fed.depends_on
    # A message is delivered again only when the function cannot answer it any more.
    assert handler.BATCH_SECONDS * 2 < FUNCTION_SECONDS < ANSWER_SECONDS == fed.inputs["ackDeadlineSeconds"]


def test_only_the_subscription_calls_the_function(usual: Declared) -> None:
    caller = account(usual, "caller")
    push = usual.one("Subscription", "keeper-events").inputs["pushConfig"]
    url = f"https://{R}-responder-abc-ez.a.run.app"
    assert push == {"pushEndpoint": url, "oidcToken": {"serviceAccountEmail": caller, "audience": url}}
    bindings = members(usual)
    assert bindings["ServiceIamMember keeper-caller"] == ("roles/run.invoker", f"serviceAccount:{caller}")
    assert bindings["IAMMember keeper-caller"] == ("roles/iam.serviceAccountTokenCreator", PUBSUB)
    assert usual.one("Function").inputs["serviceConfig"]["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
    granted = [role for role, member in bindings.values() if member == f"serviceAccount:{caller}"]
    assert granted == ["roles/run.invoker"]


def test_the_function_is_one_instance_that_takes_a_storm_at_once(usual: Declared) -> None:
    function = usual.one("Function")
    service = function.inputs["serviceConfig"]
    assert (service["minInstanceCount"], service["maxInstanceCount"]) == (0, 1)
    assert (service["maxInstanceRequestConcurrency"], service["availableCpu"]) == (400, "1")
    assert service["timeoutSeconds"] == 60
    assert service["environmentVariables"] == {
        "SPOTKEEPER_LEDGER": f"gs://{R}",
        "SPOTKEEPER_PROJECT": GCP_PROJECT,
        "SPOTKEEPER_REGION": GCP_REGION,
        "THREADS": "400",  # or the framework's server would let a storm in four by four
    }
    assert function.inputs["buildConfig"]["environmentVariables"] == {"SOURCE_DATE_EPOCH": "315532800"}
    assert {"IAMMember keeper-groups", "BucketIAMMember keeper-ledger-write"} <= function.depends_on


def test_the_function_may_change_sizes_and_nothing_else_of_a_project(usual: Declared) -> None:
    acting = f"serviceAccount:{account(usual, 'responder')}"
    role = usual.one("IAMCustomRole").inputs
    assert role["permissions"] == ["compute.instanceGroupManagers.get", "compute.instanceGroupManagers.update"]
    granted = {label: role for label, (role, member) in members(usual).items() if member == acting}
    assert granted == {
        "IAMMember keeper-groups": f"projects/{GCP_PROJECT}/roles/{role['roleId']}",
        "BucketIAMMember keeper-ledger-read": "roles/storage.objectViewer",
        "BucketIAMMember keeper-ledger-write": "roles/storage.objectUser",
    }
    for binding in usual.all("BucketIAMMember"):
        assert binding.inputs["condition"]["expression"]


def test_nobody_is_granted_a_role_of_the_whole_project_but_the_function_its_own(usual: Declared) -> None:
    of_the_project = [seen for seen in usual.all("IAMMember") if "project" in seen.inputs]
    assert [seen.name for seen in of_the_project] == ["keeper-groups"]
    assert not [role for role, _ in members(usual).values() if role.endswith(("owner", "editor", "admin"))]
    assert not [member for _, member in members(usual).values() if member.startswith("all")]


def test_the_code_is_the_functions_and_another_object_for_another_code(usual: Declared) -> None:
    code = usual.one("BucketObject")
    assert set(code.inputs["source"].assets) == set(function_sources("gcp"))
    assert code.inputs["name"] == f"function/{function_digest('gcp')}.zip"
    assert function_digest("gcp") != function_digest("aws")
    build = usual.one("Function").inputs["buildConfig"]
    assert build["source"] == {"storageSource": {"bucket": R, "object": code.inputs["name"]}}
    assert (build["runtime"], build["entryPoint"]) == ("python313", "on_message")


def test_the_framework_takes_what_a_subscription_pushes(tmp_path: Path) -> None:
    """Messages that are attributes only are pushed without data, of which the framework makes no event."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in function_sources("gcp").items():
            archive.writestr(name, text)
    zipfile.ZipFile(buffer).extractall(tmp_path)
    code = (
        "import functions_framework, json, sys\n"
        "client = functions_framework.create_app('on_message', 'main.py', 'http').test_client()\n"
        "answers = [client.post('/', data=body, content_type='application/json') for body in json.load(sys.stdin)]\n"
        "print('STATUS', [answer.status_code for answer in answers])\n"
    )
    foreign = base64.b64encode(b'{"protoPayload": {"methodName": "v1.compute.instances.insert"}}').decode()
    messages: list[dict[str, Any]] = [
        {"attributes": {"spotkeeper": "nonsense"}, "messageId": "m"},
        {"data": foreign, "messageId": "m"},
    ]
    bodies = ["{", *(json.dumps({"message": message, "subscription": "s"}) for message in messages)]
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        input=json.dumps(bodies),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "STATUS [200, 200, 200]" in said.stdout
    assert (said.stdout + said.stderr).count("malformed event") == 2  # nonsense, and what is no JSON


def test_every_alarm_watches_something_that_there_is(usual: Declared) -> None:
    policies = {seen.name.removeprefix("keeper-"): seen.inputs for seen in usual.all("AlertPolicy")}
    assert set(policies) == {*ALARMS, ANNOUNCEMENT}
    for suffix, alarm in ALARMS.items():
        (condition,) = policies[suffix]["conditions"]
        assert policies[suffix]["displayName"] == f"{R}-{suffix}"
        assert policies[suffix]["documentation"]["content"] == alarm.meaning
        if isinstance(alarm, Written):
            assert alarm.measure in {**FLEET_UNITS, **RESPONDER_UNITS}
            found = condition["conditionMatchedLog"]["filter"]
            assert found.endswith(f'jsonPayload.message="measured" AND jsonPayload.{alarm.measure}>0')
            assert policies[suffix]["alertStrategy"]["notificationRateLimit"] == {"period": "3600s"}
        else:
            found = condition["conditionThreshold"]["filter"]
            assert alarm.value(R) in found
            # One on a metric of our own is refused for minutes after the metric was made.
            assert re.search(r'metric\.type="(run|pubsub)\.googleapis\.com/', found)


def test_what_the_function_measures_rings_as_it_writes_it(usual: Declared, capsys: pytest.CaptureFixture[str]) -> None:
    """The local cloud's reading of the filter, against what the handler really writes."""
    handler._measured(fleet_line(R, "p-s-f", {"LaunchFailuresQuota": 2, "Drought": 0}, 1.7e9))
    entry = {
        "jsonPayload": json.loads(capsys.readouterr().out),
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": f"{R}-responder"}},
    }
    rings = {
        suffix: log_filter.parse(entries(alarm, R))(entry)
        for suffix, alarm in ALARMS.items()
        if isinstance(alarm, Written)
    }
    assert {suffix for suffix, ringing in rings.items() if ringing} == {"quota"}


def test_silence_counts_as_no_tick(usual: Declared) -> None:
    (condition,) = usual.one("AlertPolicy", "keeper-no-tick").inputs["conditions"]
    watched = condition["conditionThreshold"]
    assert (watched["comparison"], watched["thresholdValue"], watched["duration"]) == ("COMPARISON_LT", 1, "240s")
    assert watched["evaluationMissingData"] == "EVALUATION_MISSING_DATA_ACTIVE"


def test_announcements_reach_people_in_their_own_words(usual: Declared) -> None:
    policy = usual.one("AlertPolicy", f"keeper-{ANNOUNCEMENT}").inputs
    (condition,) = policy["conditions"]
    assert handler.ANNOUNCEMENT == ANNOUNCEMENT
    assert condition["conditionMatchedLog"]["filter"].endswith(f"jsonPayload.{ANNOUNCEMENT}:*")
    assert policy["alertStrategy"]["notificationRateLimit"] == {"period": "300s"}


def test_alarms_reach_the_channels_and_the_address(usual: Declared) -> None:
    channel = usual.one("NotificationChannel").inputs
    assert (channel["type"], channel["labels"]) == ("email", {"email_address": "ops@example.com"})
    for policy in usual.all("AlertPolicy"):
        assert policy.inputs["notificationChannels"] == [
            f"projects/{GCP_PROJECT}/notificationChannels/1",
            f"projects/{GCP_PROJECT}/notificationChannels/keeper-alerts",
        ]
    quiet = declare_gcp_responder()
    assert quiet.all("NotificationChannel") == []
    assert {str(policy.inputs.get("notificationChannels")) for policy in quiet.all("AlertPolicy")} == {"[]"}


def test_the_same_alarms_as_on_aws_ring() -> None:
    from spotkeeper.aws.alarms import ALARMS as OTHERS

    assert set(ALARMS) == set(OTHERS)


def test_a_preview_declares_the_same() -> None:
    update, preview = declare_gcp_responder(), declare_gcp_responder(preview=True)
    assert {seen.label for seen in preview.notes.seen} == {seen.label for seen in update.notes.seen}
    assert isinstance(preview.exports["service_account_email"], pulumi.output.Unknown)


def test_a_fleet_comes_after_its_responder_is_complete() -> None:
    def program() -> None:
        responder = spotkeeper.GcpInterruptionResponder("keeper", {"bucket_name": "ours"})
        spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(responder=responder.uri))

    declared = declare(program)
    needs: Any = declared.one("BucketObject", "train-spec").depends_on
    for part in ("Subscription keeper-events", "ServiceIamMember keeper-caller", "Job keeper-tick"):
        assert part in needs
