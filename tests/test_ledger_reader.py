from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local_aws_support import cloud
from responder_support import spec
from spotkeeper_lab.ledger_reader import LedgerReader, heads, parse
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.stages.aws import head_versions
from spotkeeper_lab.stages.stage import CHECKPOINTS, HEAD_KEY
from spotkeeper_ledger import NodeReport, Progress, dump, keys
from spotkeeper_ledger.checkpoints import Head

SPEC = spec()
PROGRESS = Progress(SPEC.fleet, SPEC.incarnation, 3, "i-1", 7.0)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def s3(aws: LocalAws) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket="ledger")
    return client


def test_the_fleets_objects_are_read_and_no_call_is_counted(aws: LocalAws, s3: Any) -> None:
    reader = LedgerReader(aws, "ledger", SPEC.fleet)
    for key in (keys.spec(SPEC.fleet), keys.spec("another-fleet")):
        s3.put_object(Bucket="ledger", Key=key, Body=dump(SPEC))
    assert reader.documents() == {keys.spec(SPEC.fleet): dump(SPEC)}
    assert not {"GetObject", "ListObjectsV2", "ListObjects"} & set(aws.calls.snapshot()["lab"])
    larger = dump(replace(SPEC, target=9))
    s3.put_object(Bucket="ledger", Key=keys.spec(SPEC.fleet), Body=larger)
    assert reader.documents() == {keys.spec(SPEC.fleet): larger}


def test_a_node_is_not_believed_about_another_fleet_or_incarnation(aws: LocalAws, s3: Any) -> None:
    reader = LedgerReader(aws, "ledger", SPEC.fleet)
    s3.put_object(Bucket="ledger", Key=keys.spec(SPEC.fleet), Body=dump(SPEC))
    assert reader.from_node(Progress, dump(PROGRESS)) is None, "whose incarnation it is is not known yet"
    reader.documents()
    assert reader.from_node(Progress, dump(PROGRESS)) == PROGRESS
    for changed in ({"incarnation": "AROAOLD"}, {"fleet": "another-fleet"}):
        assert reader.from_node(Progress, dump(replace(PROGRESS, **changed))) is None
    assert reader.from_node(NodeReport, b"{") is None
    assert reader.from_node(NodeReport, None) is None
    s3.delete_object(Bucket="ledger", Key=keys.spec(SPEC.fleet))
    reader.documents()
    assert reader.from_node(Progress, dump(PROGRESS)) == PROGRESS, "a fleet that is being destroyed is still that fleet"


def test_every_head_there_ever_was_is_seen_in_its_order(s3: Any) -> None:
    s3.create_bucket(Bucket=CHECKPOINTS)
    s3.put_bucket_versioning(Bucket=CHECKPOINTS, VersioningConfiguration={"Status": "Enabled"})
    assert heads(head_versions(s3)) == []
    for generation in (1, 1, 2, 1, 3):
        s3.put_object(Bucket=CHECKPOINTS, Key=HEAD_KEY, Body=dump(Head(generation)))
    assert heads(head_versions(s3)) == [1, 1, 2, 1, 3]
    s3.put_object(Bucket=CHECKPOINTS, Key=HEAD_KEY, Body=b"no head")
    s3.delete_object(Bucket=CHECKPOINTS, Key=HEAD_KEY)
    assert heads(head_versions(s3)) == [1, 1, 2, 1, 3]


def test_what_cannot_be_read_is_nothing() -> None:
    assert parse(Head, None) is None
    assert parse(Head, b"[]") is None
    assert parse(Head, dump(Head(2))) == Head(2)
