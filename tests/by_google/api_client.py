"""Google's API client, made from Google's own descriptions, drives the newer services of the local cloud over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from spotkeeper_lab.local_gcp import LocalGcp, Timing

PROJECT = "projects/local-project"
NUMBER = "123456789012"
"""Of the project, which may be named by it."""
PLACE = f"{PROJECT}/locations/europe-west4"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGcp]:
    with LocalGcp(tmp_path_factory.mktemp("cloud"), Timing(tick_seconds=3600, pull_seconds=0.1)) as made:
        yield made


def service(cloud: LocalGcp, name: str, version: str) -> Any:
    options = {"api_endpoint": cloud.endpoint}
    return build(
        name, version, credentials=AnonymousCredentials(), client_options=options, static_discovery=True, num_retries=0
    )


@pytest.fixture(scope="module")
def topics(cloud: LocalGcp) -> Any:
    projects = service(cloud, "pubsub", "v1").projects()
    for topic in ("events", "dead"):
        projects.topics().create(name=f"{PROJECT}/topics/{topic}", body={"labels": {"a": "b"}}).execute()
    return projects


def refused(request: Any) -> int:
    with pytest.raises(HttpError) as error:
        request.execute()
    return int(error.value.status_code)


def test_what_is_published_is_pulled_until_it_is_acknowledged(topics: Any) -> None:
    name, subscriptions = f"{PROJECT}/subscriptions/pulled", topics.subscriptions()
    subscriptions.create(name=name, body={"topic": f"{PROJECT}/topics/events", "ackDeadlineSeconds": 30}).execute()
    data = base64.b64encode(b"said").decode()
    body = {"messages": [{"data": data, "attributes": {"a": "b"}}, {"attributes": {"c": "d"}}]}
    ids = topics.topics().publish(topic=f"{PROJECT}/topics/events", body=body).execute()["messageIds"]
    pulled = subscriptions.pull(subscription=name, body={"maxMessages": 10}).execute()["receivedMessages"]
    assert [one["message"]["messageId"] for one in pulled] == ids
    assert (pulled[0]["message"]["data"], pulled[1]["message"]["attributes"]) == (data, {"c": "d"})
    assert subscriptions.pull(subscription=name, body={"maxMessages": 10}).execute() == {}
    freed = {"ackIds": [pulled[0]["ackId"]], "ackDeadlineSeconds": 0}
    assert refused(subscriptions.modifyAckDeadline(subscription=name, body={**freed, "ackDeadlineSeconds": 601})) == 400
    subscriptions.modifyAckDeadline(subscription=name, body=freed).execute()
    again = subscriptions.pull(subscription=name.replace("local-project", NUMBER), body={"maxMessages": 10}).execute()
    assert [one["message"]["messageId"] for one in again["receivedMessages"]] == ids[:1]
    subscriptions.acknowledge(subscription=name, body={"ackIds": [one["ackId"] for one in pulled]}).execute()
    assert subscriptions.delete(subscription=name).execute() == {}
    assert refused(subscriptions.get(subscription=name)) == 404


def test_a_subscription_is_checked_and_changed(topics: Any) -> None:
    name, subscriptions = f"{PROJECT}/subscriptions/pushed", topics.subscriptions()
    dead = {"deadLetterTopic": f"{PROJECT}/topics/dead", "maxDeliveryAttempts": 5}
    given = {"topic": f"{PROJECT}/topics/events", "deadLetterPolicy": dead, "retryPolicy": {"minimumBackoff": "5s"}}
    for wrong, status in (
        ({"topic": f"{PROJECT}/topics/nobodys"}, 404),
        ({"ackDeadlineSeconds": 9}, 400),
        ({"deadLetterPolicy": {**dead, "maxDeliveryAttempts": 4}}, 400),
        ({"deadLetterPolicy": {**dead, "deadLetterTopic": f"{PROJECT}/topics/nobodys"}}, 404),
        ({"retryPolicy": {"maximumBackoff": "601s"}}, 400),
        ({"enableMessageOrdering": True}, 501),
    ):
        assert refused(subscriptions.create(name=name, body={**given, **wrong})) == status, wrong
    assert subscriptions.create(name=name, body=given).execute()["ackDeadlineSeconds"] == 10
    assert refused(subscriptions.create(name=name, body=given)) == 409
    change = {"subscription": {"name": name, "ackDeadlineSeconds": 60}, "updateMask": "ackDeadlineSeconds"}
    assert subscriptions.patch(name=name, body=change).execute()["ackDeadlineSeconds"] == 60
    assert subscriptions.list(project=PROJECT).execute()["subscriptions"][0]["retryPolicy"] == given["retryPolicy"]
    assert refused(topics.topics().publish(topic=f"{PROJECT}/topics/events", body={"messages": [{}]})) == 400


def test_sinks_metrics_and_alerts(cloud: LocalGcp, topics: Any) -> None:
    logging, monitoring = service(cloud, "logging", "v2").projects(), service(cloud, "monitoring", "v3").projects()
    sink = {"name": "s", "destination": f"pubsub.googleapis.com/{PROJECT}/topics/events", "filter": 'severity="INFO"'}
    made = logging.sinks().create(parent=PROJECT, body=sink, uniqueWriterIdentity=True).execute()
    assert (made["name"], made["writerIdentity"].startswith("serviceAccount:")) == ("s", True)
    assert refused(logging.sinks().create(parent=PROJECT, body={**sink, "name": "t", "filter": "a="})) == 400
    nowhere = {**sink, "name": "t", "destination": f"pubsub.googleapis.com/{PROJECT}/topics/nobodys"}
    assert refused(logging.sinks().create(parent=PROJECT, body=nowhere)) == 404
    changed = (
        logging.sinks().update(sinkName=f"{PROJECT}/sinks/s", body={**sink, "filter": 'severity="ERROR"'}).execute()
    )
    assert changed["filter"] == 'severity="ERROR"'
    assert [one["name"] for one in logging.sinks().list(parent=PROJECT).execute()["sinks"]] == ["s"]
    assert logging.sinks().delete(sinkName=f"{PROJECT}/sinks/s").execute() == {}
    metric = {"name": "m/n", "filter": "jsonPayload.Ticks>0"}
    assert logging.metrics().create(parent=PROJECT, body=metric).execute()["name"] == "n"
    policy = {
        "displayName": "p", "combiner": "OR",
        "conditions": [{"displayName": "c", "conditionMatchedLog": {"filter": "jsonPayload.a:*"}}],
    }  # fmt: skip
    name = monitoring.alertPolicies().create(name=PROJECT, body=policy).execute()["name"]
    assert monitoring.alertPolicies().get(name=name).execute()["displayName"] == "p"
    assert refused(monitoring.alertPolicies().create(name=PROJECT, body={**policy, "conditions": []})) == 400
    monitoring.alertPolicies().delete(name=name).execute()
    assert refused(monitoring.alertPolicies().get(name=name)) == 404


def test_jobs_accounts_roles_and_policies(cloud: LocalGcp, topics: Any) -> None:
    jobs = service(cloud, "cloudscheduler", "v1").projects().locations().jobs()
    target = {"topicName": f"{PROJECT}/topics/events", "attributes": {"a": "b"}}
    job = {"name": f"{PLACE}/jobs/tick", "schedule": "* * * * *", "pubsubTarget": target}
    assert refused(jobs.create(parent=PLACE, body={**job, "schedule": "sometimes"})) == 400
    assert jobs.create(parent=PLACE, body=job).execute()["state"] == "ENABLED"
    assert jobs.pause(name=job["name"], body={}).execute()["state"] == "PAUSED"
    jobs.delete(name=job["name"]).execute()
    iam = service(cloud, "iam", "v1").projects()
    account = iam.serviceAccounts().create(name=PROJECT, body={"accountId": "nodes-of-a"}).execute()
    assert account["email"] == "nodes-of-a@local-project.iam.gserviceaccount.com"
    assert refused(iam.serviceAccounts().create(name=PROJECT, body={"accountId": "A"})) == 400
    role = {"roleId": "own", "role": {"includedPermissions": ["storage.objects.get"]}}
    assert iam.roles().create(parent=PROJECT, body=role).execute()["name"] == f"{PROJECT}/roles/own"
    binding = {"role": f"{PROJECT}/roles/own", "members": [f"serviceAccount:{account['email']}"]}
    topic = {"resource": f"{PROJECT}/topics/events"}
    topics.topics().setIamPolicy(**topic, body={"policy": {"bindings": [binding]}}).execute()
    assert topics.topics().getIamPolicy(**topic).execute()["bindings"] == [binding]


def test_a_function_is_checked_before_it_is_there(cloud: LocalGcp) -> None:
    functions = service(cloud, "cloudfunctions", "v2").projects().locations().functions()
    cloud.buckets.add("code")
    cloud.buckets.write("code", "f.zip", b"", {})
    source = {"storageSource": {"bucket": "code", "object": "f.zip"}}
    build_config = {"runtime": "python313", "entryPoint": "f", "source": source}
    body = {"buildConfig": build_config, "serviceConfig": {"maxInstanceRequestConcurrency": 80, "availableCpu": "1"}}
    for wrong, status in (
        ({"buildConfig": {**build_config, "entryPoint": ""}}, 400),
        ({"buildConfig": {**build_config, "source": {"storageSource": {"bucket": "code", "object": "none"}}}}, 404),
        ({"serviceConfig": {"maxInstanceRequestConcurrency": 80, "availableCpu": "0.5"}}, 400),
        ({"serviceConfig": {"maxInstanceRequestConcurrency": 1001, "availableCpu": "1"}}, 400),
        ({"serviceConfig": {"timeoutSeconds": 3601}}, 400),
    ):
        assert refused(functions.create(parent=PLACE, functionId="f", body={**body, **wrong})) == status, wrong
    made = functions.create(parent=PLACE, functionId="f", body=body).execute()
    assert (made["done"], made["response"]["state"]) == (True, "ACTIVE")
    found = functions.get(name=f"{PLACE}/functions/f").execute()
    assert found["serviceConfig"]["uri"] == found["url"]
    assert refused(functions.generateUploadUrl(parent=PLACE, body={})) == 501
    assert functions.delete(name=f"{PLACE}/functions/f").execute()["done"]
