"""Fleets on Auto Scaling, with the real boto3 against moto; what moto lacks is answered as AWS documents it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeAlias

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws
from moto.sns.models import sns_backends

from responder_support import spec
from spotkeeper_ledger import DeadlineSpec, PriceRecord
from spotkeeper_responder import (
    CAPACITY,
    QUOTA,
    SPOT,
    Completion,
    Instance,
    LaunchFailed,
    State,
    Termination,
)
from spotkeeper_responder.aws import AwsCloud, Clients, SpotPrices

RESPONDER = "spotkeeper-123456789012-us-east-1"
TOPIC = f"arn:aws:sns:us-east-1:123456789012:{RESPONDER}-alerts"
ALIVE = {"LifecycleState": "InService", "HealthStatus": "Healthy"}
OTHER = spec(fleet="other", spot_group="spotkeeper-other-spot", backup_group="spotkeeper-other-backup")


@dataclass(frozen=True)
class Ground:
    """What groups stand on, made once: moto's EC2 is slow to begin."""

    template: str
    subnet: str


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
            environment.setenv(name, "us-east-1")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            environment.delenv(name, raising=False)
        ec2 = boto3.client("ec2")
        data: Any = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}  # one that moto knows
        made = ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"]
        yield Ground(made["LaunchTemplateId"], ec2.describe_subnets()["Subnets"][0]["SubnetId"])


@pytest.fixture
def clients(ground: Ground) -> Iterator[Clients]:
    yield Clients()
    autoscaling = Clients().autoscaling
    for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], ForceDelete=True)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def cloud(clients: Clients, pauses: list[float]) -> AwsCloud:
    """Ten seconds, of which only pauses use up any."""
    return AwsCloud(
        clients,
        SpotPrices(),
        responder=RESPONDER,
        document="notice",
        topic=TOPIC,
        time_left=lambda: 10.0 - sum(pauses),
        pause=pauses.append,
    )


def make_group(clients: Clients, ground: Ground, name: str, size: int, fleet: str = "f", by: str = RESPONDER) -> None:
    clients.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=8,
        DesiredCapacity=size,
        VPCZoneIdentifier=ground.subnet,
        NewInstancesProtectedFromScaleIn=True,
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": ground.template, "Version": "1"},
                "Overrides": [{"InstanceType": "t3.micro"}, {"InstanceType": "t3.small"}],
            },
            "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
        },
        Tags=[
            {"Key": "spotkeeper:responder", "Value": by, "PropagateAtLaunch": True},
            {"Key": "spotkeeper:fleet", "Value": fleet, "PropagateAtLaunch": True},
        ],
    )


@pytest.fixture
def fleet(clients: Clients, ground: Ground) -> Clients:
    """Two fleets' groups: the responder's own, and somebody else's."""
    for wanted in (spec(), OTHER):
        make_group(clients, ground, wanted.spot_group, 3, wanted.fleet)
        make_group(clients, ground, wanted.backup_group, 1, wanted.fleet)
    make_group(clients, ground, "foreign", 1, "foreign", by="somebody-else")
    return clients


DOCUMENT = json.dumps(
    {
        "schemaVersion": "2.2",
        "description": "d",
        "parameters": {name: {"type": "String"} for name in ("Fleet", "Kind", "Deadline", "Nodes")},
        "mainSteps": [{"action": "aws:runShellScript", "name": "n", "inputs": {"runCommand": ["true"]}}],
    }
)
Answer: TypeAlias = Mapping[str, Any] | Exception | None


def answer(client: Any, operation: str, *answers: Answer) -> list[Mapping[str, str]]:
    """Answer the next calls of an operation, or fail them, before they are sent; ``None`` lets a call through to moto.

    Returns what was asked, a mapping for each call.
    """
    asked: list[Mapping[str, str]] = []
    left = list(answers)

    def respond(params: Mapping[str, Any], **_: Any) -> tuple[Any, Any] | None:
        asked.append(params["body"])
        given = left.pop(0) if left else None
        if isinstance(given, Exception):
            raise given
        return None if given is None else (SimpleNamespace(status_code=400 if "Error" in given else 200), given)

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"before-call.{service}.{operation}", respond)
    return asked


def error(code: str, message: str = "") -> Answer:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}


@pytest.fixture
def backup(clients: Clients, ground: Ground) -> Clients:
    """A backup group, and nothing else."""
    make_group(clients, ground, spec().backup_group, 1)
    return clients


def described(*names: str, of: Mapping[str, str] | None = None) -> dict[str, Any]:
    group = {"DesiredCapacity": 1, "MaxSize": 4, "Instances": [of] if of else []}
    return {"AutoScalingGroups": [{"AutoScalingGroupName": name, **group} for name in names]}


def nodes(clients: Clients, group: str) -> list[str]:
    (found,) = clients.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    return [instance["InstanceId"] for instance in found["Instances"]]


class TestGroups:
    def test_both_groups_come_of_one_description(self, fleet: Clients, cloud: AwsCloud) -> None:
        spot, backup = cloud.groups(spec())
        assert (spot.name, spot.desired, spot.maximum) == (spec().spot_group, 3, 8)
        assert (backup.name, backup.desired, len(backup.instances)) == (spec().backup_group, 1, 1)
        assert spot.instances == tuple(
            Instance(n, State.IN_SERVICE, healthy=True, version="1") for n in nodes(fleet, spot.name)
        )
        assert cloud.calls == 1

    @pytest.mark.parametrize(
        ("said", "state"),
        [
            ("Pending", State.PENDING),
            ("Pending:Wait", State.PENDING),
            ("Pending:Proceed", State.PENDING),
            ("InService", State.IN_SERVICE),
            ("Terminating", State.GOING),
            ("Terminating:Wait", State.HELD),
            ("Terminating:Proceed", State.GOING),
            ("Terminating:Retained", State.GOING),
            ("Terminated", State.GOING),
            ("Standby", State.GOING),
            ("Detached", State.GOING),
            ("Quarantined", State.GOING),
        ],
    )
    def test_every_lifecycle_state_is_known_for_what_it_is(
        self, clients: Clients, cloud: AwsCloud, said: str, state: State
    ) -> None:
        member = {"InstanceId": "i-00000001", "LifecycleState": said, "HealthStatus": "Unhealthy"}
        answer(
            clients.autoscaling,
            "DescribeAutoScalingGroups",
            described(spec().spot_group, spec().backup_group, of=member),
        )
        spot, _ = cloud.groups(spec())
        assert spot.instances == (Instance("i-00000001", state, healthy=False),)

    def test_pages_are_followed(self, clients: Clients, cloud: AwsCloud) -> None:
        pages = [{**described(spec().backup_group), "NextToken": "more"}, described(spec().spot_group)]
        asked = answer(clients.autoscaling, "DescribeAutoScalingGroups", *pages)
        spot, backup = cloud.groups(spec())
        assert (spot.name, backup.name) == (spec().spot_group, spec().backup_group)
        assert [each.get("NextToken") for each in asked] == [None, "more"]

    def test_a_group_that_is_not_there_is_named(self, fleet: Clients, cloud: AwsCloud) -> None:
        missing = spec(backup_group="spotkeeper-nobody-backup")
        with pytest.raises(LookupError, match="no Auto Scaling group spotkeeper-nobody-backup, expected both groups"):
            cloud.groups(missing)

    def test_nodes_of_the_responders_own_fleets_are_placed(self, fleet: Clients, cloud: AwsCloud) -> None:
        one, two = nodes(fleet, spec().spot_group)[0], nodes(fleet, OTHER.backup_group)[0]
        foreign = nodes(fleet, "foreign")[0]
        assert cloud.fleets_of([one, two, foreign, "i-00000000"]) == {one: spec().fleet, two: "other"}
        assert cloud.calls == 1


class TestActing:
    def test_a_size_is_set(self, backup: Clients, cloud: AwsCloud) -> None:
        cloud.resize(spec().backup_group, 3)
        assert len(nodes(backup, spec().backup_group)) == 3

    @pytest.mark.parametrize(("decrement", "left"), [(True, 0), (False, 1)])
    def test_a_named_node_is_terminated(self, backup: Clients, cloud: AwsCloud, decrement: bool, left: int) -> None:
        (victim,) = nodes(backup, spec().backup_group)
        cloud.terminate(Termination(victim, decrement))
        assert victim not in nodes(backup, spec().backup_group)
        assert len(nodes(backup, spec().backup_group)) == left

    def test_a_node_that_is_gone_is_terminated(self, clients: Clients, cloud: AwsCloud) -> None:
        said = "Instance Id not found - No managed instance found for instance ID: i-1"
        answer(clients.autoscaling, "TerminateInstanceInAutoScalingGroup", error("ValidationError", said))
        cloud.terminate(Termination("i-1", decrement=True))

    def test_another_validation_error_is_one(self, clients: Clients, cloud: AwsCloud) -> None:
        said = "Currently, desiredSize equals minSize (2). Terminating instance without replacement will violate it."
        answer(clients.autoscaling, "TerminateInstanceInAutoScalingGroup", error("ValidationError", said))
        with pytest.raises(ClientError, match="desiredSize"):
            cloud.terminate(Termination("i-1", decrement=True))

    @pytest.mark.parametrize(("hook", "named"), [("mine", "mine"), ("", "spotkeeper-terminate")])
    def test_a_hook_is_completed(self, clients: Clients, cloud: AwsCloud, hook: str, named: str) -> None:
        asked = answer(clients.autoscaling, "CompleteLifecycleAction", {})
        cloud.complete(Completion("i-1", "g", hook))
        assert {name: asked[0][name] for name in ("LifecycleHookName", "InstanceId", "LifecycleActionResult")} == {
            "LifecycleHookName": named,
            "InstanceId": "i-1",
            "LifecycleActionResult": "CONTINUE",
        }

    def test_a_hook_that_holds_nobody_any_more_is_completed(self, clients: Clients, cloud: AwsCloud) -> None:
        said = "No active Lifecycle Action found with instance ID i-1"
        answer(clients.autoscaling, "CompleteLifecycleAction", error("ValidationError", said))
        cloud.complete(Completion("i-1", "g", "h"))

    def test_a_command_goes_to_the_fleet_and_names_the_nodes(self, clients: Clients, cloud: AwsCloud) -> None:
        boto3.client("ssm").create_document(Name="notice", DocumentType="Command", Content=DOCUMENT)
        cloud.signal("other", "interruption", 1_700_000_120.9, ["i-1", "i-2"])
        cloud.signal("other", "rebalance", None, ["i-3"])
        commands = sorted(boto3.client("ssm").list_commands()["Commands"], key=lambda c: c["Parameters"]["Kind"][0])
        assert [c["Parameters"] for c in commands] == [
            {"Fleet": ["other"], "Kind": ["interruption"], "Deadline": ["1700000120"], "Nodes": ["i-1,i-2"]},
            {"Fleet": ["other"], "Kind": ["rebalance"], "Deadline": ["none"], "Nodes": ["i-3"]},
        ]
        for command in commands:
            assert command["Targets"] == [{"Key": "tag:spotkeeper:fleet", "Values": ["other"]}]
            assert (command["MaxErrors"], command["MaxConcurrency"]) == ("100%", "100%")
            assert command["DocumentName"] == "notice"


class TestRetries:
    @pytest.mark.parametrize(
        "trouble",
        [
            error("Throttling", "Rate exceeded"),
            error("RequestLimitExceeded"),
            error("ResourceContention"),
            error("ScalingActivityInProgress"),
            error("ServiceUnavailable"),
            ConnectTimeoutError(endpoint_url="x"),
            ReadTimeoutError(endpoint_url="x"),
        ],
    )
    def test_what_passes_is_waited_out(
        self, backup: Clients, cloud: AwsCloud, pauses: list[float], trouble: Answer
    ) -> None:
        answer(backup.autoscaling, "SetDesiredCapacity", trouble, trouble, None)
        cloud.resize(spec().backup_group, 2)
        assert len(nodes(backup, spec().backup_group)) == 2
        assert cloud.calls == 3
        assert len(pauses) == 2
        assert pauses[0] <= 0.2 < pauses[1] * 2 <= 0.8

    def test_but_only_while_there_is_time(self, backup: Clients, cloud: AwsCloud, pauses: list[float]) -> None:
        answer(backup.autoscaling, "SetDesiredCapacity", *[error("Throttling")] * 100)
        with pytest.raises(ClientError, match="Throttling"):
            cloud.resize(spec().backup_group, 2)
        assert 8.0 <= sum(pauses) < 10.0
        assert max(pauses) <= 2.0

    def test_nor_for_ever_on_a_line_that_is_down(self, backup: Clients, cloud: AwsCloud, pauses: list[float]) -> None:
        down = ConnectTimeoutError(endpoint_url="x")
        answer(backup.autoscaling, "SetDesiredCapacity", *[down] * 100)
        with pytest.raises(ConnectTimeoutError):
            cloud.resize(spec().backup_group, 2)
        assert sum(pauses) < 10.0

    def test_what_does_not_pass_is_raised_at_once(self, backup: Clients, cloud: AwsCloud) -> None:
        answer(backup.autoscaling, "SetDesiredCapacity", error("AccessDenied"))
        with pytest.raises(ClientError, match="AccessDenied"):
            cloud.resize(spec().backup_group, 2)
        assert cloud.calls == 1

    def test_botocore_adds_no_tries_of_its_own(self, backup: Clients, cloud: AwsCloud) -> None:
        asked = answer(backup.autoscaling, "SetDesiredCapacity", error("Throttling"))
        cloud.resize(spec().backup_group, 2)
        assert len(asked) == cloud.calls == 2


class TestLaunchFailures:
    AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

    def activity(self, status: str, message: str, seconds: int, what: str = "Launching a new") -> Mapping[str, Any]:
        ended = self.AT + timedelta(seconds=seconds)
        times = {"StartTime": ended - timedelta(seconds=5), "EndTime": ended}
        return {"Description": f"{what} EC2 instance", "StatusCode": status, "StatusMessage": message, **times}

    def test_they_are_classified_since_a_moment(self, clients: Clients, cloud: AwsCloud) -> None:
        found = [
            self.activity("Failed", "UnfulfillableCapacity - no", seconds=9),
            self.activity("Failed", "Max spot instance count exceeded", seconds=3),
            self.activity("Successful", "", seconds=2),
            self.activity("Failed", "cannot", seconds=1, what="Terminating"),
            self.activity("Failed", "UnfulfillableCapacity - long ago", seconds=-60),
        ]
        asked = answer(clients.autoscaling, "DescribeScalingActivities", {"Activities": found})
        at = self.AT.timestamp()
        assert cloud.launch_failures(spec(), at) == [
            LaunchFailed(SPOT, CAPACITY, at + 9, "UnfulfillableCapacity - no"),
            LaunchFailed(SPOT, QUOTA, at + 3, "Max spot instance count exceeded"),
        ]
        assert asked[0]["AutoScalingGroupName"] == spec().spot_group

    def test_a_group_without_activities_has_none(self, backup: Clients, cloud: AwsCloud) -> None:
        assert cloud.launch_failures(spec(), 0) == []


class TestPrices:
    """Spot prices, with answers as EC2 documents them: moto has one price for everything."""

    TERMS = DeadlineSpec(on_demand_price=3.0, hours=9.0, node_types=("g5.xlarge", "g5.2xlarge"))
    WANTED = spec("deadline", deadline=TERMS)
    NOW = 1_800_000_000.0

    def price(self, kind: str, zone: str, price: str) -> Mapping[str, Any]:
        return {"InstanceType": kind, "AvailabilityZone": zone, "SpotPrice": price, "ProductDescription": "Linux/UNIX"}

    def described(self, clients: Clients, **nodes: str) -> None:
        """Let the spot group have nodes in zones a and b."""
        running = [
            {"InstanceId": node, "InstanceType": "g5.xlarge", "AvailabilityZone": zone, **ALIVE}
            for node, zone in nodes.items()
        ]
        about = {"DesiredCapacity": 4, "MaxSize": 8, "AvailabilityZones": ["us-east-1a", "us-east-1b"]}
        groups = [
            {"AutoScalingGroupName": self.WANTED.spot_group, "Instances": running, **about},
            {"AutoScalingGroupName": self.WANTED.backup_group, "Instances": [], **about},
        ]
        answer(clients.autoscaling, "DescribeAutoScalingGroups", {"AutoScalingGroups": groups})

    def test_it_is_that_of_the_dearest_node(self, clients: Clients, cloud: AwsCloud) -> None:
        self.described(clients, i1="us-east-1a", i2="us-east-1b")
        cloud.groups(self.WANTED)
        pages = [
            self.price("g5.xlarge", "us-east-1a", "0.41"),
            self.price("g5.xlarge", "us-east-1b", "0.43"),
            self.price("g5.xlarge", "us-east-1c", "9.99"),
        ]
        asked = answer(clients.ec2, "DescribeSpotPriceHistory", {"SpotPriceHistory": pages})
        assert cloud.spot_price(self.WANTED, ["i1", "i2"], self.NOW) == PriceRecord(0.43, self.NOW)
        assert cloud.spot_price(self.WANTED, ["i1"], self.NOW + 60) == PriceRecord(0.41, self.NOW)
        assert [each["InstanceType.1"] for each in asked] == ["g5.xlarge"]
        assert asked[0]["StartTime"] == asked[0]["EndTime"] == "2027-01-15T08:00:00Z", "the price now"

    def test_of_prices_that_were_read_one_after_the_other_the_older_says_how_old_it_is(
        self, clients: Clients, cloud: AwsCloud
    ) -> None:
        self.described(clients)
        cloud.groups(self.WANTED)
        narrow = replace(self.WANTED, deadline=replace(self.TERMS, node_types=("g5.xlarge",)))
        answer(
            clients.ec2,
            "DescribeSpotPriceHistory",
            {"SpotPriceHistory": [self.price("g5.xlarge", "us-east-1a", "0.4")]},
            {"SpotPriceHistory": [self.price("g5.2xlarge", "us-east-1a", "0.8")]},
        )
        assert cloud.spot_price(narrow, [], self.NOW) == PriceRecord(0.4, self.NOW)
        assert cloud.spot_price(self.WANTED, [], self.NOW + 200) == PriceRecord(0.8, self.NOW)

    def test_it_is_asked_for_once(self, clients: Clients, cloud: AwsCloud, pauses: list[float]) -> None:
        self.described(clients)
        cloud.groups(self.WANTED)
        asked = answer(clients.ec2, "DescribeSpotPriceHistory", error("RequestLimitExceeded"))
        calls = cloud.calls
        with pytest.raises(ClientError):
            cloud.spot_price(self.WANTED, [], self.NOW)
        with pytest.raises(LookupError):
            cloud.spot_price(self.WANTED, [], self.NOW + 1)
        assert (len(asked), cloud.calls - calls, pauses) == (1, 1, [])

    def test_before_there_is_a_node_it_is_the_dearest_that_there_might_be(
        self, clients: Clients, cloud: AwsCloud
    ) -> None:
        self.described(clients)
        cloud.groups(self.WANTED)
        pages = [self.price("g5.2xlarge", "us-east-1b", "0.80"), self.price("g5.xlarge", "us-east-1a", "0.41")]
        answer(clients.ec2, "DescribeSpotPriceHistory", {"SpotPriceHistory": pages})
        assert cloud.spot_price(self.WANTED, [], self.NOW) == PriceRecord(0.8, self.NOW)

    def test_nobody_knows_it_of_types_that_nobody_names(self, clients: Clients, cloud: AwsCloud) -> None:
        self.described(clients)
        cloud.groups(self.WANTED)
        open_to_all = replace(self.WANTED, deadline=replace(self.TERMS, node_types=()))
        assert cloud.spot_price(open_to_all, [], self.NOW) is None
        assert "ec2" not in vars(clients), "nor is the client made, whose model is large"

    def test_all_pages_are_read(self, clients: Clients, cloud: AwsCloud) -> None:
        self.described(clients)
        cloud.groups(self.WANTED)
        first = {"SpotPriceHistory": [self.price("g5.xlarge", "us-east-1a", "0.4")], "NextToken": "more"}
        second = {"SpotPriceHistory": [self.price("g5.xlarge", "us-east-1b", "0.5")]}
        answer(clients.ec2, "DescribeSpotPriceHistory", first, second)
        assert cloud.spot_price(self.WANTED, [], self.NOW) == PriceRecord(0.5, self.NOW)


def test_clients_are_made_when_needed_and_once(clients: Clients) -> None:
    assert not {"autoscaling", "ssm"} & vars(clients).keys()
    assert clients.autoscaling is clients.autoscaling
    assert "ssm" not in vars(clients)


class TestAnnouncing:
    def test_people_are_told_through_the_topic(self, cloud: AwsCloud, clients: Clients) -> None:
        assert "sns" not in vars(clients)  # a cold start does not pay for it
        assert clients.sns.create_topic(Name=f"{RESPONDER}-alerts")["TopicArn"] == TOPIC
        cloud.announce("Spotkeeper: " + 100 * "x", "what and why")
        ((_, text, subject, *_),) = sns_backends["123456789012"]["us-east-1"].topics[TOPIC].sent_notifications
        assert (text, subject) == ("what and why", "Spotkeeper: " + 88 * "x")
        assert cloud.calls == 1
        clients.sns.delete_topic(TopicArn=TOPIC)

    def test_it_is_tried_once_whatever_the_reason(self, cloud: AwsCloud, clients: Clients, pauses: list[float]) -> None:
        answer(clients.sns, "Publish", error("Throttling", "slow down"))
        with pytest.raises(ClientError, match="slow down"):
            cloud.announce("subject", "text")
        assert (cloud.calls, pauses) == (1, [])
