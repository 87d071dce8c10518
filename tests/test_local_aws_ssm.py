import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws_support import PATIENCE, cloud, group, launched, until
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.ssm import InvalidParameters, fill_in, scripts

DOCUMENT: Mapping[str, Any] = {
    "schemaVersion": "2.2",
    "parameters": {
        "Kind": {"type": "String", "allowedPattern": "^[a-z-]+$"},
        "Nodes": {"type": "String", "default": "all"},
        "Mode": {"type": "String", "default": "soft", "allowedValues": ["soft", "hard"]},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "notice",
            "inputs": {"timeoutSeconds": "20", "runCommand": ["echo {{ Kind }} {{Nodes}}", "exit 3 # {{ Other }}"]},
        }
    ],
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        made.client("ssm").create_document(Name="notice", DocumentType="Command", Content=json.dumps(DOCUMENT))
        yield made


def test_parameters_take_their_places() -> None:
    values = fill_in(DOCUMENT, {"Kind": ["drain"]})
    assert values == {"Kind": "drain", "Nodes": "all", "Mode": "soft"}
    assert scripts(DOCUMENT, values) == [("echo drain all\nexit 3 # {{ Other }}", 20.0)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Kind: was not given, and has no default"),
        ({"Kind": ["drain; rm -rf /"]}, "Kind: was 'drain; rm -rf /', expected a match of"),
        ({"Kind": ["drain"], "Mode": ["harder"]}, "Mode: was 'harder', expected one of soft, hard"),
        ({"Kind": ["drain"], "Else": ["x"]}, "Else: is no parameter of the document"),
    ],
)
def test_parameters_that_the_document_does_not_allow_are_refused(given: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InvalidParameters, match=words):
        fill_in(DOCUMENT, given)


def test_only_shell_scripts_can_be_run() -> None:
    with pytest.raises(NotImplementedError, match="step x: was aws:downloadContent, expected aws:runShellScript"):
        scripts({"mainSteps": [{"action": "aws:downloadContent", "name": "x"}]}, {})


def test_a_command_reaches_every_node_with_the_tag_and_no_other(aws: LocalAws) -> None:
    group(aws, "ours", 2)
    group(aws, "theirs", 1)
    ours, (theirs,) = launched(aws, "ours", 2), launched(aws, "theirs")
    target = {"Key": "tag:spotkeeper:fleet", "Values": ["fleet-ours"]}
    command = aws.client("ssm").send_command(
        DocumentName="notice", Targets=[target], Parameters={"Kind": ["drain"], "Nodes": ["i-1,i-2"]}
    )["Command"]
    assert command["DocumentName"] == "notice"
    for node in ours:
        delivered = until(aws, "ssm-delivered", node)
        assert delivered.detail == {
            "kind": "drain",
            "nodes": "i-1,i-2",
            "mode": "soft",
            "exit_code": 3,
            "output": "drain i-1,i-2\n",
        }
    aws.client("ssm").send_command(DocumentName="notice", InstanceIds=[theirs], Parameters={"Kind": ["named"]})
    assert until(aws, "ssm-delivered", theirs).detail["kind"] == "named"


def test_every_target_has_to_match(aws: LocalAws) -> None:
    group(aws, "both", 1)
    (node,) = launched(aws, "both")
    targets = [{"Key": "tag:spotkeeper:fleet", "Values": ["fleet-both"]}, {"Key": "tag:other", "Values": ["x"]}]
    send = aws.client("ssm").send_command
    send(DocumentName="notice", Targets=targets, Parameters={"Kind": ["not"]})
    send(DocumentName="notice", Targets=targets[:1], Parameters={"Kind": ["matching"]})
    assert until(aws, "ssm-delivered", node).detail["kind"] == "matching"


def test_nothing_is_delivered_to_a_node_that_is_gone(aws: LocalAws) -> None:
    group(aws, "gone", 1)
    (node,) = launched(aws, "gone")
    aws.client("ec2").terminate_instances(InstanceIds=[node])
    aws.client("ssm").send_command(DocumentName="notice", InstanceIds=[node], Parameters={"Kind": ["late"]})
    _, other = launched(aws, "gone", 2)
    aws.client("ssm").send_command(DocumentName="notice", InstanceIds=[other], Parameters={"Kind": ["there"]})
    aws.events.wait(lambda moment: moment.detail.get("kind") == "there", PATIENCE)
    assert not [m for m in aws.events.moments() if m.what == "ssm-delivered" and m.node == node]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"DocumentName": "unknown", "Parameters": {"Kind": ["drain"]}}, "InvalidDocument"),
        ({"DocumentName": "notice", "Parameters": {"Kind": ["Drain"]}}, "InvalidParameters"),
    ],
)
def test_a_wrong_command_is_refused_as_aws_does(aws: LocalAws, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        aws.client("ssm").send_command(InstanceIds=["i-0123456789abcdef0"], **asked)
    assert refused.value.response["Error"]["Code"] == code
