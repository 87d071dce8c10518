"""The same for real: the code's own requests, signed with a role's credentials, at a moto that enforces its policy.

moto fills in no policy variable, so the test does, and it knows no condition on listing. It is asked about S3 only: for
other services it compares with no resource.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication
from moto.server import ThreadedMotoServer

from pulumi_support import Declared
from spotkeeper_ledger import ABSENT, ANY, Denied, keys
from spotkeeper_ledger.s3 import S3Board
from spotkeeper_training import CheckpointStore
from test_stack import run
from trust_support import FLEET, RESPONDER

NODE = "i-0123456789abcdef0"
REGION = "eu-west-1"
OTHER_FLEET = "spotkeeper-test-training-2"


@pytest.fixture(scope="module")
def declared() -> Declared:
    return run()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A moto with the bucket in it, which a test may tell to enforce policies; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    try:
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=60)  # what moto holds outlives its server
        boto3.Session().client("s3").create_bucket(
            Bucket=RESPONDER, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def become(monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any], session: str) -> str:
    """Take a role with this policy on, as EC2 (session: the instance's id) and Lambda do; return ``aws:userid``."""
    before = boto3.Session()
    iam, sts = before.client("iam"), before.client("sts")
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=json.dumps({"Statement": []}))["Role"]
    taken = sts.assume_role(RoleArn=role["Arn"], RoleSessionName=session)
    user: str = taken["AssumedRoleUser"]["AssumedRoleId"]
    text = json.dumps(policy).replace("${aws:userid}", user)
    iam.put_role_policy(RoleName="role", PolicyName="policy", PolicyDocument=text)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", taken["Credentials"]["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", taken["Credentials"]["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", taken["Credentials"]["SessionToken"])
    return user


def test_a_node_reaches_its_own_objects_and_no_other_ones(
    declared: Declared, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Board(RESPONDER).write(keys.spec(FLEET), b"spec", expect=ABSENT)
    S3Board(RESPONDER).write(keys.spec(OTHER_FLEET), b"spec", expect=ABSENT)
    me = become(monkeypatch, declared.policy("RolePolicy", "training-node"), session=NODE)
    assert me.endswith(f":{NODE}")
    with enable_iam_authentication():
        board = S3Board(RESPONDER)
        spec = board.read(keys.spec(FLEET))
        assert spec is not None
        for key in (
            keys.notice(FLEET, me),
            keys.report(FLEET, me),
            keys.log(FLEET, me),
            keys.generation(FLEET),
            keys.progress(FLEET),
        ):
            version = board.write(key, b"mine", expect=ABSENT)
            board.write(key, b"mine again", expect=version)
        other = keys.report(FLEET, me.replace(NODE, "i-0fedcba9876543210"))
        shared = [keys.spec(FLEET), keys.ledger(FLEET), keys.signals(FLEET), keys.MEMBERS, "agent/0.pyz", other]
        for key in [*shared, keys.generation(OTHER_FLEET), keys.report(OTHER_FLEET, me)]:
            with pytest.raises(Denied):
                board.write(key, b"forged", expect=ANY)
        with pytest.raises(Denied):
            board.write(keys.spec(FLEET), b"forged", expect=spec.version)
        with pytest.raises(Denied):
            board.delete(keys.spec(FLEET))
    assert S3Board(RESPONDER).read(keys.spec(FLEET)) == spec


def test_another_fleets_objects_cannot_be_read(declared: Declared, aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    S3Board(RESPONDER).write(keys.spec(OTHER_FLEET), b"spec", expect=ABSENT)
    become(monkeypatch, declared.policy("RolePolicy", "training-node"), session=NODE)
    with enable_iam_authentication(), pytest.raises(ClientError, match="AccessDenied"):
        boto3.Session().client("s3").get_object(Bucket=RESPONDER, Key=keys.spec(OTHER_FLEET))


def test_a_nodes_training_saves_and_resumes_with_what_the_node_may_do(
    declared: Declared, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.Session().client("s3").create_bucket(Bucket="saves", CreateBucketConfiguration={"LocationConstraint": REGION})
    become(monkeypatch, declared.policy("RolePolicy", "training-node"), session=NODE)
    with enable_iam_authentication():
        store = CheckpointStore("s3://saves/job", generation=1)
        store.begin()
        for step in range(1, 5):  # enough for old ones to be deleted
            store.publish(step, {"model": b"weights"})
        later = CheckpointStore("s3://saves/job", generation=2)
        later.begin()
        latest = later.latest()
        assert latest is not None
        assert later.load(latest).parts["model"] == b"weights"
        with pytest.raises(Denied):
            S3Board("saves", "other").write("head.json", b"{}", expect=ANY)


def test_the_function_writes_what_is_its_own_to_write(
    declared: Declared, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Board(RESPONDER).write(keys.spec(FLEET), b"spec", expect=ABSENT)
    become(monkeypatch, declared.policy("RolePolicy", "responder-function"), session="function")
    with enable_iam_authentication():
        board = S3Board(RESPONDER)
        assert list(board.list_folders(keys.FLEETS)) == [FLEET]
        assert board.read(keys.spec(FLEET)) is not None
        for key in (keys.ledger(FLEET), keys.signals(FLEET), keys.MEMBERS):
            board.write(key, b"decided", expect=ABSENT)
        for key in (keys.spec(FLEET), keys.generation(FLEET), keys.report(FLEET, f"AROA:{NODE}")):
            with pytest.raises(Denied):
                board.write(key, b"forged", expect=ANY)
