"""Fleets on Auto Scaling, with the real boto3 against moto; what moto lacks is answered as AWS documents it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from responder_support import spec
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
from spotkeeper_responder.aws import AwsCloud, Clients

RESPONDER = "spotkeeper-123456789012-us-east-1"
OTHER = spec(fleet="other", spot_group="spotkeeper-other-spot", backup_group="spotkeeper-other-backup")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def clients(aws: None) -> Clients:
    return Clients()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def cloud(clients: Clients, pauses: list[float]) -> AwsCloud:
    """Ten seconds, of which only pauses use up any."""
    return AwsCloud(
        clients,
        responder=RESPONDER,
        document="notice",
        time_left=lambda: 10.0 - sum(pauses),
        pause=pauses.append,
    )


@pytest.fixture
def template(clients: Clients) -> str:
    ec2 = boto3.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    data: Any = {"ImageId": image, "InstanceType": "t3.micro"}
    return ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"][
        "LaunchTemplateId"
    ]


def make_group(clients: Clients, template: str, name: str, size: int, fleet: str = "f", by: str = RESPONDER) -> None:
    subnet = boto3.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    clients.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=8,
        DesiredCapacity=size,
        VPCZoneIdentifier=subnet,
        NewInstancesProtectedFromScaleIn=True,
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
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
def fleet(clients: Clients, template: str) -> Clients:
    """Two fleets' groups: the responder's own, and somebody else's."""
    for wanted in (spec(), OTHER):
        make_group(clients, template, wanted.spot_group, 3, wanted.fleet)
        make_group(clients, template, wanted.backup_group, 1, wanted.fleet)
    make_group(clients, template, "foreign", 2, "foreign", by="somebody-else")
    return clients


def answer(client: Any, operation: str, *answers: tuple[int, str] | Exception | None) -> list[str]:
    """Answer the next calls of an operation with these statuses and bodies, or failures; ``None`` lets a call through."""
    asked: list[str] = []
    left = list(answers)

    def respond(request: Any, **_: Any) -> AWSResponse | None:
        asked.append(str(request.body))
        given = left.pop(0) if left else None
        if given is None:
            return None
        if isinstance(given, Exception):
            raise given
        raw: Any = type("Raw", (), {"stream": lambda self, **_: [given[1].encode()]})()
        return AWSResponse(request.url, given[0], {}, raw)

    client.meta.events.register_first(f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}", respond)
    return asked


def error(code: str, message: str = "") -> tuple[int, str]:
    return 400, f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


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
        self, fleet: Clients, cloud: AwsCloud, said: str, state: State
    ) -> None:
        member = (
            f"<member><InstanceId>i-00000001</InstanceId><LifecycleState>{said}</LifecycleState>"
            "<HealthStatus>Unhealthy</HealthStatus></member>"
        )
        self.describe(fleet, [spec().spot_group, spec().backup_group], member)
        spot, _ = cloud.groups(spec())
        assert spot.instances == (Instance("i-00000001", state, healthy=False),)

    def test_pages_are_followed(self, fleet: Clients, cloud: AwsCloud) -> None:
        self.describe(fleet, [spec().backup_group], token="more")
        spot, backup = cloud.groups(spec())
        assert (spot.name, backup.name) == (spec().spot_group, spec().backup_group)
        assert cloud.calls == 2

    def test_a_group_that_is_not_there_is_named(self, fleet: Clients, cloud: AwsCloud) -> None:
        missing = spec(backup_group="spotkeeper-nobody-backup")
        with pytest.raises(LookupError, match="no Auto Scaling group spotkeeper-nobody-backup, expected both groups"):
            cloud.groups(missing)

    def test_nodes_of_the_responders_own_fleets_are_placed(self, fleet: Clients, cloud: AwsCloud) -> None:
        one, two = nodes(fleet, spec().spot_group)[0], nodes(fleet, OTHER.backup_group)[0]
        foreign = nodes(fleet, "foreign")[0]
        assert cloud.fleets_of([one, two, foreign, "i-00000000"]) == {one: spec().fleet, two: "other"}
        assert cloud.calls == 1

    def describe(self, clients: Clients, names: list[str], member: str = "", token: str = "") -> None:
        groups = "".join(
            f"<member><AutoScalingGroupName>{name}</AutoScalingGroupName><DesiredCapacity>1</DesiredCapacity>"
            f"<MaxSize>4</MaxSize><Instances>{member}</Instances></member>"
            for name in names
        )
        page = f"<NextToken>{token}</NextToken>" if token else ""
        result = f"<DescribeAutoScalingGroupsResult><AutoScalingGroups>{groups}</AutoScalingGroups>{page}"
        body = f"<R>{result}</DescribeAutoScalingGroupsResult></R>"
        rest = [] if not token else [None]
        if token:
            # moto knows no token of ours: the second page is the spot group's, asked for by name
            clients.autoscaling.meta.events.register(
                "provide-client-params.auto-scaling.DescribeAutoScalingGroups",
                lambda params, **_: {"AutoScalingGroupNames": [spec().spot_group]} if "NextToken" in params else None,
            )
        answer(clients.autoscaling, "DescribeAutoScalingGroups", (200, body), *rest)


class TestActing:
    def test_a_size_is_set(self, fleet: Clients, cloud: AwsCloud) -> None:
        cloud.resize(spec().backup_group, 3)
        assert len(nodes(fleet, spec().backup_group)) == 3

    @pytest.mark.parametrize(("decrement", "left"), [(True, 2), (False, 3)])
    def test_a_named_node_is_terminated(self, fleet: Clients, cloud: AwsCloud, decrement: bool, left: int) -> None:
        victim = nodes(fleet, spec().spot_group)[1]
        cloud.terminate(Termination(victim, decrement))
        assert victim not in nodes(fleet, spec().spot_group)
        assert len(nodes(fleet, spec().spot_group)) == left

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
        asked = answer(clients.autoscaling, "CompleteLifecycleAction", (200, "<R></R>"))
        cloud.complete(Completion("i-1", "g", hook))
        for part in (f"LifecycleHookName={named}", "InstanceId=i-1", "LifecycleActionResult=CONTINUE"):
            assert part in asked[0]

    def test_a_hook_that_holds_nobody_any_more_is_completed(self, clients: Clients, cloud: AwsCloud) -> None:
        said = "No active Lifecycle Action found with instance ID i-1"
        answer(clients.autoscaling, "CompleteLifecycleAction", error("ValidationError", said))
        cloud.complete(Completion("i-1", "g", "h"))

    def test_a_command_goes_to_the_fleet_and_names_the_nodes(self, fleet: Clients, cloud: AwsCloud) -> None:
        boto3.client("ssm").create_document(Name="notice", DocumentType="Command", Content="{}", DocumentFormat="JSON")
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
            (503, "<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>"),
            ConnectTimeoutError(endpoint_url="x"),
        ],
    )
    def test_what_passes_is_waited_out(
        self, fleet: Clients, cloud: AwsCloud, pauses: list[float], trouble: tuple[int, str] | Exception
    ) -> None:
        answer(fleet.autoscaling, "SetDesiredCapacity", trouble, trouble)
        cloud.resize(spec().backup_group, 2)
        assert len(nodes(fleet, spec().backup_group)) == 2
        assert cloud.calls == 3
        assert len(pauses) == 2
        assert pauses[0] <= 0.2 < pauses[1] * 2 <= 0.8

    def test_but_only_while_there_is_time(self, fleet: Clients, cloud: AwsCloud, pauses: list[float]) -> None:
        answer(fleet.autoscaling, "SetDesiredCapacity", *[error("Throttling")] * 100)
        with pytest.raises(ClientError, match="Throttling"):
            cloud.resize(spec().backup_group, 2)
        assert 8.0 <= sum(pauses) < 10.0
        assert max(pauses) <= 2.0

    def test_what_does_not_pass_is_raised_at_once(self, fleet: Clients, cloud: AwsCloud) -> None:
        answer(fleet.autoscaling, "SetDesiredCapacity", error("AccessDenied"))
        with pytest.raises(ClientError, match="AccessDenied"):
            cloud.resize(spec().backup_group, 2)
        assert cloud.calls == 1

    def test_botocore_adds_no_tries_of_its_own(self, fleet: Clients, cloud: AwsCloud) -> None:
        asked = answer(fleet.autoscaling, "SetDesiredCapacity", error("Throttling"))
        cloud.resize(spec().backup_group, 2)
        assert len(asked) == cloud.calls == 2


class TestLaunchFailures:
    AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

    def activity(self, status: str, message: str, *, seconds: int = 0, description: str = "Launching a new EC2 instance") -> str:
        ended = datetime.fromtimestamp(self.AT.timestamp() + seconds, UTC).isoformat().replace("+00:00", "Z")
        return (
            f"<member><ActivityId>a</ActivityId><AutoScalingGroupName>g</AutoScalingGroupName><Cause>c</Cause>"
            f"<Description>{description}</Description><StartTime>{ended}</StartTime><EndTime>{ended}</EndTime>"
            f"<StatusCode>{status}</StatusCode><StatusMessage>{message}</StatusMessage></member>"
        )

    def test_they_are_classified_since_a_moment(self, clients: Clients, cloud: AwsCloud) -> None:
        found = [
            self.activity("Failed", "UnfulfillableCapacity - no", seconds=9),
            self.activity("Failed", "Max spot instance count exceeded", seconds=3),
            self.activity("Successful", "", seconds=2),
            self.activity("Failed", "cannot", seconds=1, description="Terminating EC2 instance: i-1"),
            self.activity("Failed", "UnfulfillableCapacity - long ago", seconds=-60),
        ]
        body = f"<R><DescribeScalingActivitiesResult><Activities>{''.join(found)}</Activities>"
        asked = answer(clients.autoscaling, "DescribeScalingActivities", (200, body + "</DescribeScalingActivitiesResult></R>"))
        at = self.AT.timestamp()
        assert cloud.launch_failures(spec(), at) == [
            LaunchFailed(SPOT, CAPACITY, at + 9, "UnfulfillableCapacity - no"),
            LaunchFailed(SPOT, QUOTA, at + 3, "Max spot instance count exceeded"),
        ]
        assert f"AutoScalingGroupName={spec().spot_group}" in asked[0]

    def test_a_group_without_activities_has_none(self, fleet: Clients, cloud: AwsCloud) -> None:
        assert cloud.launch_failures(spec(), 0) == []


def test_clients_are_made_when_needed_and_once(clients: Clients) -> None:
    assert not {"autoscaling", "ssm"} & vars(clients).keys()
    assert clients.autoscaling is clients.autoscaling
    assert "ssm" not in vars(clients)
