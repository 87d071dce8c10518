from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws_support import PATIENCE, cloud, function, until
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local.faults import Call, CallFaults
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.calls import access_key_id, secret_access_key
from spotkeeper_lab.local_aws.refusals import SERVICES, refuse


@pytest.fixture
def events() -> EventLog:
    return EventLog()


@pytest.fixture
def faults(events: EventLog) -> Iterator[CallFaults[Any]]:
    def failed(trace: str) -> None:
        raise AssertionError(trace)

    timers = Timers(failed)
    made = CallFaults(refuse, SERVICES, events, timers)
    yield made
    made.close()
    timers.close()


def call(operation: str = "GetObject", caller: str = "agents", service: str = "s3", path: str = "/ledger/k") -> Call:
    return Call(caller, service, operation, path)


def ended(events: EventLog) -> dict[str, object]:
    return dict(events.wait(lambda moment: moment.what == "fault-ended", PATIENCE).detail)


def fates(faults: CallFaults[Any], count: int, **of: str) -> list[int]:
    answers = [faults.meet(call(**of)) for _ in range(count)]
    return [answer.status_code if answer else 200 for answer in answers]


def test_nothing_goes_wrong_unless_it_is_asked_for(faults: CallFaults[Any], events: EventLog) -> None:
    assert fates(faults, 20) == [200] * 20
    assert not events.moments()


def test_a_share_of_the_calls_is_refused_half_of_it_with_an_internal_error(faults: CallFaults[Any]) -> None:
    faults.throttle(0.5, 600)
    answers = fates(faults, 1000)
    assert 440 < answers.count(200) < 560
    assert 190 < answers.count(503) < 310
    assert 190 < answers.count(500) < 310


def test_fates_are_the_same_in_every_run_and_do_not_depend_on_others(events: EventLog) -> None:
    runs = []
    for others in (0, 7):
        timers = Timers(lambda trace: None)
        faults = CallFaults(refuse, SERVICES, events, timers)
        faults.throttle(0.3, 600)
        answers = []
        for _ in range(60):
            fates(faults, others, caller="responder")
            answers += fates(faults, 1)
        runs.append(answers)
        timers.close()
    assert runs[0] == runs[1]


def test_only_what_is_rehearsed_is_refused_and_only_at_the_three_services(faults: CallFaults[Any]) -> None:
    faults.throttle(1.0, 600)
    assert fates(faults, 3, caller="lab") == fates(faults, 3, caller="pulumi") == [200] * 3
    assert fates(faults, 3, service="sqs") == [200] * 3
    for service in ("s3", "autoscaling", "ssm"):
        assert 200 not in fates(faults, 5, service=service)


def test_what_was_refused_is_told_by_caller_when_it_is_over(faults: CallFaults[Any], events: EventLog) -> None:
    faults.throttle(1.0, 0.05)
    (began,) = events.moments()
    assert began.detail == {"fault": 1, "kind": "throttle", "share": 1.0, "seconds": 0.05}
    refused = fates(faults, 4)
    assert ended(events) == {"fault": 1, "kind": "throttle", "calls": {"agents": 4}, "refused": {"agents": 4}}
    assert 200 not in refused
    assert fates(faults, 4) == [200] * 4


def test_in_the_dark_some_calls_hang_until_it_is_over_and_others_are_refused(
    faults: CallFaults[Any], events: EventLog
) -> None:
    faults.darken("ledger", 600)
    answers: list[int] = []
    callers = [
        threading.Thread(target=lambda n=n: answers.extend(fates(faults, 1, operation=f"Op{n}"))) for n in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(0.05)
    hanging = sum(caller.is_alive() for caller in callers)
    assert len(answers) + hanging == 20
    assert 3 < hanging < 17
    faults.close()
    for caller in callers:
        caller.join(PATIENCE)
    assert answers == [503] * 20, "a call that hung has not been done later"
    assert ended(events)["hung"] == {"agents": hanging}


def test_other_buckets_stay_in_the_light(faults: CallFaults[Any]) -> None:
    faults.darken("ledger", 600)
    for path in ("/checkpoints/k", "/ledger-of-another/k", "/", "/checkpoints"):
        assert fates(faults, 3, path=path) == [200] * 3
    assert fates(faults, 1, caller="lab") == [200]


def test_a_crash_waits_for_what_it_comes_after_and_happens_once(faults: CallFaults[Any], events: EventLog) -> None:
    killed: list[bool] = []
    faults.crash(lambda made: ["it"] if made.operation == "PutObject" else [], lambda: killed.append(True))

    def pass_by(operation: str, status: int = 200, caller: str = "responder") -> bool:
        made = call(operation, caller)
        if faults.meet(made) is not None:
            return False
        faults.answered(made, status)
        return True

    assert pass_by("GetObject")
    assert pass_by("PutObject", 412), "a write that is lost settles nothing"
    assert pass_by("PutObject", caller="agents"), "nor does another's"
    assert pass_by("PutObject")
    assert pass_by("GetObject", caller="agents"), "others are not stopped"
    assert not killed
    assert not pass_by("SendCommand")
    assert killed == [True]
    assert ended(events) == {
        "fault": 1, "kind": "crash", "settled": ("it",), "instead_of": "SendCommand /ledger/k",
    }  # fmt: skip
    assert pass_by("SendCommand"), "the next process is not killed"


def impatient(aws: LocalAws) -> Any:
    """Return a client of the product that tries everything once."""
    keys = {"aws_access_key_id": access_key_id("agents"), "aws_secret_access_key": secret_access_key("agents")}
    once = Config(retries={"total_max_attempts": 1})
    return boto3.client("s3", region_name=aws.region, endpoint_url=aws.endpoint, config=once, **keys)


def test_a_refused_call_counts_and_has_not_happened(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        aws.client("s3").create_bucket(Bucket="ledger")
        aws.call_faults.throttle(1.0, 600)
        with pytest.raises(ClientError, match=r"SlowDown|InternalError"):
            impatient(aws).put_object(Bucket="ledger", Key="k", Body=b"x")
        assert aws.calls.snapshot()["agents"] == {"PutObject": 1}
        assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="ledger")


def test_closing_the_cloud_does_not_wait_for_what_hangs(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        aws.client("s3").create_bucket(Bucket="ledger")
        aws.call_faults.darken("ledger", 3600)
        told: list[str] = []
        askers = [threading.Thread(target=_put, args=(impatient(aws), told)) for _ in range(8)]
        for asker in askers:
            asker.start()
        while sum(aws.calls.snapshot().get("agents", {}).values()) < len(askers):
            aws.client("s3").list_buckets()
        assert len(told) < len(askers), "some hang"
    for asker in askers:
        asker.join(PATIENCE)
    assert told == ["SlowDown"] * len(askers)


def _put(client: Any, told: list[str]) -> None:
    try:
        client.put_object(Bucket="ledger", Key="k", Body=b"")
    except ClientError as error:
        told.append(error.response["Error"]["Code"])


# Puts an object for each message, and says who did.
WRITER = """
import os, boto3
def handle(event, context):
    s3 = boto3.client("s3")
    for record in event["Records"]:
        s3.put_object(Bucket="ledger", Key="first", Body=record["body"].encode())
        s3.put_object(Bucket="ledger", Key=f"second-{os.getpid()}", Body=b"")
"""


def test_a_function_that_is_killed_gets_its_message_again_in_another_process(tmp_path: Path) -> None:
    with cloud(tmp_path, tick_seconds=3600, visibility_seconds=0.5) as aws:
        function(aws, WRITER, Timeout=30)
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="ledger")
        aws.deploy_function()
        aws.call_faults.crash(lambda made: [made.path] if made.operation == "PutObject" else [], aws.kill_function)
        aws.send_raw("hello")
        died = until(aws, "fault-ended")
        assert died.detail["settled"] == ("/ledger/first",)
        assert died.detail["instead_of"].startswith("PutObject /ledger/second-")
        handled = until(aws, "function-invoked")
        assert (handled.detail["batch"], handled.detail["repeated"]) == (1, 1)
        assert handled.at - died.at > 0.5
        first, second = (entry["Key"] for entry in s3.list_objects_v2(Bucket="ledger")["Contents"])
        assert first == "first"
        assert second != died.detail["instead_of"].rpartition("/")[2], "it was written by another process"
        assert not [moment for moment in aws.events.moments() if moment.what == "function-failed"]
