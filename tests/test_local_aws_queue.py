import json
from pathlib import Path
from typing import Any

import pytest

from local_aws_support import cloud, function, received, until
from spotkeeper_lab.local_aws.queue import failed

# Fails what is told to fail, all of it where a message says "raise"; prints what it got.
SOURCE = """
import json
def handle(event, context):
    bodies = [record["body"] for record in event["Records"]]
    print(json.dumps(bodies), flush=True)
    if "raise" in bodies:
        raise RuntimeError("told to")
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"] == '"bad"']}
"""


def batches(lines: list[str]) -> list[list[str]]:
    return [json.loads(line) for line in lines if line.startswith("[")]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{}]}, {"a", "b"}),
        ({"batchItemFailures": ["a"]}, {"a", "b"}),
        ("text", {"a", "b"}),
    ],
)
def test_what_failed_is_what_the_result_says(result: Any, expected: set[str]) -> None:
    assert failed(result, ["a", "b"]) == expected


def test_messages_that_fail_come_again_alone_and_end_in_the_dead_letter_queue(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        _, dead = function(aws, SOURCE)
        for body in ('"good"', '"bad"'):
            aws.send_raw(body)
        aws.deploy_function()
        assert received(aws, dead, 1) == ["bad"]
        assert aws.function is not None
        assert batches(aws.function.output()) == [['"good"', '"bad"'], ['"bad"']]
        invoked = [m.detail for m in aws.events.moments() if m.what == "function-invoked"]
        assert [(detail["batch"], detail["repeated"], detail["failed"]) for detail in invoked] == [(2, 0, 1), (1, 1, 1)]


def test_a_function_that_raises_gets_the_whole_batch_again(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, SOURCE, batch=2)
        for body in ("good", "raise"):
            aws.send_raw(body)
        aws.deploy_function()
        first = until(aws, "function-failed")
        again = until(aws, "function-failed", after=first.at)
        assert first.detail == {"batch": 2, "error": "RuntimeError: told to"}
        assert again.at - first.at >= 0.9  # the queue's visibility timeout is a second
        assert aws.function is not None
        delivered = [body for batch in batches(aws.function.output()) for body in batch]
        assert sorted(delivered) == ["good", "good", "raise", "raise"]


def test_how_long_a_message_is_hidden_can_be_said_for_the_whole_cloud(tmp_path: Path) -> None:
    with cloud(tmp_path, visibility_seconds=1.5) as aws:
        function(aws, SOURCE, batch=2)
        aws.send_raw("raise")
        aws.deploy_function()
        first = until(aws, "function-failed")
        assert until(aws, "function-failed", after=first.at).at - first.at >= 1.9  # whole seconds, rounded up


def test_messages_are_gathered_for_the_window(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, SOURCE, batch=12, window=1)
        aws.deploy_function()
        sent = aws.events.add("sent")
        for number in range(11):
            aws.send_raw(str(number))
        gathered = until(aws, "function-invoked")
        assert gathered.detail["batch"] == 11
        assert gathered.at - sent.at >= 0.99
        sent = aws.events.add("sent")
        for number in range(12):
            aws.send_raw(str(number))
        full = until(aws, "function-invoked", after=sent.at)
        assert full.detail["batch"] == 12


def test_a_batch_is_never_larger_than_the_mapping_allows(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, SOURCE, batch=3)
        for number in range(5):
            aws.send_raw(str(number))
        aws.deploy_function()
        first = until(aws, "function-invoked")
        until(aws, "function-invoked", after=first.at)
        assert aws.function is not None
        assert batches(aws.function.output()) == [["0", "1", "2"], ["3", "4"]]


def test_a_record_has_the_shape_that_lambda_gives_it(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, "import json\ndef handle(event, context): print(json.dumps(event), flush=True)")
        aws.send_raw("hello")
        aws.deploy_function()
        until(aws, "function-invoked")
        assert aws.function is not None
        (record,) = json.loads(aws.function.output()[0])["Records"]
        assert record["body"] == "hello"
        assert record["md5OfBody"] == "5d41402abc4b2a76b9719d911017c592"
        assert record["eventSource"] == "aws:sqs"
        assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:events"
        assert record["awsRegion"] == "us-east-1"
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert record["attributes"]["SentTimestamp"].isdecimal()
