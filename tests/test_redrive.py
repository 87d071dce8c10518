"""Dead letters: looked through, put back, and never lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall_support import BUCKET, Ledger, Said, aws, client
from spotkeeper_lab.operations.account import NoCloud
from spotkeeper_lab.operations.aws import AwsAccount, AwsDeadLetters, kind_of
from spotkeeper_lab.operations.dead_letters import NOTICE, UNREADABLE, moved, taken

WARNING = json.dumps({"detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2", "detail": {}})
TICK = json.dumps({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}})
WRITTEN = json.dumps({"Records": [{"s3": {}}]})


@pytest.fixture(scope="module")
def account() -> Iterator[None]:
    with aws():
        yield


class Queues:
    """A responder's two queues."""

    def __init__(self, sqs: Any) -> None:
        self.sqs = sqs
        self.dead, self.live = (
            sqs.create_queue(QueueName=f"{BUCKET}-events{end}")["QueueUrl"] for end in ("-dead", "")
        )

    def close(self) -> None:
        for url in (self.dead, self.live):
            self.sqs.delete_queue(QueueUrl=url)

    def put(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.dead, MessageBody=body)

    def waiting(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages"]
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])

    def bodies(self, url: str) -> list[str]:
        found: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [message["Body"] for message in messages]
        return sorted(found)


@pytest.fixture
def queues(account: None) -> Iterator[Queues]:
    made = Queues(client("sqs"))
    yield made
    made.close()


def redrive(capsys: pytest.CaptureFixture[str], *arguments: str, bucket: str = BUCKET) -> Said:
    return Ledger(f"s3://{bucket}", capsys).run("redrive", *arguments)


def test_everything_is_shown_and_put_back(queues: Queues, capsys: pytest.CaptureFixture[str]) -> None:
    bodies = [WARNING] * 21 + [TICK, WRITTEN, "{"]
    queues.put(*bodies)
    said = redrive(capsys)
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["messages", "kind", "oldest"]
    assert lines[1][:6] == ["21", "EC2", "Spot", "Instance", "Interruption", "Warning"]
    assert {tuple(line[:2]) for line in lines[2:5]} == {("1", "Scheduled"), ("1", "notice"), ("1", "unreadable")}
    assert said.out.endswith(f"24 of 24 messages put back into {BUCKET}-events.\n")
    assert (queues.waiting(queues.dead), queues.bodies(queues.live)) == (0, sorted(bodies))


def test_a_dry_run_moves_nothing_and_keeps_nothing_from_others(
    queues: Queues, capsys: pytest.CaptureFixture[str]
) -> None:
    queues.put(WARNING, TICK)
    said = redrive(capsys, "--dry-run", "--json")
    assert json.loads(said.out) == {
        "queue": f"{BUCKET}-events-dead",
        "messages": 2,
        "kinds": {"EC2 Spot Instance Interruption Warning": 1, "Scheduled Event": 1},
        "moved": 0,
    }
    assert said.code == 0
    assert (queues.waiting(queues.dead), queues.waiting(queues.live)) == (2, 0)
    assert "put back" not in redrive(capsys, "--dry-run").out


def test_an_empty_queue_is_no_error(queues: Queues, capsys: pytest.CaptureFixture[str]) -> None:
    said = redrive(capsys)
    assert (said.code, said.out) == (0, f"{BUCKET}-events-dead is empty.\n")
    assert json.loads(redrive(capsys, "--json").out)["messages"] == 0


class Refusing:
    """SQS, in which the target does not take some messages, or nothing at all."""

    def __init__(self, sqs: Any, refused: str, *, broken: bool = False) -> None:
        self._sqs, self._refused, self._broken = sqs, refused, broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def send_message_batch(self, **request: Any) -> Any:
        if self._broken:
            raise self._sqs.exceptions.ClientError({"Error": {"Code": "Throttled", "Message": "no\nmore"}}, "Send")
        taken_ = [entry for entry in request["Entries"] if entry["MessageBody"] != self._refused]
        return self._sqs.send_message_batch(**{**request, "Entries": taken_}) if taken_ else {"Successful": []}


def test_what_is_not_taken_stays_where_it_was(queues: Queues) -> None:
    queues.put(WARNING, TICK, TICK)
    dead = AwsDeadLetters(Refusing(queues.sqs, TICK), BUCKET)  # type: ignore[arg-type]
    assert sum(moved(dead, taken(dead))) == 1
    assert queues.bodies(queues.live) == [WARNING]
    assert queues.bodies(queues.dead) == [TICK, TICK]


def test_what_is_not_taken_at_all_is_still_there(queues: Queues) -> None:
    queues.put(WARNING)
    dead = AwsDeadLetters(Refusing(queues.sqs, "", broken=True), BUCKET)  # type: ignore[arg-type]
    letters = taken(dead)
    with pytest.raises(NoCloud, match=r"Throttled.*no$"):
        list(moved(dead, letters))
    url = queues.dead
    queues.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letters[0].receipt, VisibilityTimeout=0)
    assert (queues.bodies(queues.live), queues.bodies(queues.dead)) == ([], [WARNING])


def test_not_all_moved_is_told_by_the_exit_code(
    queues: Queues, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.put(WARNING, TICK)
    monkeypatch.setattr(AwsAccount, "_client", lambda self, service, region=None: Refusing(queues.sqs, TICK))
    said = redrive(capsys)
    assert (said.code, said.out.splitlines()[-1]) == (1, f"1 of 2 messages put back into {BUCKET}-events.")
    assert queues.bodies(queues.dead) == [TICK]


def test_a_responder_without_queues_is_refused_in_one_line(account: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = redrive(capsys, bucket="another-ledger")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("spotkeeper redrive: queue another-ledger-events-dead in eu-west-1: ")


def test_a_ledger_in_a_folder_has_no_queues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = Ledger.in_folder(tmp_path, capsys).run("redrive")
    assert (said.code, said.err) == (2, "spotkeeper redrive: the ledger is in a folder, not in an account\n")


@pytest.mark.parametrize(
    ("body", "kind"),
    [(TICK, "Scheduled Event"), (WRITTEN, NOTICE), ("", UNREADABLE), ("[1]", UNREADABLE), ('{"a": 1}', UNREADABLE)],
)
def test_kinds(body: str, kind: str) -> None:
    assert kind_of(body) == kind


@given(st.text() | st.just("[" * 100_000))
def test_whatever_a_message_says_it_has_a_kind(body: str) -> None:
    assert kind_of(body)
