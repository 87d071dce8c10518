from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from spotkeeper_lab.local_aws.refusals import BROKEN, SERVICES, THROTTLED, refused

CALLS = {
    "s3": lambda client: client.get_object(Bucket="b", Key="k"),
    "autoscaling": lambda client: client.describe_auto_scaling_groups(),
    "ssm": lambda client: client.send_command(DocumentName="d"),
}


class Body:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self) -> Iterator[bytes]:
        yield self.content


def told(service: str, kind: str) -> ClientError:
    """Return what a boto3 client makes of a refusal."""
    client = boto3.client(
        service,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="s",
        config=boto3.session.Config(retries={"total_max_attempts": 1}),
    )

    def answer(request, **_):
        made = refused(service, kind)
        return AWSResponse(request.url, made.status_code, dict(made.headers), Body(made.get_data()))

    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError) as raised:
        CALLS[service](client)
    return raised.value


@pytest.mark.parametrize(
    ("service", "kind", "status", "code"),
    [
        ("s3", THROTTLED, 503, "SlowDown"),
        ("s3", BROKEN, 500, "InternalError"),
        ("autoscaling", THROTTLED, 400, "Throttling"),
        ("autoscaling", BROKEN, 500, "InternalFailure"),
        ("ssm", THROTTLED, 400, "ThrottlingException"),
        ("ssm", BROKEN, 500, "InternalServerError"),
    ],
)
def test_a_client_understands_every_refusal(service: str, kind: str, status: int, code: str) -> None:
    error = told(service, kind).response
    assert error["Error"]["Code"] == code
    assert error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("service", SERVICES)
def test_the_answer_to_head_has_no_body(service: str) -> None:
    assert refused(service, THROTTLED, "HEAD").get_data() == b""
