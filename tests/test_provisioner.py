"""Second runs and destruction: of the real program, and of small ones that do what it never does."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

import boto3
import pulumi
import pulumi_aws
import pytest
from moto import mock_aws

from spotkeeper_lab import scenario
from spotkeeper_lab.deployment import Stack
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_aws import LocalAws, Timing
from spotkeeper_lab.provision import Provisioner, ProvisionError, Registrar
from spotkeeper_lab.provision.aws import Aws, provider
from spotkeeper_lab.provision.state import deletions
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_lab.stages.aws import CALLER, AwsStage
from spotkeeper_lab.stages.stage import CHECKPOINTS

READS = ("Describe", "Get", "List", "Head")


class Rerun:
    """A stack, and what its runs change."""

    def __init__(self, local: LocalAws, **fleet: object) -> None:
        self.local = local
        self.stack = Stack(AwsStage(local), dataclasses.replace(scenario.load("storm"), nodes=3, fleet=fleet), "true")
        self.deployed = self.stack.create()

    def changing(self, **changes: object) -> Counter[str]:
        before = self._calls()
        self.stack.up(changes)
        return self._calls() - before

    def destroying(self) -> Counter[str]:
        before = self._calls()
        self.stack.destroy_fleet()
        return self._calls() - before

    def group(self, kind: str):
        name = f"spotkeeper-{self.deployed.fleet}-{kind}"
        found = self.local.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return found["AutoScalingGroups"][0]

    def version(self, kind: str) -> str:
        policy = self.group(kind)["MixedInstancesPolicy"]
        return policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"]

    def _calls(self) -> Counter[str]:
        made = self.local.calls.snapshot()[CALLER]
        return Counter({name: count for name, count in made.items() if not name.startswith(READS)})


@pytest.fixture
def rerun(tmp_path):
    with LocalAws(tmp_path, Timing(boot_seconds=600, reclaim_kill_seconds=0), events=EventLog()) as local:
        yield lambda **fleet: Rerun(local, **fleet)


def test_a_deploy_calls_nothing_that_changes_anything_but_for_what_has_changed(rerun):
    fleet = rerun()
    assert fleet.changing() == {}

    assert fleet.changing(nodes=5) == {"UpdateAutoScalingGroup": 2, "PutObject": 1}
    assert (fleet.group("spot")["MaxSize"], fleet.group("spot")["DesiredCapacity"]) == (10, 3)
    assert fleet.changing() == {}

    assert fleet.changing(timings={"imds_poll_seconds": 0.3}) == {"CreateLaunchTemplateVersion": 1}
    assert (fleet.version("spot"), fleet.version("backup")) == ("1", "1"), "the running fleet keeps its version"
    assert fleet.changing() == {}

    assert fleet.changing(onUpdate="checkpoint-restart") == {"UpdateAutoScalingGroup": 2, "PutObject": 1}
    assert (fleet.version("spot"), fleet.version("backup")) == ("2", "2")
    assert fleet.group("spot")["DesiredCapacity"] == 3
    assert fleet.changing() == {}


def test_a_fleet_is_deleted_before_its_responder_and_its_spec_before_everything(rerun):
    fleet = rerun()
    stack = fleet.stack.resources
    waves = {each.label: number for number, wave in enumerate(deletions(stack, stack)) for each in wave}

    def of(kind: str, name: str) -> int:
        return next(wave for label, wave in waves.items() if label.startswith(f"{name} (") and f":{kind})" in label)

    assert of("BucketObjectv2", "digits-spec") == 0
    groups = {of("Group", "digits-spot"), of("Group", "digits-backup")}
    later = [("LaunchTemplate", "digits-template"), ("RolePolicy", "digits-node"), ("BucketObjectv2", "digits-agent")]
    assert all(max(groups) < of(*each) for each in later), "the last node saves with them"
    fleets = max(of("Role", "digits-node"), of("SecurityGroup", "digits-nodes"), *groups)
    function, ledger = "responder-function", "responder-ledger"
    for part in (("Function", function), ("EventSourceMapping", function), ("Bucket", ledger)):
        assert fleets < of(*part), part


def test_a_fleet_that_is_destroyed_by_force_is_gone_and_its_records_are_not(rerun):
    fleet = rerun(onDestroy="force")
    calls = fleet.destroying()
    assert calls["DeleteAutoScalingGroup"] == 2
    assert "UpdateAutoScalingGroup" not in calls
    local = fleet.local
    assert local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert local.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    (role,) = local.client("iam").list_roles()["Roles"]
    assert role["RoleName"].endswith("-responder")
    keys = [each["Key"] for each in local.client("s3").list_objects_v2(Bucket=fleet.deployed.bucket)["Contents"]]
    assert keys == [key for key in keys if key.startswith("agent/")], "what the last node started from is kept"
    local.client("s3").head_bucket(Bucket=CHECKPOINTS)
    with pytest.raises(ProvisionError, match=r"destroy: was 'spotkeeper:index:AwsTrainingFleet', expected the type"):
        fleet.destroying()


@pytest.fixture
def small(monkeypatch):
    """Runs small programs one after the other on one stack; returns what each of them did to resources."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    noted: list[tuple[str, str]] = []
    with mock_aws():
        aws = Aws(lambda service: boto3.client(service, "us-east-1"), "123456789012", "us-east-1")
        provisioner = Provisioner(provider(aws), lambda what, **facts: noted.append((what, facts["name"])))

        def run(program: Callable[[], object]) -> list[tuple[str, str]]:
            noted.clear()
            provisioner.begin()
            run_program(program, Registrar(provisioner), project="p", stack="s")
            provisioner.end()
            return list(noted)

        yield run


def stored(name: str, content: str = "one", **options: object) -> pulumi_aws.s3.BucketObjectv2:
    return pulumi_aws.s3.BucketObjectv2(
        name, bucket="some-bucket", key=name, content=content, opts=pulumi.ResourceOptions(**options)
    )


def keys() -> list[str]:
    return [e["Key"] for e in boto3.client("s3").list_objects_v2(Bucket="some-bucket").get("Contents", [])]


def test_what_is_declared_no_longer_is_deleted_after_what_needs_it_unless_it_is_to_be_kept(small):
    def full() -> None:
        bucket = pulumi_aws.s3.Bucket("bucket", bucket="some-bucket")
        first = stored("first", depends_on=[bucket])
        stored("second", depends_on=[first])
        stored("kept", depends_on=[bucket], retain_on_delete=True)
        stored("gone-with-it", depends_on=[bucket], deleted_with=first)

    def less() -> None:
        pulumi_aws.s3.Bucket("bucket", bucket="some-bucket")

    assert small(full) == []
    assert small(less) == [("resource-deleting", "second"), ("resource-deleting", "first")]
    assert keys() == ["gone-with-it", "kept"], "the first has not really taken anything along, but it was said to"
    assert small(less) == []


def test_a_change_that_is_not_known_is_an_error_that_names_it(small):
    def first() -> None:
        pulumi_aws.s3.Bucket("bucket", bucket="some-bucket")

    def other() -> None:
        pulumi_aws.s3.Bucket("bucket", bucket="another-bucket")

    small(first)
    with pytest.raises(ProvisionError, match=r"bucket \(aws:s3/bucket:Bucket\): has another bucket, expected"):
        small(other)


def test_what_cannot_be_deleted_is_an_error_that_names_it(small):
    small(lambda: pulumi_aws.s3.Bucket("bucket", bucket="some-bucket"))
    with pytest.raises(
        ProvisionError, match=r"bucket \(aws:s3/bucket:Bucket\): is to be deleted, expected one of aws:"
    ):
        small(lambda: None)


def test_two_of_one_type_and_name_cannot_be_told_apart_and_are_refused(small):
    class Part(pulumi.ComponentResource):
        def __init__(self, name: str) -> None:
            super().__init__("test:index:Part", name)
            pulumi_aws.s3.Bucket("same", bucket=name, opts=pulumi.ResourceOptions(parent=self))

    def twice() -> None:
        pulumi_aws.s3.Bucket("same", bucket="one-bucket")
        Part("another-bucket")

    with pytest.raises(
        ProvisionError, match=r"same \(aws:s3/bucket:Bucket\): is declared under urn:pulumi:.*, expected one"
    ):
        small(twice)
