"""The preemption of a machine of Google's, over everything that its metadata server may answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import Nodes
from agent_support import wait_until
from gcp_support import NUMBER, GcpMetadata, serving_gcp
from ledger_support import Answer, answering
from spotkeeper_agent.gcp import Preemption, identify
from spotkeeper_agent.notices import Word
from spotkeeper_agent.sources import Poller
from spotkeeper_lab.local_gcp.metadata import PREEMPTED, etag
from spotkeeper_ledger import Unavailable, gce
from spotkeeper_ledger.gce import MetadataServer


@pytest.fixture
def metadata() -> Iterator[GcpMetadata]:
    with serving_gcp() as served:
        yield served


def source(metadata: GcpMetadata) -> Preemption:
    return Preemption(MetadataServer(metadata.host), 1.0)


def test_it_knows_who_it_is(metadata: GcpMetadata) -> None:
    node = identify(MetadataServer(metadata.host))
    assert (node.name, node.zone, node.address, node.on_demand) == (
        f"node-1.{NUMBER}",
        "europe-west4-b",
        "10.0.0.9",
        False,
    )
    metadata.values["instance/scheduling/preemptible"] = "FALSE"
    assert identify(MetadataServer(metadata.host)).on_demand
    del metadata.values["instance/name"]
    with pytest.raises(Unavailable, match="expected the name of this instance"):
        identify(MetadataServer(metadata.host))
    metadata.values |= {"instance/name": "node-1", "instance/id": ""}
    with pytest.raises(Unavailable, match="expected the id of this instance"):
        identify(MetadataServer(metadata.host))


def test_a_node_that_is_flagged_already_is_known_by_the_first_plain_read(metadata: GcpMetadata) -> None:
    metadata.set(PREEMPTED, "TRUE")
    (word,) = source(metadata).poll()
    assert (word.kind, word.source, word.deadline) == ("interruption", "metadata", None)
    assert metadata.asked == [(PREEMPTED, {})], "and nothing waited"


def test_after_a_plain_read_it_waits_for_another_version_and_says_the_same_word_again(metadata: GcpMetadata) -> None:
    preemption = source(metadata)
    assert preemption.poll() == ()
    assert preemption.every_seconds == 0.0
    threading.Thread(target=lambda: (metadata.wait_until_asked(), metadata.set(PREEMPTED, "TRUE"))).start()
    (word,) = preemption.poll()
    assert word.kind == "interruption"
    assert metadata.asked[-1][1] == {"wait_for_change": "true", "timeout_sec": "10", "last_etag": etag("FALSE")}
    metadata.patient = False
    assert preemption.poll() == (word,)


def test_a_change_between_two_requests_is_not_missed(metadata: GcpMetadata) -> None:
    preemption = source(metadata)
    assert preemption.poll() == ()
    metadata.set(PREEMPTED, "TRUE")
    assert len(preemption.poll()) == 1


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_what_is_no_answer_is_neither_yes_nor_no(metadata: GcpMetadata, status: int) -> None:
    preemption = source(metadata)
    metadata.fail(status)
    with pytest.raises(Unavailable):
        preemption.poll()
    metadata.fail(0)
    assert preemption.poll() == ()


@pytest.mark.parametrize("text", ["", "true-ish", "<html>captive portal</html>"])
def test_what_is_neither_true_nor_false_is_no_answer(metadata: GcpMetadata, text: str) -> None:
    metadata.set(PREEMPTED, text)
    with pytest.raises(Unavailable, match="expected TRUE or FALSE"):
        source(metadata).poll()


def test_a_server_that_is_not_googles_is_not_believed() -> None:
    with answering(lambda _: Answer(body=b"TRUE")) as server, pytest.raises(Unavailable, match="not Google's"):
        Preemption(MetadataServer(server.url.removeprefix("http://")), 1.0).poll()


def test_a_503_in_the_middle_of_waiting_is_followed_by_a_plain_read(metadata: GcpMetadata) -> None:
    preemption = source(metadata)
    preemption.poll()
    threading.Thread(target=lambda: (metadata.wait_until_asked(), metadata.fail(503))).start()
    with pytest.raises(Unavailable, match="503"):
        preemption.poll()
    metadata.fail(0)
    metadata.set(PREEMPTED, "TRUE")
    assert len(preemption.poll()) == 1
    assert metadata.asked[-1] == (PREEMPTED, {})


def test_a_server_without_versions_or_without_patience_is_asked_at_the_usual_pace(metadata: GcpMetadata) -> None:
    metadata.etags = False
    preemption = source(metadata)
    for _ in range(2):
        assert preemption.poll() == ()
        assert preemption.every_seconds == 1.0
    metadata.etags = True
    assert preemption.poll() == ()
    assert preemption.every_seconds == 0.0
    metadata.patient = False
    assert preemption.poll() == ()
    assert preemption.every_seconds == 1.0, "it came back at once and unchanged"


def test_a_server_that_never_answers_is_given_up(metadata: GcpMetadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gce, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(gce, "WAIT_SECONDS", 0.1)
    preemption = Preemption(MetadataServer(metadata.host), 1.0)
    preemption.poll()
    metadata.silent = True
    for _ in range(2):  # once while waiting for a change, once by a plain read
        with pytest.raises(Unavailable, match=r"no answer in time|timed out"):
            preemption.poll()


def test_a_poller_asks_again_soon_after_a_failure_and_never_spins() -> None:
    class Broken:
        name, every_seconds = "broken", 0.0

        def poll(self) -> tuple[Word, ...]:
            raise Unavailable("503")

    poller = Poller(Broken(), lambda word: None)
    assert poller.pause() == 0.0
    pauses = []
    for _ in range(20):
        poller.turn()
        pauses.append(poller.pause())
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert set(pauses[4:]) == {1.0}


def test_a_node_of_googles_saves_and_lets_another_go_on(tmp_path: Path) -> None:
    name = f"node-1.{NUMBER}"
    with Nodes(tmp_path) as nodes, serving_gcp("node-1") as metadata:
        nodes.fleet.write_spec()
        command = f"trap 'echo saved >{tmp_path}/saved; exit 75' USR1; while :; do sleep 0.05; done"
        env = {"GCE_METADATA_HOST": metadata.host}
        node = nodes.start("node-1", command, env=env, cloud="gcp", notice_signal="USR1", notice_seconds=20)
        wait_until(lambda: nodes.fleet.holder() == name)
        wait_until(node.job_pid)
        metadata.set(PREEMPTED, "TRUE")
        report = wait_until(lambda: (r := nodes.fleet.report(name)) and r.exit_reason and r)
        assert (report.exit_code, report.exit_reason) == (75, "notice")
        assert (tmp_path / "saved").exists()
        notice = nodes.fleet.notice(name)
        assert notice is not None
        assert (notice.kind, notice.source) == ("interruption", "metadata")
        told = json.loads((node.folder / "agent.json").read_text())
        assert told["cloud"] == "gcp"
