import json
from collections.abc import Iterator

import pytest

from local_aws_support import cloud, group, launched
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.permissions import allowed
from spotkeeper_ledger import ANY, Denied
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.imds import InstanceMetadata
from spotkeeper_ledger.s3 import S3Board

ME = {"aws:userid": "AROA:i-1", "s3:prefix": "fleets/a/"}


def statement(effect: str = "Allow", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::b/nodes/${aws:userid}/*"], **more}


def may(key: str, *statements: dict[str, object], action: str = "s3:PutObject") -> bool:
    return allowed([{"Statement": list(statements)}], action, f"arn:aws:s3:::b/{key}", ME)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("nodes/AROA:i-1/notice.json", True),
        ("nodes/AROA:i-1/", True),
        ("nodes/AROA:i-2/notice.json", False),
        ("nodes/AROA:i-11/notice.json", False),
        ("nodes/AROA:i-1", False),
        ("other/nodes/AROA:i-1/notice.json", False),
    ],
)
def test_a_variable_names_the_caller(key: str, expected: bool) -> None:
    assert may(key, statement()) is expected


def test_nothing_is_allowed_that_is_not_said() -> None:
    assert not may("nodes/AROA:i-1/x")
    assert not may("nodes/AROA:i-1/x", statement(), action="s3:DeleteObject")
    assert not may("nodes/AROA:i-1/x", statement(), action="")


def test_a_denial_outweighs_every_allowance() -> None:
    assert not may("nodes/AROA:i-1/x", statement(), statement("Deny", Resource="arn:aws:s3:::b/*"))


def test_wildcards_are_those_of_policies() -> None:
    assert may("a[1]c", statement(Resource="arn:aws:s3:::b/a[1]?"))
    assert not may("a1c", statement(Resource="arn:aws:s3:::b/a[1]?"))


def test_a_listing_is_bound_to_its_prefix() -> None:
    wanted = {"StringLike": {"s3:prefix": ["fleets/a/*"]}}
    assert may("x", statement(Resource="*", Condition=wanted))
    assert not may("x", statement(Resource="*", Condition={"StringLike": {"s3:prefix": "fleets/b/*"}}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Resource": "arn:aws:s3:::${aws:username}"}, "was aws:username"),
        ({"Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, "was Bool of aws:SecureTransport"),
    ],
)
def test_what_is_not_known_is_never_guessed(changed: dict[str, object], said: str) -> None:
    with pytest.raises(NotImplementedError, match=said):
        may("x", statement(**changed))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def test_an_instance_may_do_what_its_role_says_and_nothing_else(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.client("s3").create_bucket(Bucket="bucket")
    iam = aws.client("iam")
    role = iam.create_role(RoleName="node", AssumeRolePolicyDocument="{}")["Role"]
    policy = {"Version": "2012-10-17", "Statement": [statement(Resource="arn:aws:s3:::bucket/nodes/${aws:userid}/*")]}
    iam.put_role_policy(RoleName="node", PolicyName="node", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName="node")
    iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
    tell = "echo $AWS_EC2_METADATA_SERVICE_ENDPOINT > $SPOTKEEPER_ROOT/metadata"
    group(aws, "roled", 1, user_data=tell, role="node")
    (node,) = launched(aws, "roled")
    metadata = InstanceMetadata((aws.nodes.node(node).dir / "metadata").read_text().strip())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    board = S3Board("bucket", region=aws.region, credentials=CredentialSource(metadata))
    assert board.write(f"nodes/{role['RoleId']}:{node}/notice.json", b"mine", expect=ANY)
    for key in (f"nodes/{role['RoleId']}:i-other/notice.json", "spec.json"):
        with pytest.raises(Denied, match="AccessDenied"):
            board.write(key, b"not mine", expect=ANY)
    keys = [entry["Key"] for entry in aws.client("s3").list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == [f"nodes/{role['RoleId']}:{node}/notice.json"]
