"""The function as it is shipped: its own archive, in a process of its own, against AWS as moto has it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

import spotkeeper_ledger
import spotkeeper_responder
from responder_support import spec
from spotkeeper.archives import function_sources
from spotkeeper_ledger import (
    DeadlineSpec,
    FleetLedger,
    FleetSpec,
    Members,
    NodeNotice,
    SignalBoard,
    dump,
    keys,
    load,
    notice_id,
)
from spotkeeper_responder.aws import handler

LEDGER = "spotkeeper-123456789012-us-east-1"
PACKAGES = (spotkeeper_ledger, spotkeeper_responder)
DRIVER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from spotkeeper_responder.aws import handler
assert handler.__file__.startswith(sys.argv[1]), handler.__file__

class Context:
    def __init__(self, milliseconds):
        self.milliseconds = milliseconds
    def get_remaining_time_in_millis(self):
        return self.milliseconds

for line in sys.stdin:
    asked = json.loads(line)
    os.environ["SPOTKEEPER_LEDGER"] = asked["ledger"]
    print("RESULT " + json.dumps(handler.handle(asked["event"], Context(asked["milliseconds"]))), flush=True)
"""


def archive() -> bytes:
    """The function's archive, as it is deployed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in function_sources("aws").items():
            made.writestr(name, text)
    return buffer.getvalue()


@dataclass(frozen=True)
class Answer:
    """What an invocation returned and wrote."""

    failed: set[str]
    lines: list[dict[str, Any]]

    def logged(self, level: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("level") == level]


class Function:
    """A process in which the handler runs, as Lambda keeps one warm."""

    def __init__(self, code: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", DRIVER, str(code)],
            env={**environment, "SPOTKEEPER_DOCUMENT": f"{LEDGER}-notice", "SPOTKEEPER_TOPIC_ARN": "arn"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, *bodies: Any, ledger: str = LEDGER, milliseconds: int = 15_000) -> None:
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        records = [{"messageId": f"m{n}", "body": text, "eventSource": "aws:sqs"} for n, text in enumerate(texts)]
        asked = {"event": {"Records": records}, "ledger": f"s3://{ledger}", "milliseconds": milliseconds}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()

    def end(self) -> Answer:
        assert self.process.stdout is not None
        lines: list[dict[str, Any]] = []
        for line in self.process.stdout:
            if line.startswith("RESULT "):
                result = json.loads(line.removeprefix("RESULT "))
                return Answer({failure["itemIdentifier"] for failure in result["batchItemFailures"]}, lines)
            lines.append(json.loads(line))
        raise AssertionError("the function's process has ended")

    def __call__(self, *bodies: Any, **options: Any) -> Answer:
        self.begin(*bodies, **options)
        return self.end()

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def environment() -> Iterator[Mapping[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield {**values, "PATH": os.environ["PATH"]}
    server.stop()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("function")
    with zipfile.ZipFile(io.BytesIO(archive())) as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def function(code: Path, environment: Mapping[str, str]) -> Iterator[Function]:
    made = Function(code, environment)
    yield made
    made.stop()


class Account:
    """An account with a ledger and room for fleets."""

    def __init__(self) -> None:
        self.s3, self.autoscaling, self.ssm = (boto3.client(name) for name in ("s3", "autoscaling", "ssm"))
        ec2 = boto3.client("ec2")
        data: Any = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}  # one that moto knows
        made = ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"]
        self.template, self.subnet = made["LaunchTemplateId"], ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.s3.create_bucket(Bucket=LEDGER)
        content = {
            "schemaVersion": "2.2",
            "description": "d",
            "parameters": {name: {"type": "String"} for name in ("Fleet", "Kind", "Deadline", "Nodes")},
            "mainSteps": [{"action": "aws:runShellScript", "name": "n", "inputs": {"runCommand": ["true"]}}],
        }
        self.ssm.create_document(Name=f"{LEDGER}-notice", DocumentType="Command", Content=json.dumps(content))

    def fleet(self, name: str, *, responder: str = LEDGER, deadline: DeadlineSpec | None = None) -> FleetSpec:
        """Make a fleet of three spot nodes."""
        wanted = spec(
            "mirror" if deadline is None else "deadline",
            fleet=name,
            target=3,
            spot_group=f"spotkeeper-{name}-spot",
            backup_group=f"spotkeeper-{name}-backup",
            deadline=deadline,
        )
        for group, size in ((wanted.spot_group, 3), (wanted.backup_group, 0)):
            self.autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=group,
                MinSize=0,
                MaxSize=6,
                DesiredCapacity=size,
                VPCZoneIdentifier=self.subnet,
                NewInstancesProtectedFromScaleIn=True,
                LaunchTemplate={"LaunchTemplateId": self.template, "Version": "1"},
                Tags=[
                    {"Key": "spotkeeper:responder", "Value": responder, "PropagateAtLaunch": True},
                    {"Key": "spotkeeper:fleet", "Value": name, "PropagateAtLaunch": True},
                ],
            )
        if responder == LEDGER:
            self.put(keys.spec(name), wanted)
        return wanted

    def put(self, key: str, document: Any) -> None:
        self.s3.put_object(Bucket=LEDGER, Key=key, Body=dump(document))

    def get(self, kind: type[Any], key: str) -> Any:
        return load(kind, self.s3.get_object(Bucket=LEDGER, Key=key)["Body"].read())

    def nodes(self, group: str) -> list[str]:
        (found,) = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        return sorted(i["InstanceId"] for i in found["Instances"])

    def size(self, group: str) -> int:
        (found,) = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        return found["DesiredCapacity"]

    def commands(self, fleet: str) -> list[dict[str, list[str]]]:
        return [c["Parameters"] for c in self.ssm.list_commands()["Commands"] if c["Parameters"]["Fleet"] == [fleet]]


@pytest.fixture(scope="module")
def account(environment: Mapping[str, str]) -> Account:
    return Account()


def event(source: str, detail_type: str, **detail: str) -> dict[str, Any]:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": "1", "source": source, "detail-type": detail_type, "time": stamp, "detail": detail}


def warning(node: str) -> dict[str, Any]:
    return event("aws.ec2", "EC2 Spot Instance Interruption Warning", **{"instance-id": node})


TICK = event("aws.events", "Scheduled Event")


def written(key: str) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}]}


def test_the_archive_is_small_and_holds_nothing_but_code() -> None:
    packed = archive()
    assert len(packed) < 100_000
    with zipfile.ZipFile(io.BytesIO(packed)) as made:
        names = made.namelist()
    assert "spotkeeper_responder/aws/handler.py" in names
    for package in PACKAGES:
        folder = Path(str(package.__file__)).parent
        others = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".py"]
        assert [p.name for p in others] == ["py.typed"]


def test_it_needs_nothing_but_the_standard_library_and_what_the_runtime_has(code: Path) -> None:
    loaded = "import sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    load = f"import sys; sys.path.insert(0, {str(code)!r}); import spotkeeper_responder.aws.handler; {loaded}"
    all_of_it, at_every_start = (
        {*subprocess.run([sys.executable, "-I", "-c", each], capture_output=True, text=True, check=True).stdout.split()}
        for each in (load, loaded)
    )
    ours = {"spotkeeper_responder", "spotkeeper_ledger", "__mp_main__"}
    runtimes = {"boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six"}
    optional = {"awscrt", "brotli", "certifi", "socks", "zstandard"}  # what urllib3 and botocore try for
    assert all_of_it - at_every_start - ours - runtimes - optional <= {*sys.stdlib_module_names}


def test_a_storm_in_a_batch_with_noise(account: Account, function: Function) -> None:
    fleet = account.fleet("storm")
    assert function(TICK).failed == set()
    first, second, third = account.nodes(fleet.spot_group)
    known = account.get(Members, keys.MEMBERS).nodes
    assert [known[node] for node in (first, second, third)] == ["storm"] * 3
    noise = [warning("i-0fffffffffffffff0"), "nonsense", {**TICK, "detail": 3}]
    answer = function(warning(first), *noise, warning(second), warning(first), warning(first))
    assert answer.failed == set()
    assert account.size(fleet.backup_group) == 2
    assert sorted(n for c in account.commands("storm") for n in c["Nodes"][0].split(",")) == sorted([first, second])
    assert {s.node for s in account.get(SignalBoard, keys.signals("storm")).signals} == {first, second}
    ledger = account.get(FleetLedger, keys.ledger("storm"))
    assert {n: r.stage for n, r in ledger.notices.items()} == {first: "signalled", second: "signalled"}
    assert [(line["message"], line["message_id"]) for line in answer.logged("ERROR")] == [
        ("malformed event", "m2"),
        ("malformed event", "m3"),
    ]
    (measured,) = [line for line in answer.lines if line.get("Fleet") == "storm"]
    assert (measured["Notices"], measured["BackupSize"], measured["Responder"]) == (4, 2, LEDGER)
    assert len(measured["SecondsToSignal"]) == 2


def test_only_the_messages_of_the_fleet_that_failed_come_again(account: Account, function: Function) -> None:
    good, bad = account.fleet("good"), account.fleet("bad")
    function(TICK)
    doomed = account.nodes(good.spot_group)[0], account.nodes(bad.spot_group)[0]
    account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=bad.backup_group, ForceDelete=True)
    answer = function(warning(doomed[1]), warning(doomed[0]))
    assert answer.failed == {"m0"}
    assert account.size(good.backup_group) == 1
    assert account.commands("bad")  # told all the same
    (line,) = [line for line in answer.logged("ERROR") if line["message"] == "a fleet was not served"]
    assert line["fleet"] == "bad"
    assert "no Auto Scaling group spotkeeper-bad-backup" in line["error"]
    account.s3.delete_object(Bucket=LEDGER, Key=keys.spec("bad"))


def test_what_a_node_has_written_is_heard(account: Account, function: Function) -> None:
    fleet = account.fleet("written")
    function(TICK)
    doomed = account.nodes(fleet.spot_group)[0]
    key = keys.notice("written", fleet.node_prefix + doomed)
    ident = notice_id(doomed, "interruption")
    now = datetime.now(UTC).timestamp()
    account.put(key, NodeNotice("written", fleet.incarnation, doomed, ident, "interruption", now))
    assert function(written(key.replace(":", "%3A"))).failed == set()
    assert account.size(fleet.backup_group) == 1
    assert account.commands("written")[0]["Nodes"] == [doomed]


def test_a_launch_and_an_end_by_event(account: Account, function: Function) -> None:
    fleet = account.fleet("events")
    function(TICK)
    gone, *_ = account.nodes(fleet.spot_group)
    account.autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=gone, ShouldDecrementDesiredCapacity=False)
    (new,) = {*account.nodes(fleet.spot_group)} - {*account.get(Members, keys.MEMBERS).nodes}
    group = {"AutoScalingGroupName": fleet.spot_group}
    launched = event("aws.autoscaling", "EC2 Instance Launch Successful", EC2InstanceId=new, **group)
    ended = event("aws.autoscaling", "EC2 Instance Terminate Successful", EC2InstanceId=gone, **group)
    assert function(launched, ended).failed == set()
    assert account.get(Members, keys.MEMBERS).nodes[new] == "events"


def test_prices_that_were_read_for_one_fleet_are_told_another_with_their_age(
    account: Account, function: Function
) -> None:
    terms = DeadlineSpec(on_demand_price=3.0, hours=9.0, node_types=("t3.micro",))
    first = account.fleet("priced", deadline=terms)
    function(TICK)
    second = account.fleet("priced-too", deadline=terms)
    function(TICK)
    told, later = (account.get(FleetLedger, keys.ledger(fleet.fleet)).account for fleet in (first, second))
    assert told.price == later.price
    assert told.price.at <= told.since < later.since


def test_a_ledger_that_is_away_lets_the_signal_out_and_touches_no_size(account: Account, function: Function) -> None:
    fleet = account.fleet("away", responder="spotkeeper-no-such-bucket")
    doomed = account.nodes(fleet.spot_group)[0]
    answer = function(warning(doomed), ledger="spotkeeper-no-such-bucket")
    assert answer.failed == {"m0"}
    (command,) = account.commands("away")
    assert (command["Kind"], command["Nodes"]) == (["interruption"], [doomed])
    assert account.size(fleet.backup_group) == 0


def test_without_time_left_everything_comes_again(account: Account, function: Function) -> None:
    fleet = account.fleet("late")
    function(TICK)
    doomed = account.nodes(fleet.spot_group)[0]
    assert function(warning(doomed), milliseconds=1000).failed == {"m0"}
    assert not account.commands("late")


def test_two_that_race_end_in_agreement(
    account: Account, function: Function, code: Path, environment: Mapping[str, str]
) -> None:
    fleet = account.fleet("race")
    function(TICK)
    nodes = account.nodes(fleet.spot_group)
    other = Function(code, environment)
    try:
        for first, second in ((nodes[0], nodes[0]), (nodes[0], nodes[1]), (nodes[2], nodes[1])):
            function.begin(warning(first))
            other.begin(warning(second))
            assert [each.end().failed for each in (function, other)] == [set(), set()]
    finally:
        other.stop()
    ledger = account.get(FleetLedger, keys.ledger("race"))
    assert account.size(fleet.backup_group) == ledger.backup_desired == 3
    assert sorted(n for c in account.commands("race") for n in c["Nodes"][0].split(",")) == nodes
    assert {s.node for s in account.get(SignalBoard, keys.signals("race")).signals} == {*nodes}


def test_the_source_does_as_the_archive_does(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPOTKEEPER_LEDGER", f"s3://{LEDGER}")
    monkeypatch.setenv("SPOTKEEPER_DOCUMENT", f"{LEDGER}-notice")
    monkeypatch.setenv("SPOTKEEPER_TOPIC_ARN", "arn")
    fleet = account.fleet("source")

    def handle(*bodies: Any) -> Any:
        records = [{"messageId": f"m{n}", "body": json.dumps(body)} for n, body in enumerate(bodies)]
        return handler.handle({"Records": records}, SimpleNamespace(get_remaining_time_in_millis=lambda: 15_000))

    assert handle(TICK) == {"batchItemFailures": []}
    capsys.readouterr()
    doomed = account.nodes(fleet.spot_group)[0]
    assert handle(warning(doomed), ["nonsense"]) == {"batchItemFailures": []}
    assert account.size(fleet.backup_group) == 1
    refused, measured = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (refused["level"], refused["message_id"]) == ("ERROR", "m1")
    assert measured["Fleet"] == "source"


def test_a_fleet_that_is_nobodys_gets_no_ledger(account: Account, function: Function) -> None:
    group = {"AutoScalingGroupName": "spotkeeper-somebodys-spot"}
    launched = event("aws.autoscaling", "EC2 Instance Launch Successful", EC2InstanceId="i-0123456789abcdef0", **group)
    assert function(launched).failed == set()
    with pytest.raises(ClientError, match="NoSuchKey"):
        account.get(FleetLedger, keys.ledger("somebodys"))
