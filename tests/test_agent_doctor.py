"""What the doctor finds, and that each of its lines says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_support import FLEET, INCARNATION, PREFIX, Metadata, serving_metadata, write_config
from agent_support import Fleet as Home
from gcp_support import NUMBER, serving_gcp
from gcs_support import BUCKET, Storage, serving_storage
from ledger_support import Answer, Asked, answering
from spotkeeper_agent import cli, doctor
from spotkeeper_agent.config import load_config
from spotkeeper_agent.doctor import FAILED, OK, WARNING, Finding
from spotkeeper_ledger import FleetSpec, dump

SPEC = dump(FleetSpec(FLEET, INCARNATION, "aws", "eu-west-1", 2, 0, 2, "the-spot-group", "the-backup-group"))
NO_HOOK = b"<Error><Code>ValidationError</Code><Message>No active Lifecycle Action found</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"
RULE = b"""<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Rule><ID>a</ID><Filter><Prefix>other/</Prefix></Filter><Status>Enabled</Status>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><ID>b</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><ID>c</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""


class Account:
    """S3 and Auto Scaling as one node may use them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {f"/ledger/fleets/{FLEET}/spec.json": SPEC, "/saves/job/head.json": b"{}"}
        self.denied: set[str] = set()
        """``PUT /ledger/…`` or the name of an action; whatever starts with it is denied."""
        self.rules: bytes | None = RULE
        self.asked: list[str] = []
        self.down = False

    def answer(self, asked: Asked) -> Answer:
        if self.down:
            return Answer(400)
        name = f"{asked.method} {asked.path}"
        if asked.body.startswith(b"Action="):
            name = dict(field.split("=") for field in asked.body.decode().split("&"))["Action"]
            assert b"LifecycleHookName=spotkeeper-doctor" in asked.body, "never the real hook"
        elif asked.method == "PUT":
            assert asked.headers["if-match"] == '"spotkeeper-doctor"', "never written"
        self.asked.append(name)
        if any(name.startswith(each) for each in self.denied):
            return Answer(403, body=DENIED)
        if asked.path == "/saves?lifecycle=":
            return Answer(404) if self.rules is None else Answer(body=self.rules)
        if asked.method == "PUT":
            return Answer(412)
        if asked.method == "POST":
            return Answer(400, body=NO_HOOK)
        body = self.objects.get(asked.path)
        if asked.path.startswith("/ledger?") or asked.path.startswith("/saves?"):
            return Answer(body=b"<ListBucketResult></ListBucketResult>")
        return Answer(404) if body is None else Answer(200, {"ETag": '"1"'}, body)


@dataclass
class Node:
    account: Account
    metadata: Metadata
    folder: Path

    def examine(self, **changes: object) -> Mapping[str, Finding]:
        uris = {"ledger": "s3://ledger", "checkpoint_uri": "s3://saves/job"}
        path = write_config(self.folder, Home(self.folder), command="train", **{**uris, **changes})
        return {each.name: each for each in doctor.examine(load_config(path))}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    account = Account()
    with answering(account.answer) as server, serving_metadata("i-1") as metadata:
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_AUTO_SCALING"):
            monkeypatch.setenv(name, server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        yield Node(account, metadata, tmp_path)


def states(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name: each.state for name, each in found.items()}


ALL_WELL = {
    "run directory": WARNING,  # no agent runs
    "metadata server": OK,
    "ledger": OK,
    "own documents": OK,
    "checkpoints": OK,
    "incomplete uploads": OK,
    "lifecycle action": OK,
}


def test_a_node_that_can_do_everything(node: Node) -> None:
    found = node.examine()
    assert states(found) == ALL_WELL
    assert "i-1, spot, in eu-west-1b" in found["metadata server"].found
    assert "removed after 7 days" in found["incomplete uploads"].found
    assert "the-spot-group" in found["lifecycle action"].found
    writes = [name for name in node.account.asked if name.startswith("PUT")]
    own = f"PUT /ledger/fleets/{FLEET}/nodes/{PREFIX}i-1/".replace(":", "%3A")
    assert {f"{own}{name}" for name in ("notice.json", "report.json", "log.txt")} <= set(writes)
    assert not (node.folder / "run" / ".doctor").exists()


@pytest.mark.parametrize(
    ("denied", "name", "todo"),
    [
        ("GET /ledger", "ledger", "s3:GetObject on s3://ledger"),
        ("PUT /ledger", "own documents", "s3:PutObject"),
        ("GET /saves", "checkpoints", "s3:GetObject and s3:ListBucket on s3://saves/job"),
        ("PUT /saves", "checkpoints", "s3:PutObject"),
        ("CompleteLifecycleAction", "lifecycle action", "autoscaling:CompleteLifecycleAction on group the-spot-group"),
    ],
)
def test_a_right_that_is_missing_is_named(node: Node, denied: str, name: str, todo: str) -> None:
    node.account.denied = {denied}
    found = node.examine()
    assert found[name].state == FAILED
    assert todo in found[name].do


def test_rules_for_incomplete_uploads(node: Node) -> None:
    node.account.rules = None
    found = node.examine()["incomplete uploads"]
    assert (found.state, "AbortIncompleteMultipartUpload" in found.do) == (WARNING, True)
    node.account.rules = RULE.replace(b"<Prefix></Prefix>", b"<Prefix>archive/</Prefix>")
    assert node.examine()["incomplete uploads"].state == WARNING
    node.account.rules = RULE
    node.account.denied = {"GET /saves?lifecycle"}
    found = node.examine()["incomplete uploads"]
    assert found.state == WARNING
    assert "s3:GetLifecycleConfiguration" in found.found
    assert node.examine(checkpoint_uri=f"file://{node.folder}/saves")["incomplete uploads"].state == OK


def test_without_a_name_the_rest_is_looked_at_all_the_same(node: Node) -> None:
    node.metadata.faults["instance-id"] = 500
    found = states(node.examine())
    assert found["metadata server"] == FAILED
    assert found["lifecycle action"] == found["own documents"] == WARNING
    assert found["ledger"] == found["checkpoints"] == OK


def test_a_fleet_that_is_not_there_or_not_ours(node: Node) -> None:
    assert "end it" in node.examine(incarnation="AROAOLD")["ledger"].do
    node.account.objects.clear()
    found = node.examine()
    assert (found["ledger"].state, found["ledger"].do) == (FAILED, "deploy the fleet, or check `fleet`")
    assert found["lifecycle action"].state == WARNING


def test_a_cloud_that_answers_nonsense_is_a_finding_and_no_crash(node: Node) -> None:
    node.account.down = True
    found = node.examine()
    assert found["ledger"].state == FAILED
    assert all(each.do for each in found.values() if each.state != OK)
    node.account.down = False
    node.account.objects[f"/ledger/fleets/{FLEET}/spec.json"] = b"rubbish"
    assert node.examine()["ledger"].state == FAILED


def test_a_run_directory_that_cannot_be_made(node: Node) -> None:
    (node.folder / "file").write_text("")
    found = node.examine(run_dir=str(node.folder / "file" / "run"))["run directory"]
    assert (found.state, "mount it" in found.do) == (FAILED, True)


def test_a_machine_of_googles(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage()
    with serving_gcp("node-1") as metadata, serving_storage(storage) as url:
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        without = node.examine(cloud="gcp", checkpoint_uri=f"gs://{BUCKET}/job")["checkpoints"]
        assert (without.state, "storage.objects.get" in without.do) == (FAILED, True), "it has no service account"
        metadata.give_token("t")
        found = node.examine(cloud="gcp", checkpoint_uri=f"gs://{BUCKET}/job")
        assert f"node-1.{NUMBER}, spot, in europe-west4-b" in found["metadata server"].found
        assert found["lifecycle action"].state == OK
        assert (found["checkpoints"].state, "no checkpoint yet" in found["checkpoints"].found) == (OK, True)
        assert storage.objects == {}, "a right to write is tried without writing"
        assert found["incomplete uploads"].state == OK
        metadata.fail(503)
        found = node.examine(cloud="gcp")
        assert found["metadata server"].state == FAILED
        assert "169.254.169.254" in found["metadata server"].do


def test_a_machine_of_ones_own(node: Node, tmp_path: Path) -> None:
    places = {"ledger": f"file://{tmp_path}/ledger", "checkpoint_uri": f"file://{tmp_path}/saves"}
    node.metadata.faults["instance-id"] = 500
    found = node.examine(cloud="local", region="", node_name="mine", **places)
    assert states(found) == ALL_WELL
    assert "none is needed, this is mine at 127.0.0.1" in found["metadata server"].found
    assert "needs no spec" in found["ledger"].found
    assert found["lifecycle action"].found == "nobody waits for this node"
    assert node.account.asked == []


def test_the_command_prints_a_line_for_each_and_its_code_tells_the_worst(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.examine()
    config = str(node.folder / "agent.json")
    assert cli.main(["doctor", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "ok       ledger: s3://ledger: fleet vision-test-resnet, 2 nodes" in said
    assert "warning  run directory:" in said
    assert "         -> start the agent: run" in said
    node.account.denied = {"PUT /ledger"}
    assert cli.main(["doctor", "--config", config, "--json"]) == 1
    told = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert told["own documents"]["state"] == "failed"
    assert set(told["own documents"]) == {"name", "state", "found", "do"}
    assert cli.main(["doctor", "--config", str(node.folder / "none.json")]) == 2
    assert os.environ["AWS_ACCESS_KEY_ID"] not in said
