"""Compute Engine's API as a test writes its answers down: which failures pass, and which are for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from gcp_support import serving_gcp
from ledger_support import Answer, Asked, Server, answering
from spotkeeper_ledger import Unavailable
from spotkeeper_ledger.gce import MetadataServer
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_responder.gcp import Compute, ComputeError

GROUP = "spotkeeper-a-spot"
PATH = f"/compute/v1/projects/shop/regions/europe-west4/instanceGroupManagers/{GROUP}"


def error(status: int, reason: str, message: str = "said") -> Answer:
    told = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Answer(status, body=json.dumps({"error": told}).encode())


def answer(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode())


class Api:
    """What it answers next, and what it was asked."""

    def __init__(self) -> None:
        self.answers: Iterator[Answer] = iter(())
        self.left = 100.0
        self.paused: list[float] = []

    def __call__(self, _: Asked) -> Answer:
        return next(self.answers)

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.left -= seconds

    def compute(self, server: Server, tokens: TokenSource | None = None) -> Compute:
        return Compute(
            "shop", "europe-west4", tokens=tokens, time_left=lambda: self.left, url=server.url, pause=self.pause
        )


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def server(api: Api) -> Iterator[Server]:
    with answering(api) as served:
        yield served


def test_what_it_asks(api: Api, server: Server) -> None:
    api.answers = iter([answer({"targetSize": 3}), *[answer({"status": "RUNNING"})] * 3])
    compute = api.compute(server)
    assert compute.group(GROUP) == {"targetSize": 3}
    compute.resize(GROUP, 5)
    compute.delete_instances(GROUP, ["zones/a/instances/x"])
    compute.recreate_instances(GROUP, ["zones/a/instances/y"])
    asked = [urlsplit(each.path) for each in server.asked]
    assert [each.path for each in asked] == [
        PATH, f"{PATH}/resize", f"{PATH}/deleteInstances", f"{PATH}/recreateInstances"
    ]  # fmt: skip
    queries = [parse_qs(each.query) for each in asked]
    assert queries[1]["size"] == ["5"]
    ids = {query["requestId"][0] for query in queries[1:]}
    assert len(ids) == 3
    assert json.loads(server.asked[2].body)["instances"] == ["zones/a/instances/x"]
    assert compute.calls == 4


def test_every_page_is_listed(api: Api, server: Server) -> None:
    pages = [
        {"managedInstances": [{"id": "1"}, {"id": "2"}], "nextPageToken": "a b"},
        {"managedInstances": [{"id": "3"}]},
    ]
    api.answers = iter([answer(page) for page in pages])
    assert [each["id"] for each in api.compute(server).instances(GROUP)] == ["1", "2", "3"]
    queries = [parse_qs(urlsplit(each.path).query) for each in server.asked]
    assert queries == [{"maxResults": ["500"]}, {"maxResults": ["500"], "pageToken": ["a b"]}]


@pytest.mark.parametrize(
    "passing",
    [
        error(429, "rateLimitExceeded"),
        error(403, "rateLimitExceeded"),
        error(400, "resourceNotReady"),
        error(409, "operationInProgress"),
        error(500, "backendError"),
        Answer(503),
        Answer(hang_up=True),
    ],
)
def test_what_passes_is_tried_again_under_the_same_request_id(passing: Answer, api: Api, server: Server) -> None:
    api.answers = iter([passing, passing, answer({"status": "DONE"})])
    compute = api.compute(server)
    compute.resize(GROUP, 5)
    assert (compute.calls, len(api.paused)) == (3, 2)
    assert len({each.path for each in server.asked}) == 1, "asked three times, done once"


@pytest.mark.parametrize(
    ("final", "reason"),
    [
        (error(400, "invalid"), "invalid"),
        (error(403, "forbidden"), "forbidden"),
        (error(404, "notFound"), "notFound"),
        (error(412, "conditionNotMet"), "conditionNotMet"),
        (Answer(404, body=b"<html>"), ""),
        (answer({"status": "DONE", "error": {"errors": [{"code": "RESOURCE_NOT_FOUND"}]}}), "RESOURCE_NOT_FOUND"),
    ],
)
def test_what_does_not_pass_is_told_at_once(final: Answer, reason: str, api: Api, server: Server) -> None:
    api.answers = iter([final])
    with pytest.raises(ComputeError, match=f"POST shop/regions/.*{GROUP}/resize: status") as told:
        api.compute(server).resize(GROUP, 5)
    assert told.value.reason == reason
    assert api.paused == []


def test_a_group_that_is_not_there(api: Api, server: Server) -> None:
    api.answers = iter([error(404, "notFound")])
    assert api.compute(server).group(GROUP) is None


@pytest.mark.parametrize("kept", [lambda: Answer(503), lambda: Answer(hang_up=True), lambda: answer([])])
def test_it_gives_up_when_no_time_is_left(kept: Callable[[], Answer], api: Api, server: Server) -> None:
    api.left = 5.0
    api.answers = iter(kept, None)
    with pytest.raises((ComputeError, Unavailable)):
        api.compute(server).group(GROUP)
    assert 0 < api.left < 3
    assert len(api.paused) > 2


def test_it_asks_with_the_token_of_its_service_account(api: Api, server: Server) -> None:
    api.answers = iter([answer({})])
    with serving_gcp() as metadata:
        metadata.give_token("t")
        api.compute(server, TokenSource(MetadataServer(metadata.host))).group(GROUP)
    assert server.asked[0].headers["authorization"] == "Bearer t"
