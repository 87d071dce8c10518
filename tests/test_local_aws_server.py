import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local_aws_support import PATIENCE, cloud, queue
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def test_operations_are_told_apart_in_every_protocol(aws: LocalAws) -> None:
    caller = "protocols"
    s3 = aws.client("s3", caller)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a key/with ünicode", Body=b"x")
    assert s3.get_object(Bucket="bucket", Key="a key/with ünicode")["Body"].read() == b"x"
    s3.list_objects_v2(Bucket="bucket")
    aws.client("autoscaling", caller).describe_auto_scaling_groups()
    aws.client("sqs", caller).create_queue(QueueName="protocols")
    aws.client("cloudwatch", caller).describe_alarms()
    aws.client("lambda", caller).list_functions()
    assert aws.calls.snapshot()[caller] == {
        "CreateBucket": 1,
        "PutObject": 1,
        "GetObject": 1,
        "ListObjectsV2": 1,
        "DescribeAutoScalingGroups": 1,
        "CreateQueue": 1,
        "DescribeAlarms": 1,
        "ListFunctions": 1,
    }


def test_refused_calls_count_as_well(aws: LocalAws) -> None:
    s3 = aws.client("s3", "refused")
    s3.create_bucket(Bucket="conditional")
    s3.put_object(Bucket="conditional", Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="conditional", Key="k", Body=b"2", IfNoneMatch="*")
    assert aws.calls.snapshot()["refused"]["PutObject"] == 2


def test_an_unsigned_request_is_nobodys(aws: LocalAws) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{aws.endpoint}/nothing/here", timeout=PATIENCE)
    assert sum(aws.calls.snapshot()["unknown"].values()) == 1


def test_waiting_for_messages_keeps_nobody_waiting(aws: LocalAws) -> None:
    url, _ = queue(aws, "waited-for")
    bodies: list[str] = []

    def wait() -> None:
        found = aws.client("sqs", "waiter").receive_message(QueueUrl=url, WaitTimeSeconds=20)
        bodies.extend(message["Body"] for message in found["Messages"])

    waiter = threading.Thread(target=wait)
    waiter.start()
    while "ReceiveMessage" not in aws.calls.snapshot().get("waiter", {}):
        aws.client("sqs").list_queues()
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="here")
    waiter.join(PATIENCE)
    assert bodies == ["here"]
