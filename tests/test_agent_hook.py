from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from ledger_support import Answer, Asked, Server, answering
from spotkeeper_agent.hook import HookName, HookWatch, LifecycleHook
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.outbox import Outbox
from spotkeeper_ledger import Denied, Unavailable

OVER = (
    b"<Error><Code>ValidationError</Code><Message>No active Lifecycle Action found with instance ID</Message></Error>"
)
NAME = HookName("the-group", "the-hook", "i-1")


@pytest.fixture
def answers() -> list[Answer]:
    return []


@pytest.fixture
def scaling(answers: list[Answer], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with answering(lambda _: answers.pop(0) if answers else Answer(body=b"<ok/>")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield server


def fields(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(asked.body.decode()))


def test_calls_are_those_of_the_query_api(scaling: Server) -> None:
    hook = LifecycleHook(NAME, "eu-west-1")
    hook.heartbeat()
    hook.complete()
    named = {"AutoScalingGroupName": "the-group", "LifecycleHookName": "the-hook", "InstanceId": "i-1"}
    assert fields(scaling.asked[0]) == {"Action": "RecordLifecycleActionHeartbeat", "Version": "2011-01-01", **named}
    completed = {"Action": "CompleteLifecycleAction", "LifecycleActionResult": "CONTINUE", "Version": "2011-01-01"}
    assert fields(scaling.asked[1]) == {**completed, **named}
    for asked in scaling.asked:
        assert (asked.method, asked.path) == ("POST", "/")
        assert "/eu-west-1/autoscaling/aws4_request" in asked.headers["authorization"]
        assert asked.headers["content-type"].startswith("application/x-www-form-urlencoded")


def test_an_action_that_is_over_is_done(scaling: Server, answers: list[Answer]) -> None:
    answers.append(Answer(400, body=OVER))
    LifecycleHook(NAME, "eu-west-1").complete()
    assert len(scaling.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500, body=b"<Code>InternalFailure</Code>"), Unavailable),
        (Answer(400, body=b"<Code>Throttling</Code>"), Unavailable),
        (Answer(503), Unavailable),
        (Answer(403, body=b"<Code>AccessDenied</Code>"), Denied),
        (Answer(400, body=b"<Code>ValidationError</Code><Message>no such group</Message>"), Denied),
        (Answer(hang_up=True), Unavailable),
    ],
)
def test_what_failed_is_raised(scaling: Server, answers: list[Answer], answer: Answer, error: type[Exception]) -> None:
    answers.append(answer)
    with pytest.raises(error, match=r"CompleteLifecycleAction|POST"):
        LifecycleHook(NAME, "eu-west-1").complete()


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://autoscaling.eu-west-1.amazonaws.com"),
        ("cn-north-1", "https://autoscaling.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_without_an_endpoint_it_is_the_regions(monkeypatch: pytest.MonkeyPatch, region: str, host: str) -> None:
    for name in ("AWS_ENDPOINT_URL_AUTO_SCALING", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert LifecycleHook(NAME, region)._url == host


def at(seconds: float) -> Moment:
    return Moment(1000.0 + seconds, 50.0 + seconds)


LEAVING = Notice("i-1:leaving", "scale-in", "imds", 1000.0, at(0), deadline=at(100), deadline_heard=at(0))
WAITS = {"saved": False, "gone": False}


def actions(scaling: Server, outbox: Outbox) -> list[str]:
    assert outbox.flush(10)
    return [fields(asked)["Action"] for asked in scaling.asked]


@pytest.fixture
def outbox() -> Outbox:
    box = Outbox()
    box.start()
    return box


def test_a_hook_is_kept_waiting_and_then_completed_once(scaling: Server, outbox: Outbox) -> None:
    watch, hook = HookWatch(outbox, heartbeat_seconds=30), LifecycleHook(NAME, "eu-west-1")
    expected: list[str] = []
    for seconds, facts, called in [
        (0, WAITS, "RecordLifecycleActionHeartbeat"),
        (29, WAITS, None),
        (30, {"saved": True, "gone": False}, "RecordLifecycleActionHeartbeat"),
        (31, {"saved": False, "gone": True}, None),
        (32, {"saved": True, "gone": True}, "CompleteLifecycleAction"),
        (70, {"saved": True, "gone": True}, None),
        (99, {"saved": True, "gone": True}, None),
    ]:
        watch.turn(hook, LEAVING, now=at(seconds), **facts)
        expected += [called] if called else []
        assert actions(scaling, outbox) == expected


@pytest.mark.parametrize(
    ("seconds", "gone", "completed"), [(89, True, False), (91, True, True), (91, False, False), (96, False, True)]
)
def test_when_time_is_up_it_is_completed_all_the_same(
    scaling: Server, outbox: Outbox, seconds: float, gone: bool, completed: bool
) -> None:
    watch = HookWatch(outbox, heartbeat_seconds=1000)
    hook = LifecycleHook(NAME, "eu-west-1")
    watch.turn(hook, LEAVING, saved=False, gone=False, now=at(0))
    watch.turn(hook, LEAVING, saved=False, gone=gone, now=at(seconds))
    assert ("CompleteLifecycleAction" in actions(scaling, outbox)) is completed
