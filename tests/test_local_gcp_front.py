"""What every request meets before its service: it is counted by who makes it, and may meet a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_gcp_support import GROUPS
from spotkeeper_lab.local_gcp import LocalGcp
from spotkeeper_lab.local_gcp.callers import caller_of, node_of, token_of, token_of_node
from spotkeeper_ledger import ABSENT, Unavailable
from spotkeeper_ledger.gcs import GcsBoard
from test_local_gcp_server import QUICK, Client

BUCKET = "ledger"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalGcp]:
    with LocalGcp(tmp_path, QUICK) as made:
        made.buckets.add(BUCKET)
        yield made


def acting(cloud: LocalGcp, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment(caller).items():
        monkeypatch.setenv(name, value)


def test_a_token_says_who_calls() -> None:
    assert [caller_of(token) for token in ("", "x", token_of("lab"), "token-of-", token_of_node("n.1"))] == [
        "unknown", "unknown", "lab", "unknown", "agents",
    ]  # fmt: skip
    assert (node_of(token_of_node("n.1")), node_of(token_of("lab"))) == ("n.1", "")
    with pytest.raises(ValueError, match="caller: was 'A', expected"):
        token_of("A")


def test_the_board_and_obstore_are_the_same_caller_at_the_same_bucket(
    cloud: LocalGcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    from spotkeeper_training.places import open_documents

    acting(cloud, "lab", monkeypatch)
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT", raising=False)
    board, documents = GcsBoard(BUCKET, "run"), open_documents(f"gs://{BUCKET}/run", seconds=10)
    version = board.write("k", b"1", expect=ABSENT)
    found = documents.read("k")
    assert found is not None and (found.body, found.version) == (b"1", version)
    again = documents.write("k", b"2", expect=version)
    changed = board.read_changed("k", version)
    assert changed is not None and (changed.body, changed.version) == (b"2", again)
    assert [entry.key for entry in documents.list("")] == ["k"]
    assert cloud.objects(BUCKET, "run/") == {"run/k": b"2"}
    counted = cloud.calls.snapshot()
    assert counted == {"lab": {"storage.objects.insert": 2, "storage.objects.get": 2, "storage.objects.list": 1}}


def test_what_is_rehearsed_is_refused_in_each_services_way_and_counted(cloud: LocalGcp) -> None:
    client = Client(cloud.endpoint)
    cloud.call_faults.throttle(1.0, 600)
    ways: dict[str, set[tuple[int, str]]] = {}
    for path, service in ((f"{GROUPS}/g", "compute"), (f"/storage/v1/b/{BUCKET}/o", "storage")):
        for _ in range(20):
            status, answer = client.ask("GET", path, Authorization=f"Bearer {token_of('responder')}")
            ways.setdefault(service, set()).add((status, answer["error"]["errors"][0]["reason"]))
    assert ways["compute"] == {(403, "rateLimitExceeded"), (503, "backendError")}
    assert ways["storage"] == {(429, "rateLimitExceeded"), (503, "backendError")}
    assert client.ask("GET", f"/storage/v1/b/{BUCKET}/o", Authorization=f"Bearer {token_of('lab')}")[0] == 200
    counted = cloud.calls.snapshot()["responder"]
    assert counted == {"compute.regionInstanceGroupManagers.get": 20, "storage.objects.list": 20}


def test_a_bucket_in_the_dark_is_away_for_agents_until_it_is_light(
    cloud: LocalGcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(cloud, "agents", monkeypatch)
    board = GcsBoard(BUCKET, timeout=0.3)
    board.write("k", b"1", expect=ABSENT)
    cloud.call_faults.darken(BUCKET, 600)
    for _ in range(3):
        with pytest.raises(Unavailable):
            board.read("k")
    cloud.call_faults.close()
    assert GcsBoard(BUCKET, timeout=20).read("k") is not None
    told = {moment.what: moment.detail for moment in cloud.events.moments()}
    assert sum(told["fault-ended"][fare].get("agents", 0) for fare in ("hung", "refused")) >= 3


def test_what_is_no_service_is_not_there(cloud: LocalGcp) -> None:
    client = Client(cloud.endpoint)
    for verb, path in (("GET", "/compute/v1/nothing"), ("POST", "/v1/nothing"), ("GET", "/storage/v1/nothing")):
        status, answer = client.ask(verb, path)
        assert (status, answer["error"]["code"]) == (404, 404)
    assert cloud.calls.snapshot() == {"unknown": {"unknown": 3}}


def test_a_node_that_is_killed_twice_or_never_was(cloud: LocalGcp) -> None:
    cloud.kill("nobody.7")
    with pytest.raises(ValueError, match="name: was 'nobody', expected"):
        cloud.interrupt("nobody.7")
    with pytest.raises(RuntimeError, match="functions: were 0, expected one"):
        cloud.deploy_function()
    with pytest.raises(RuntimeError, match="push subscriptions: were 0, expected one"):
        cloud.send_raw("{")
    assert cloud.failures() == []
