"""What is published is written down once, and reaches those who have subscribed as it does in moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_aws_support import cloud, queue, received, until
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def test_what_is_published_is_written_down_once_and_delivered(aws: LocalAws) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    url, arn = queue(aws, "told")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    for number in (1, 2):
        sns.publish(TopicArn=topic, Subject=f"subject {number}", Message=f"text {number}")
    sns.publish(TopicArn=sns.create_topic(Name="other")["TopicArn"], Message="no subject")
    last = until(aws, "announced", text="no subject")
    told = [(m.detail["subject"], m.detail["text"]) for m in aws.events.moments() if m.what == "announced"]
    assert told == [("subject 1", "text 1"), ("subject 2", "text 2"), ("", "no subject")]
    assert last.node is None
    assert [body["Subject"] for body in received(aws, url, 2)] == ["subject 1", "subject 2"]
