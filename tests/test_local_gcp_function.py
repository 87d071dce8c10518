"""From a preemption to the function: audit log, sink, topic, push, and Google's own framework; and what goes wrong."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from agent_support import wait_until
from local_gcp_support import GROUPS, REGION, SPOT, TEMPLATES, group, template
from spotkeeper_lab.local import Moment
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from test_local_gcp_server import Client

PROJECT = "projects/local-project"
TOPIC, DEAD = f"{PROJECT}/topics/events", f"{PROJECT}/topics/dead"
FILTER = (
    'log_id("cloudaudit.googleapis.com/system_event") AND resource.type="gce_instance" '
    'AND protoPayload.methodName="compute.instances.preempted"'
)
MAIN = '''
import base64, json, os, time
import functions_framework

class Unserved(Exception):
    """Comes again."""

@functions_framework.cloud_event
def on_message(event):
    message = event.data["message"]
    data, attributes = base64.b64decode(message.get("data") or ""), message.get("attributes") or {}
    print(json.dumps({"severity": "INFO", "message": "got", "id": message["messageId"], "data": data.decode(),
                      "attributes": attributes}), flush=True)
    if attributes.get("do") == "again":
        raise Unserved("please")
    if attributes.get("do") == "fail":
        raise ValueError("broken")
    if attributes.get("do") == "announce":
        print(json.dumps({"severity": "NOTICE", "message": "text", "announcement": "subject"}), flush=True)
    if attributes.get("do") == "hang":
        time.sleep(60)
'''
TIMING = Timing(
    notice_seconds=0.05, shutdown_seconds=0.05, boot_seconds=0.01, status_lag_seconds=0, repair_delay_seconds=0.01,
    operation_seconds=0.01, audit_seconds=0.02, tick_seconds=3600, redelivery_seconds=0.05, pull_seconds=0.1,
)  # fmt: skip


class World:
    """A local cloud with a function behind a topic."""

    def __init__(self, local: LocalGcp) -> None:
        self.local = local
        self.client = Client(local.endpoint)

    def ask(self, verb: str, path: str, body: Any = None) -> Any:
        status, answer = self.client.ask(verb, path, body, Authorization="Bearer token-of-pulumi")
        assert status == 200, answer
        return answer

    def make(self, concurrency: int = 8) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("main.py", MAIN)
        self.ask("POST", "/storage/v1/b?project=local-project", {"name": "code"})
        self.local.buckets.write("code", "function.zip", archive.getvalue(), {})
        for topic in (TOPIC, DEAD):
            self.ask("PUT", f"/v1/{topic}", {})
        self.ask("PUT", f"/v1/{PROJECT}/subscriptions/dead", {"topic": DEAD})
        function = {
            "buildConfig": {
                "runtime": "python313",
                "entryPoint": "on_message",
                "source": {"storageSource": {"bucket": "code", "object": "function.zip"}},
            },
            "serviceConfig": {"maxInstanceRequestConcurrency": concurrency, "availableCpu": "1", "timeoutSeconds": 30},
        }
        made = self.ask("POST", f"/v2/{PROJECT}/locations/{REGION}/functions?functionId=shop", function)
        url = made["response"]["serviceConfig"]["uri"]
        subscription = {
            "topic": TOPIC,
            "pushConfig": {"pushEndpoint": url},
            "ackDeadlineSeconds": 60,
            "retryPolicy": {"minimumBackoff": "5s"},
            "deadLetterPolicy": {"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5},
        }
        self.ask("PUT", f"/v1/{PROJECT}/subscriptions/events", subscription)
        sink = {"name": "preemptions", "destination": f"pubsub.googleapis.com/{TOPIC}", "filter": FILTER}
        self.ask("POST", f"/v2/{PROJECT}/sinks", sink)
        job = {
            "name": f"{PROJECT}/locations/{REGION}/jobs/tick",
            "schedule": "* * * * *",
            "pubsubTarget": {"topicName": TOPIC, "attributes": {"spotkeeper": "tick"}},
        }
        self.ask("POST", f"/v1/{PROJECT}/locations/{REGION}/jobs", job)

    def publish(self, **attributes: str) -> str:
        answer = self.ask("POST", f"/v1/{TOPIC}:publish", {"messages": [{"attributes": attributes}]})
        return str(answer["messageIds"][0])

    def got(self, **facts: Any) -> list[dict[str, Any]]:
        """What the function has been given so far, of that sort."""
        assert self.local.function is not None
        said = [json.loads(line) for line in self.local.function.output() if line.startswith('{"severity": "INFO"')]
        return [one for one in said if all(one[name] == value for name, value in facts.items())]

    def told(self, what: str) -> list[Moment]:
        return [moment for moment in self.local.events.moments() if moment.what == what]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with LocalGcp(tmp_path_factory.mktemp("cloud"), TIMING) as local:
        made = World(local)
        made.make()
        early = made.publish(which="early")
        local.deploy_function()
        wait_until(lambda: made.got(id=early))
        yield made


def test_a_preemption_reaches_the_function_as_the_audit_log_has_it(world: World) -> None:
    world.client.done("POST", TEMPLATES, template(scheduling=SPOT))
    world.client.done("POST", GROUPS, group(size=1))
    node = str(world.local.events.wait(lambda moment: moment.what == "instance-running", 30).node)
    world.local.interrupt(node)
    (got,) = wait_until(lambda: [one for one in world.got() if one["data"]])
    entry = json.loads(got["data"])
    name, _, number = node.partition(".")
    assert entry["protoPayload"]["methodName"] == "compute.instances.preempted"
    assert entry["protoPayload"]["resourceName"].endswith(f"/instances/{name}")
    assert entry["resource"]["labels"]["instance_id"] == number
    assert got["attributes"] == {"logging.googleapis.com/timestamp": entry["timestamp"]}
    wait_until(lambda: [moment.node for moment in world.told("warning-sent")] == [node])
    other = world.local.events.wait(lambda m: m.what == "instance-running" and m.node != node, 30).node
    world.local.faults.drop_warnings = True
    world.local.interrupt(str(other))
    wait_until(lambda: len(world.told("warning-sent")) == 2)
    world.local.faults.drop_warnings = False
    world.client.done("DELETE", f"{GROUPS}/fleet")
    tick = world.publish(which="after")
    wait_until(lambda: world.got(id=tick))
    assert len([one for one in world.got() if one["data"]]) == 1, "the second one was lost"


def test_the_clock_ticks_and_anything_can_be_said(world: World) -> None:
    world.local._scheduler.fire()
    wait_until(lambda: world.got(attributes={"spotkeeper": "tick"}))
    world.local.send_raw("{")
    wait_until(lambda: world.got(data="{"))
    world.local.send_event("nobodys", "7")
    wait_until(lambda: [one for one in world.got() if "nobodys" in one["data"]])


def test_a_message_comes_again_until_it_is_given_up(world: World) -> None:
    again = world.publish(do="again")
    wait_until(lambda: world.told("dead-lettered"))
    assert len(world.got(id=again)) == 5
    invoked = [m.detail for m in world.told("function-invoked") if m.detail["status"] == 500]
    assert [(one["repeated"], one["failed"]) for one in invoked] == [(0, 1)] + [(1, 1)] * 4
    assert not world.told("function-failed"), "to ask for it to come again is no failure"
    pulled = world.ask("POST", f"/v1/{PROJECT}/subscriptions/dead:pull", {"maxMessages": 10})["receivedMessages"]
    (buried,) = (one["message"] for one in pulled)
    assert buried["attributes"]["do"] == "again"
    assert buried["attributes"]["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert "receivedMessages" not in world.ask("POST", f"/v1/{PROJECT}/subscriptions/dead:pull", {"maxMessages": 10}), (
        "somebody has it"
    )
    world.ask("POST", f"/v1/{PROJECT}/subscriptions/dead:acknowledge", {"ackIds": [one["ackId"] for one in pulled]})
    assert world.local._pubsub.kept(f"{PROJECT}/subscriptions/dead") == []


def test_an_error_of_the_function_is_told(world: World) -> None:
    before = len(world.told("dead-lettered"))
    world.publish(do="fail")
    wait_until(lambda: len(world.told("dead-lettered")) > before)
    failed = {moment.detail["error"] for moment in world.told("function-failed")}
    assert failed == {"ValueError: broken"}


def test_what_people_are_to_be_told_is_found_by_an_alert_policy(world: World) -> None:
    def policy(name: str, **condition: Any) -> None:
        given = {"displayName": name, "combiner": "OR", "conditions": [{"displayName": "said", **condition}]}
        world.ask("POST", f"/v3/{PROJECT}/alertPolicies", given)

    extractors = {"subject": "EXTRACT(jsonPayload.announcement)", "text": "EXTRACT(jsonPayload.message)"}
    told = {"filter": "jsonPayload.announcement:*", "labelExtractors": extractors}
    policy("announcements", conditionMatchedLog=told)
    metric = {"name": "shop/loud", "filter": 'severity>=NOTICE AND jsonPayload.message="text"'}
    world.ask("POST", f"/v2/{PROJECT}/metrics", metric)
    threshold = {"comparison": "COMPARISON_GT", "duration": "0s", "aggregations": [{"alignmentPeriod": "60s"}]}
    counted = {**threshold, "filter": 'metric.type="logging.googleapis.com/user/shop/loud"'}
    policy("loud", conditionThreshold=counted)
    policy("Google's own", conditionThreshold={**threshold, "filter": 'metric.type="run.googleapis.com/requests"'})
    world.publish(do="announce")
    wait_until(lambda: world.told("announced") and world.told("alarm"))
    (announced,), (alarm,) = world.told("announced"), world.told("alarm")
    assert announced.detail == {"subject": "subject", "text": "text"}
    assert (alarm.detail["name"], alarm.detail["state"]) == ("loud", "ALARM")


def test_messages_that_come_twice_or_late_have_one_id(world: World) -> None:
    world.local.faults.duplicate = world.local.faults.shuffle = True
    try:
        message = world.publish(which="thrice")
    finally:
        world.local.faults.duplicate = world.local.faults.shuffle = False
    wait_until(lambda: len(world.got(id=message)) == 3)


def test_a_function_that_is_killed_gets_its_messages_again(world: World) -> None:
    failed = len(world.told("function-failed"))
    hanging = world.publish(do="hang")
    wait_until(lambda: world.got(id=hanging))
    world.local.kill_function()
    wait_until(lambda: len(world.got(id=hanging)) == 2)
    world.local.kill_function()
    after = world.publish(which="after")
    wait_until(lambda: world.got(id=after))
    assert len(world.told("function-failed")) == failed
    world.local._pubsub.subscriptions.remove(f"{PROJECT}/subscriptions/events")
    world.local.kill_function()
