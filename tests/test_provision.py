from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import boto3
import pulumi
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws

from spotkeeper_lab import deployment, scenario
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_aws import LocalAws, Timing
from spotkeeper_lab.provision import Provider, ProvisionError
from spotkeeper_lab.provision.aws import Aws, provider
from spotkeeper_lab.provision.aws.spelling import pascal
from spotkeeper_lab.provision.values import archive, plain
from spotkeeper_lab.stages.aws import AwsStage

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": {"size": 3.0}}


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Aws(lambda service: boto3.client(service, "us-east-1"), "123456789012", "us-east-1")


def test_numbers_are_whole_again_and_secrets_unwrapped():
    assert plain({"a": 1.0, "b": [2.5, True], "c": SECRET, "d": None}) == {
        "a": 1,
        "b": [2.5, True],
        "c": {"size": 3},
        "d": None,
    }


def test_equal_archives_are_equal_zips_whatever_their_order():
    texts = {"b.py": pulumi.StringAsset("b = 1\n"), "a/c.py": pulumi.StringAsset("")}
    one, two = (archive(pulumi.AssetArchive(dict(items))) for items in (texts.items(), reversed(texts.items())))
    assert one == two
    assert zipfile.ZipFile(io.BytesIO(one)).namelist() == ["a/c.py", "b.py"]
    with pytest.raises(TypeError, match=r"x: was FileAsset, expected a StringAsset"):
        archive(pulumi.AssetArchive({"x": pulumi.FileAsset("/etc/hostname")}))


def test_names_are_spelled_as_boto3_does():
    given = {
        "vcpuCount": {"min": 2},
        "memoryMib": {"max": 9},
        "overrides": [{"instanceType": "m5.large"}],
        "left": None,
    }
    assert pascal(given) == {
        "VCpuCount": {"Min": 2},
        "MemoryMiB": {"Max": 9},
        "Overrides": [{"InstanceType": "m5.large"}],
    }


def test_an_unknown_type_is_an_error(aws):
    with pytest.raises(
        ProvisionError, match="x: resource type was 'aws:kms/key:Key', expected one of aws:autoscaling/group:Group"
    ):
        provider(aws).create("aws:kms/key:Key", "x", {})


def test_an_input_that_would_be_ignored_is_an_error(aws):
    with pytest.raises(
        ProvisionError, match=r"x \(aws:s3/bucket:Bucket\): the local cloud does not know what to do with policy"
    ):
        provider(aws).create("aws:s3/bucket:Bucket", "x", {"bucket": "some-bucket", "policy": "{}"})


def test_an_unknown_invoke_is_an_error(aws):
    with pytest.raises(ProvisionError, match="invoke was 'aws:ec2/getVpc:getVpc'"):
        provider(aws).answer("aws:ec2/getVpc:getVpc", {})


def test_a_wrong_argument_is_refused_by_botocore(aws):
    with pytest.raises(ParamValidationError, match="BatchSize"):
        provider(aws).create(
            "aws:lambda/eventSourceMapping:EventSourceMapping", "x", {"functionName": "f", "batchSize": "many"}
        )


def test_what_does_not_exist_is_refused_by_the_cloud(aws):
    with pytest.raises(ClientError, match="InvalidSubnetID"):
        provider(aws).answer("aws:ec2/getSubnet:getSubnet", {"id": "subnet-1"})


def test_a_policy_that_refuses_plain_http_is_left_out_and_the_rest_is_not(aws):
    provider(aws).create("aws:s3/bucket:Bucket", "x", {"bucket": "some-bucket"})
    tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::some-bucket/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [tls, allow]})
    provider(aws).create("aws:s3/bucketPolicy:BucketPolicy", "x", {"bucket": "some-bucket", "policy": document})
    kept = json.loads(aws.client("s3").get_bucket_policy(Bucket="some-bucket")["Policy"])["Statement"]
    assert kept == [allow]


def test_a_rule_that_lets_others_in_is_refused(aws):
    rule = {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]}
    with pytest.raises(ProvisionError, match="ingress: was"):
        provider(aws).create("aws:ec2/securityGroup:SecurityGroup", "x", {"ingress": [rule]})


def test_the_real_stack_arrives_whole_and_uses_everything_that_is_known(tmp_path, monkeypatch):
    used = set()

    create = Provider.create

    def noted(self, kind, name, values):
        used.add(kind)
        return create(self, kind, name, values)

    monkeypatch.setattr(Provider, "create", noted)
    calm = dataclasses.replace(scenario.load("storm"), fleet={"onDemandBase": 1, "alertEmail": "somebody@example.org"})
    with LocalAws(tmp_path, Timing(boot_seconds=600), events=EventLog()) as local:
        stage = AwsStage(local)
        deployed = deployment.Stack(stage, calm, "true").create()
        assert set(stage.provider().known()) == used
        assert (deployed.fleet, deployed.shape.spot_target, deployed.shape.base) == (
            "spotkeeper-local-aws-digits",
            5,
            1,
        )

        groups = local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        sizes = {group["AutoScalingGroupName"].rpartition("-")[2]: group["DesiredCapacity"] for group in groups}
        assert sizes == {"spot": 5, "backup": 1}
        for group in groups:
            assert group["NewInstancesProtectedFromScaleIn"]
            assert {process["ProcessName"] for process in group["SuspendedProcesses"]} == {
                "AZRebalance",
                "InstanceRefresh",
            }
            hooks = local.client("autoscaling").describe_lifecycle_hooks(
                AutoScalingGroupName=group["AutoScalingGroupName"]
            )
            assert [hook["LifecycleHookName"] for hook in hooks["LifecycleHooks"]] == ["spotkeeper-terminate"]

        (function,) = local.client("lambda").list_functions()["Functions"]
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert function["CodeSize"] < 100_000
        template = local.client("ec2").describe_launch_template_versions(Versions=["$Latest"])[
            "LaunchTemplateVersions"
        ][0]
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        assert "SetDesiredCapacity" not in local.calls.snapshot()["pulumi"]
        assert local.calls.snapshot()["pulumi"]["CreateAutoScalingGroup"] == 2
