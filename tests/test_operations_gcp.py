"""The commands for people on call, on the local Google Cloud: the same words as for a ledger anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcp_account import FAST, FLEET, Account, fleet
from oncall_support import Ledger, Said
from spotkeeper_lab.local_gcp import LocalGcp, token_of
from spotkeeper_lab.operations import gcp
from spotkeeper_lab.operations.account import NoCloud, open_account
from spotkeeper_lab.operations.dead_letters import NOTICE, UNREADABLE, moved, taken
from spotkeeper_lab.operations.gcp import PREEMPTION, TICK, kind_of
from spotkeeper_lab.provision.gcp import Rest
from spotkeeper_ledger import HELD, keys

BUCKET = "spotkeeper-shop-europe-west4"
BURIED = "CloudPubSubDeadLetterSource"
PREEMPTED = json.dumps(
    {
        "protoPayload": {
            "methodName": "compute.instances.preempted",
            "resourceName": f"projects/shop/zones/europe-west4-a/instances/spotkeeper-{FLEET}-spot-ab12",
        },
        "resource": {"labels": {"instance_id": "7"}},
        "timestamp": "2026-01-01T00:00:00Z",
    }
).encode()
MESSAGES = [
    ({"spotkeeper": "tick"}, b""),
    ({"spotkeeper": "tick"}, b""),
    ({"spotkeeper": "notice", "fleet": FLEET, "folder": "node-1"}, b""),
    ({}, PREEMPTED),
    ({}, b"{"),
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGcp]:
    """The local cloud, to which a person's environment leads."""
    timing = replace(FAST, pull_seconds=0.1)
    with LocalGcp(tmp_path_factory.mktemp("cloud"), timing) as local, pytest.MonkeyPatch.context() as patch:
        local.buckets.add(BUCKET)
        for name, value in local.environment("oncall").items():
            patch.setenv(name, value)
        patch.delenv("GCE_METADATA_HOST")  # so that nobody has to log in
        yield local


@pytest.fixture
def ledger(cloud: LocalGcp, capsys: pytest.CaptureFixture[str]) -> Ledger:
    return Ledger(f"gs://{BUCKET}", capsys)


# ---------------------------------------------------------------- status


def test_groups_are_as_compute_engine_has_them(cloud: LocalGcp, ledger: Ledger) -> None:
    ledger.fleet(FLEET, spot=(1,))
    ledger.put(keys.spec(FLEET), fleet(command_version="2"))
    assert f"no managed instance group spotkeeper-{FLEET}-spot" in ledger.run("status", FLEET).out
    account = Account(cloud, fleet())
    account.make({"spot": 2, "backup": 0})
    nodes = account.nodes("spot", 2)
    told = json.loads(ledger.run("status", FLEET, "--json").out)
    assert (told["source"], told["problem"], told["spot"]["nodes"], told["backup"]["nodes"]) == ("cloud", "", 2, 0)
    assert sorted(told["outdated"]) == sorted(nodes)
    assert f"old template  2 nodes: spotkeeper-{FLEET}-spot-" in ledger.run("status", FLEET).out


def test_a_table_is_the_same_as_anywhere_else(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Ledger.in_folder(tmp_path, capsys)
    for one in (ledger, folder):
        one.fleet("vision", spot=(1, 2, 3), shortfall_since=1.0)
        one.job("vision")
    lines = [next(li for li in one.run("status").out.splitlines() if "vision" in li) for one in (ledger, folder)]
    assert lines[0].split()[:7] == lines[1].split()[:7] == ["vision", "4", "3", "0", "1", "running", "120/400"]


def test_compute_engine_that_cannot_be_asked_is_no_error(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.fleet("speech")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:9")
    monkeypatch.setattr("spotkeeper_responder.gcp.compute.FIRST_PAUSE_SECONDS", 60.0)
    said = ledger.run("status", "speech")
    assert (said.code, said.err) == (0, "")
    assert "those of now are not known: GET" in said.out
    assert "Connection refused" in said.out


@pytest.mark.parametrize(
    ("uri", "fleet_", "told"),
    [
        ("gs://no-such-bucket", "", "no-such-bucket"),
        (f"gs://{BUCKET}", "vison", "fleet: was 'vison', expected one of"),
    ],
)
def test_errors_are_one_line(
    cloud: LocalGcp, capsys: pytest.CaptureFixture[str], uri: str, fleet_: str, told: str
) -> None:
    ledger = Ledger(uri, capsys)
    if fleet_:
        ledger.fleet("speech")
    said = ledger.run("status", *filter(None, [fleet_]))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert told in said.err


# ---------------------------------------------------------------- pause and resume


def test_a_fleet_is_paused_and_resumed(ledger: Ledger) -> None:
    ledger.fleet("speech")
    assert "changes no size" in ledger.run("pause", "speech", "--hold", "--reason", "INC-42").out
    pause = ledger.ledger("speech").pause
    assert pause is not None
    assert (pause.mode, pause.reason) == (HELD, "INC-42")
    assert "INC-42" in ledger.run("resume", "speech").out
    assert ledger.ledger("speech").pause is None


# ---------------------------------------------------------------- redrive


class Topics:
    """A responder's topic with somebody who listens, and the subscription that holds what could not be handled."""

    def __init__(self, cloud: LocalGcp) -> None:
        self._rest, self._cloud = Rest(cloud.endpoint, token_of("pulumi")), cloud
        self._project = f"projects/{cloud.project}"
        for name, topic in (("-events", "-events"), ("-events-dead", "-events-dead")):
            self._rest.call("PUT", f"/v1/{self._project}/topics/{BUCKET}{topic}", {})
            body = {"topic": f"{self._project}/topics/{BUCKET}{topic}"}
            self._rest.call("PUT", f"/v1/{self._project}/subscriptions/{BUCKET}{name}", body)

    def close(self) -> None:
        for name in ("-events", "-events-dead"):
            for kind in ("subscriptions", "topics"):
                self._rest.call("DELETE", f"/v1/{self._project}/{kind}/{BUCKET}{name}")

    def bury(self) -> None:
        told = {f"{BURIED}DeliveryCount": "10", f"{BURIED}TopicPublishTime": "2026-01-01T00:00:00.123456789Z"}
        for attributes, data in MESSAGES:
            self._cloud._pubsub.publish(f"{self._project}/topics/{BUCKET}-events-dead", data, {**attributes, **told})

    def held(self, end: str) -> list[tuple[dict[str, str], bytes]]:
        """What waits in a subscription, whoever has it."""
        kept = self._cloud._pubsub.kept(f"{self._project}/subscriptions/{BUCKET}{end}")
        return [(dict(message.attributes), message.data) for message in kept]


@pytest.fixture
def topics(cloud: LocalGcp) -> Iterator[Topics]:
    made = Topics(cloud)
    yield made
    made.close()


def test_everything_is_shown_and_put_back_as_it_was(topics: Topics, ledger: Ledger) -> None:
    topics.bury()
    said = ledger.run("redrive")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["messages", "kind", "oldest"]
    assert lines[1][:2] == ["2", "tick"]
    assert lines[1][-1] == "ago"
    assert {" ".join(line[1:-3]) for line in lines[2:5]} == {NOTICE, PREEMPTION, UNREADABLE}
    assert said.out.endswith(f"5 of 5 messages put back into {BUCKET}-events.\n")
    assert topics.held("-events") == MESSAGES
    assert topics.held("-events-dead") == []
    again = ledger.run("redrive")
    assert (again.code, again.out) == (0, f"{BUCKET}-events-dead is empty.\n")


def test_a_dry_run_moves_nothing_and_keeps_nothing_from_others(topics: Topics, ledger: Ledger) -> None:
    topics.bury()
    for _ in range(2):
        said = ledger.run("redrive", "--dry-run", "--json")
        assert json.loads(said.out) == {
            "queue": f"{BUCKET}-events-dead",
            "messages": 5,
            "kinds": {NOTICE: 1, PREEMPTION: 1, TICK: 2, UNREADABLE: 1},
            "moved": 0,
        }
    assert (len(topics.held("-events-dead")), topics.held("-events")) == (5, [])


def test_many_are_moved_in_parts(topics: Topics, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp.GcpDeadLetters, "batch", 2)
    topics.bury()
    assert json.loads(ledger.run("redrive", "--json").out)["moved"] == 5
    assert topics.held("-events") == MESSAGES


def test_what_the_topic_refuses_is_still_there(topics: Topics, ledger: Ledger, cloud: LocalGcp) -> None:
    topics.bury()
    cloud._pubsub.topics.remove(f"projects/{cloud.project}/topics/{BUCKET}-events")
    said = ledger.run("redrive", "--json")
    cloud._pubsub.topics.add(f"projects/{cloud.project}/topics/{BUCKET}-events", {})
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert f"topics/{BUCKET}-events:publish: status 404" in said.err
    assert len(topics.held("-events-dead")) == 5


def test_what_is_put_back_and_then_not_deleted_is_lost_in_neither_place(topics: Topics, cloud: LocalGcp) -> None:
    topics.bury()
    dead, name = open_account(f"gs://{BUCKET}").dead_letters(), f"{cloud.project}/subscriptions/{BUCKET}-events-dead"
    letters = taken(dead)
    subscription = cloud._pubsub.subscriptions.get(f"projects/{name}")
    cloud._pubsub.subscriptions.remove(f"projects/{name}")
    with pytest.raises(NoCloud, match="acknowledge: status 404"):
        list(moved(dead, letters))
    cloud._pubsub.subscriptions.add(f"projects/{name}", subscription)
    assert topics.held("-events") == MESSAGES
    assert len(topics.held("-events-dead")) == 5


def test_a_responder_without_a_subscription_is_refused_in_one_line(ledger: Ledger) -> None:
    said = ledger.run("redrive")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert f"subscriptions/{BUCKET}-events-dead:pull: status 404" in said.err


def test_a_service_that_is_away_is_not_taken_for_an_empty_subscription(
    topics: Topics, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr(gcp, "PULL_SECONDS", 60.0)
    said = ledger.run("redrive")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "refused" in said.err


def test_the_project_is_that_of_the_bucket(cloud: LocalGcp, capsys: pytest.CaptureFixture[str]) -> None:
    said: Said = Ledger("gs://no-such-bucket", capsys).run("redrive")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "/storage/v1/b/no-such-bucket: status 404" in said.err


@given(st.dictionaries(st.text() | st.just("spotkeeper"), st.text() | st.sampled_from(["tick", "notice"])), st.binary())
def test_whatever_a_message_says_it_has_a_kind(attributes: dict[str, str], data: bytes) -> None:
    assert kind_of(attributes, data) in (TICK, NOTICE, PREEMPTION, UNREADABLE)
