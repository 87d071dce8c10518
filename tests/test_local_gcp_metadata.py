"""The metadata server of a node: versions, requests that hang, and what it refuses."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import pytest

from agent_support import wait_until
from spotkeeper_lab.local_gcp.metadata import Metadata, MetadataServer, account
from spotkeeper_ledger.google_token import TokenSource

PATH = "/computeMetadata/v1/instance/preempted"


@pytest.fixture
def server() -> Iterator[MetadataServer]:
    values = {"instance/preempted": "FALSE", "instance/id": "7", "instance/attributes/a": "b", **account("me@p", "t")}
    made = MetadataServer("127.0.0.1", Metadata(values))
    yield made
    made.close()


def ask(server: MetadataServer, target: str = PATH, **headers: str) -> tuple[int, str, str]:
    """Status, body and version."""
    connection = http.client.HTTPConnection(server.host, timeout=30)
    try:
        connection.request("GET", target, headers=headers or {"Metadata-Flavor": "Google"})
        answer = connection.getresponse()
        assert answer.headers["Metadata-Flavor"] == "Google"
        return answer.status, answer.read().decode(), answer.headers.get("ETag", "")
    finally:
        connection.close()


def test_a_value_has_a_version_that_changes_with_it(server: MetadataServer) -> None:
    first, again = ask(server), ask(server)
    assert first == again == (200, "FALSE", first[2])
    server.metadata.set("instance/preempted", "TRUE")
    assert ask(server)[:2] == (200, "TRUE")
    assert ask(server)[2] != first[2]


def test_a_request_hangs_until_the_value_is_another_one(server: MetadataServer) -> None:
    _, _, version = ask(server)
    answers: list[tuple[int, str, str]] = []
    queries = (f"wait_for_change=true&last_etag={version}", "wait_for_change=true")
    threads = [
        threading.Thread(target=lambda query=query: answers.append(ask(server, f"{PATH}?{query}"))) for query in queries
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: server.metadata.waiting == len(threads))
    server.metadata.set("instance/id", "8")
    assert ask(server, f"{PATH}?wait_for_change=true&last_etag=other")[1] == "FALSE", "it differs already"
    assert not answers
    server.metadata.set("instance/preempted", "TRUE")
    for thread in threads:
        thread.join(30)
    assert [(status, value) for status, value, _ in answers] == [(200, "TRUE")] * 2


def test_a_request_that_has_waited_long_enough_is_told_what_it_knows(server: MetadataServer) -> None:
    _, _, version = ask(server)
    found = ask(server, f"{PATH}?wait_for_change=true&timeout_sec=0&last_etag={version}")
    assert found == (200, "FALSE", version)


def test_a_service_that_is_away_lets_nobody_wait(server: MetadataServer) -> None:
    answers: list[tuple[int, str, str]] = []
    thread = threading.Thread(target=lambda: answers.append(ask(server, f"{PATH}?wait_for_change=true")))
    thread.start()
    wait_until(lambda: server.metadata.waiting)
    server.metadata.fail()
    thread.join(30)
    assert [status for status, _, _ in answers] == [503]
    assert ask(server)[0] == 503
    server.metadata.fail(0)
    assert ask(server)[0] == 200


def test_who_does_not_say_that_metadata_is_wanted_gets_none(server: MetadataServer) -> None:
    assert ask(server, Accept="x")[0] == 403
    assert ask(server, **{"Metadata-Flavor": "Google", "X-Forwarded-For": "1.2.3.4"})[0] == 403


def test_a_folder_tells_what_is_in_it(server: MetadataServer) -> None:
    assert ask(server, "/computeMetadata/v1/instance/")[1] == "attributes/\nid\npreempted\nservice-accounts/\n"
    assert ask(server, "/computeMetadata/v1/instance/attributes")[1] == "a\n"
    assert ask(server, "/computeMetadata/v1/instance/nothing")[0] == 404
    assert ask(server, "/latest/meta-data")[0] == 404


def test_the_account_gives_tokens(server: MetadataServer) -> None:
    from spotkeeper_ledger.gce import MetadataServer as Client

    assert TokenSource(Client(server.host)).get() == "t"
    assert ask(server, "/computeMetadata/v1/instance/service-accounts/default/email")[1] == "me@p"


def test_closing_lets_go_of_who_waits_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    server = MetadataServer("127.0.0.1", Metadata({"instance/preempted": "FALSE"}))
    cut: list[bool] = []

    def wait() -> None:
        try:
            cut.append(ask(server, f"{PATH}?wait_for_change=true")[0] == 503)
        except (OSError, http.client.HTTPException):
            cut.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: server.metadata.waiting)
    server.close()
    thread.join(30)
    assert cut == [True]
    assert set(threading.enumerate()) == before
