from collections.abc import Iterator

import pytest

from local_aws_support import cloud, group, launched, queue, received, until
from spotkeeper_lab.local_aws import LocalAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def warnings(aws: LocalAws) -> str:
    url, arn = queue(aws, "warnings")
    aws.client("events").put_rule(Name="ec2", EventPattern='{"source": ["aws.ec2"]}')
    aws.client("events").put_targets(Rule="ec2", Targets=[{"Id": "1", "Arn": arn}])
    return url


def test_an_interrupted_node_is_told_then_taken_back_then_replaced(aws: LocalAws, warnings: str) -> None:
    group(aws, "interrupted", 1)
    (node,) = launched(aws, "interrupted")
    aws.interrupt(node)
    (event,) = received(aws, warnings, 1)
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"] == {"instance-id": node, "instance-action": "terminate"}
    assert event["resources"] == [f"arn:aws:ec2:us-east-1a:instance/{node}"]
    told = until(aws, "notice-injected", node)
    reclaimed = until(aws, "reclaimed", node)
    assert told.detail["kind"] == "interruption"
    assert reclaimed.at >= told.detail["deadline"] >= told.at + 0.59
    assert node not in [one.id for one in aws.nodes.running()]
    (reservation,) = aws.client("ec2").describe_instances(InstanceIds=[node])["Reservations"]
    assert reservation["Instances"][0]["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    _, replacement = launched(aws, "interrupted", 2)
    assert until(aws, "instance-launched", replacement).at - reclaimed.at >= 0.29


def test_the_node_hears_it_from_its_own_metadata(aws: LocalAws) -> None:
    group(aws, "hears", 1)
    (node,) = launched(aws, "hears")
    metadata = aws.nodes.metadata(node)
    assert metadata.get("spot/instance-action") is None
    aws.interrupt(node, warn=False)
    assert '"action": "terminate"' in str(metadata.get("spot/instance-action"))
    until(aws, "reclaimed", node)
    assert not [m for m in aws.events.moments() if m.node == node and m.what == "warning-sent"]


def test_a_recommendation_takes_nothing_back(aws: LocalAws, warnings: str) -> None:
    group(aws, "recommended", 1)
    (node,) = launched(aws, "recommended")
    aws.rebalance(node)
    (event,) = received(aws, warnings, 1)
    assert event["detail-type"] == "EC2 Instance Rebalance Recommendation"
    assert event["detail"] == {"instance-id": node}
    assert '"noticeTime": ' in str(aws.nodes.metadata(node).get("events/recommendations/rebalance"))
    assert until(aws, "notice-injected", node).detail["kind"] == "rebalance"


def test_a_node_that_has_gone_by_itself_is_not_taken_back(aws: LocalAws) -> None:
    group(aws, "gone-first", 1, hook_seconds=0)
    group(aws, "later", 1)
    gone, later = *launched(aws, "gone-first"), *launched(aws, "later")
    aws.interrupt(gone)
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=gone, ShouldDecrementDesiredCapacity=True
    )
    aws.interrupt(later)
    until(aws, "reclaimed", later)
    assert not [m for m in aws.events.moments() if m.node == gone and m.what == "reclaimed"]


def test_an_unknown_node_is_refused(aws: LocalAws) -> None:
    with pytest.raises(KeyError):
        aws.interrupt("i-none")
