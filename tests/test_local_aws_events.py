import json
from collections.abc import Iterator

import pytest

from local_aws_support import cloud, queue, received
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.events import EventBus


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture
def bus(aws: LocalAws) -> EventBus:
    return EventBus(aws._world, aws.faults)


def rule(aws: LocalAws, name: str, **settings: str) -> str:
    """Make a rule with a queue of its own; return the queue's URL."""
    url, arn = queue(aws, name)
    aws.client("events").put_rule(Name=name, **settings)
    aws.client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    return url


def pattern(**fields: object) -> str:
    return json.dumps(fields)


def test_an_event_has_the_envelope_that_aws_gives_it(aws: LocalAws, bus: EventBus) -> None:
    url = rule(aws, "all", EventPattern=pattern(source=["aws.ec2"]))
    bus.send("Something", "aws.ec2", {"instance-id": "i-1"}, ["arn:aws:ec2:us-east-1a:instance/i-1"])
    (event,) = received(aws, url, 1)
    assert len(event.pop("id")) == 36
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": "Something",
        "source": "aws.ec2",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-east-1a:instance/i-1"],
        "detail": {"instance-id": "i-1"},
    }


def test_events_go_only_where_a_rule_wants_them(aws: LocalAws) -> None:
    by_prefix = pattern(detail={"AutoScalingGroupName": [{"prefix": "spotkeeper-"}]})
    wanted = rule(aws, "wanted", EventPattern=by_prefix)
    disabled = rule(aws, "disabled", EventPattern=by_prefix, State="DISABLED")
    scheduled = rule(aws, "scheduled", ScheduleExpression="rate(1 minute)")
    for group in ("foreign", "spotkeeper-fleet"):
        aws.send_event("EC2 Instance Launch Successful", "aws.autoscaling", {"AutoScalingGroupName": group})
    (event,) = received(aws, wanted, 1)
    assert event["detail"] == {"AutoScalingGroupName": "spotkeeper-fleet"}
    for url in (wanted, disabled, scheduled):
        assert waiting(aws, url) == 0


def waiting(aws: LocalAws, url: str) -> int:
    names = ["ApproximateNumberOfMessages"]
    return int(aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])


def test_a_schedule_fires_its_own_targets(aws: LocalAws, bus: EventBus) -> None:
    whole = rule(aws, "tick", ScheduleExpression="rate(1 minute)")
    other = rule(aws, "other", EventPattern=pattern(source=["aws.events"]))
    off = rule(aws, "off", ScheduleExpression="rate(1 minute)", State="DISABLED")
    url, arn = queue(aws, "constant")
    aws.client("events").put_targets(Rule="tick", Targets=[{"Id": "2", "Arn": arn, "Input": '{"tick": true}'}])
    bus.fire_schedules()
    (event,) = received(aws, whole, 1)
    assert (event["detail-type"], event["source"]) == ("Scheduled Event", "aws.events")
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/tick"]
    assert received(aws, url, 1) == [{"tick": True}]
    assert (waiting(aws, other), waiting(aws, off)) == (0, 0)


def test_warnings_can_get_lost_and_nothing_else(aws: LocalAws, bus: EventBus) -> None:
    url = rule(aws, "all", EventPattern=pattern(source=["aws.ec2"]))
    aws.faults.drop_warnings = True
    bus.send("EC2 Spot Instance Interruption Warning", "aws.ec2", {})
    bus.send("EC2 Instance Rebalance Recommendation", "aws.ec2", {})
    bus.send("Something else", "aws.ec2", {})
    assert [event["detail-type"] for event in received(aws, url, 1)] == ["Something else"]


def test_events_can_come_several_times_and_out_of_order(aws: LocalAws, bus: EventBus) -> None:
    url = rule(aws, "all", EventPattern=pattern(source=["aws.ec2"]))
    aws.faults.duplicate = aws.faults.shuffle = True
    for number in range(4):
        bus.send("Something", "aws.ec2", {"number": number})
    events = received(aws, url, 12)
    numbers = [event["detail"]["number"] for event in events]
    assert sorted(numbers) == sorted([0, 1, 2, 3] * 3)
    assert numbers != sorted(numbers)
    assert len({event["id"] for event in events}) == 4


def test_made_up_events_know_no_faults(aws: LocalAws) -> None:
    url = rule(aws, "all", EventPattern=pattern(source=["aws.ec2"]))
    aws.faults.drop_warnings = aws.faults.shuffle = True
    aws.send_event("EC2 Spot Instance Interruption Warning", "aws.ec2", {"instance-id": "i-1"}, times=2)
    first, second = received(aws, url, 2)
    assert first == second


@pytest.mark.parametrize("target", [{"Arn": "arn:aws:logs:us-east-1:123456789012:log-group:x"}, {"InputPath": "$.id"}])
def test_a_target_that_cannot_be_served_is_an_error(aws: LocalAws, target: dict[str, str]) -> None:
    rule(aws, "odd", EventPattern=pattern(source=["aws.ec2"]))
    _, arn = queue(aws, "events")
    aws.client("events").put_targets(Rule="odd", Targets=[{"Id": "2", "Arn": arn, **target}])
    with pytest.raises(NotImplementedError, match=r"rule odd: was .+, expected a queue and a whole event"):
        aws.send_event("Something", "aws.ec2", {})


def test_a_bucket_tells_of_objects_by_prefix_and_suffix(aws: LocalAws) -> None:
    url, arn = queue(aws, "notices")
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="ledger")
    rules = [{"Name": "prefix", "Value": "fleets/"}, {"Name": "suffix", "Value": "/notice.json"}]
    wanted = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(
        Bucket="ledger", NotificationConfiguration={"QueueConfigurations": [wanted]}
    )
    assert received(aws, url, 1)[0]["Event"] == "s3:TestEvent"
    for key in ("fleets/a/nodes/AROA:i-1/report.json", "other/notice.json", "fleets/a/nodes/AROA:i-1/notice.json"):
        s3.put_object(Bucket="ledger", Key=key, Body=b"{}", IfNoneMatch="*")
    (told,) = received(aws, url, 1)
    assert told["Records"][0]["s3"]["object"]["key"] == "fleets%2Fa%2Fnodes%2FAROA%3Ai-1%2Fnotice.json"
    assert waiting(aws, url) == 0


def test_an_error_in_delivery_is_not_swallowed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(RuntimeError, match="rule odd: was"), cloud(tmp_path_factory.mktemp("cloud")) as aws:
        rule(aws, "odd", EventPattern=pattern(source=["aws.ec2"]))
        aws.client("events").put_targets(
            Rule="odd", Targets=[{"Id": "2", "Arn": "arn:aws:logs:us-east-1:123456789012:log-group:x"}]
        )
        EventBus(aws._world, aws.faults).send("Something", "aws.ec2", {})
        aws.events.wait(lambda moment: moment.what == "local-cloud-failed", 20)
