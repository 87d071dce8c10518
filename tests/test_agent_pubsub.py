"""A node's word on a topic: written first, then said, and said again until it has arrived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_support import wait_until
from gcp_support import serving_gcp
from ledger_support import Answer, Asked, answering
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.outbox import Outbox
from spotkeeper_agent.pubsub import Topic
from spotkeeper_agent.reporter import Reporter
from spotkeeper_ledger import Denied, Unavailable, keys, open_board
from spotkeeper_ledger.gce import MetadataServer
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_responder import Heard, NoticeWritten
from spotkeeper_responder.gcp import parse

TOPIC = "projects/shop/topics/spotkeeper"


def reporter(tmp_path: Path, outbox: Outbox) -> Reporter:
    ledger = (tmp_path / "ledger").as_uri()
    config = AgentConfig("a-fleet", "now", "gcp", ledger, tmp_path.as_uri(), topic=TOPIC)
    node = Node("n.7", on_demand=False, address="10.0.0.9", zone="a", boot_id="b")
    return Reporter(config, node, open_board(ledger), outbox, topic=Topic(TOPIC))


def test_the_responder_understands_what_a_node_says_and_finds_the_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Answer(503), Answer(body=b'{"messageIds":["1"]}')])
    found: list[bool] = []

    def answer(_: Asked) -> Answer:
        found.append((tmp_path / "ledger" / keys.notice("a-fleet", "n.7")).exists())
        return next(answers)

    with answering(answer) as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.url.removeprefix("http://"))
        outbox = Outbox()
        reporter(tmp_path, outbox).notice(
            Notice("n.7:interruption", "interruption", "metadata", 100.0, Moment(100.0, 5.0))
        )
        outbox.start()
        wait_until(lambda: len(server.asked) == 2)
        assert outbox.flush(10)
    assert found == [True, True], "there is something to read before anybody is told"
    (said,) = json.loads(server.asked[1].body)["messages"]
    assert server.asked[1].path == f"/v1/{TOPIC}:publish"
    assert parse("m", said["attributes"], b"") == [Heard("m", NoticeWritten("n.7"), "a-fleet")]


def test_a_stand_in_with_a_metadata_server_is_told_who_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer()) as server, serving_gcp() as metadata:
        metadata.give_token("t")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.url.removeprefix("http://"))
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        Topic(TOPIC).publish({"a": "b"})
        assert server.asked[0].headers["authorization"] == "Bearer t"
        monkeypatch.delenv("GCE_METADATA_HOST")
        Topic(TOPIC).publish({"a": "b"})
        assert "authorization" not in server.asked[1].headers


def test_it_speaks_with_the_machines_token_and_tells_a_refusal_from_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Answer(), Answer(403), Answer(401), Answer(429), Answer(404), Answer(hang_up=True)])
    with answering(lambda _: next(answers)) as server, serving_gcp() as metadata:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.url.removeprefix("http://"))
        metadata.give_token("t")
        topic = Topic(TOPIC, TokenSource(MetadataServer(metadata.host)))
        topic.publish({"a": "b"})
        assert server.asked[0].headers["authorization"] == "Bearer t"
        for kind in (Denied, Denied, Unavailable, Unavailable, Unavailable):
            with pytest.raises(kind):
                topic.publish({"a": "b"})
