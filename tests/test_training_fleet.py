"""What a fleet is made of, as the engine sees it: in an update, and in a preview that knows nothing yet."""

from __future__ import annotations

import base64
import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import spotkeeper
from pulumi_support import REGION, RESPONDER, Declared, declare, declare_fleet, fleet_args
from spotkeeper.archives import agent_archive
from spotkeeper.aws.groups import hook_timeout
from spotkeeper.fleet import plan_fleet
from spotkeeper.fleet_documents import agent_config
from spotkeeper.outputs import schema_name
from spotkeeper_agent import AgentConfig
from spotkeeper_ledger import load
from spotkeeper_ledger.documents import FleetSpec

FLEET = "spotkeeper-test-train"
TAGS = {"Name": FLEET, "spotkeeper:fleet": FLEET, "spotkeeper:responder": RESPONDER}


@pytest.fixture(scope="module")
def usual() -> Declared:
    return declare_fleet(on_demand_base=1, on_demand_max=2, tags={"team": "vision"})


def spec_of(declared: Declared) -> FleetSpec:
    return load(FleetSpec, declared.one("BucketObjectv2", "train-spec").inputs["content"].encode())


def user_data_of(declared: Declared) -> str:
    return base64.b64decode(declared.one("LaunchTemplate").inputs["userData"]).decode()


def test_every_child_is_the_fleets(usual: Declared) -> None:
    children = [seen for seen in usual.notes.seen if seen.kind != "AwsTrainingFleet"]
    assert {child.parent for child in children} == {"train"}
    assert len({child.urn for child in children}) == len(children) == 11


def test_both_groups_are_all_of_one_kind(usual: Declared) -> None:
    spot = usual.one("Group", "train-spot").inputs["mixedInstancesPolicy"]["instancesDistribution"]
    assert spot == {
        "onDemandBaseCapacity": 0,
        "onDemandPercentageAboveBaseCapacity": 0,
        "spotAllocationStrategy": "capacity-optimized",
    }
    backup = usual.one("Group", "train-backup").inputs["mixedInstancesPolicy"]["instancesDistribution"]
    assert backup == {
        "onDemandBaseCapacity": 0,
        "onDemandPercentageAboveBaseCapacity": 100,
        "onDemandAllocationStrategy": "lowest-price",
    }


def test_an_order_of_types_is_kept_for_on_demand_too() -> None:
    declared = declare_fleet(allocation_strategy="capacity-optimized-prioritized")
    backup = declared.one("Group", "train-backup").inputs["mixedInstancesPolicy"]
    assert backup["instancesDistribution"]["onDemandAllocationStrategy"] == "prioritized"
    assert backup["launchTemplate"]["overrides"] == [{"instanceType": "g5.xlarge"}, {"instanceType": "g5.2xlarge"}]


def test_sizes_are_the_plan_at_creation_and_bounds_leave_room(usual: Declared) -> None:
    sizes = {
        name: [usual.one("Group", f"train-{name}").inputs[key] for key in ("minSize", "desiredCapacity", "maxSize")]
        for name in ("spot", "backup")
    }
    assert sizes == {"spot": [0, 3, 8], "backup": [0, 1, 4]}


@pytest.mark.parametrize("name", ["spot", "backup"])
def test_nothing_but_the_responder_changes_a_group(usual: Declared, name: str) -> None:
    group = usual.one("Group", f"train-{name}")
    assert group.inputs["name"] == f"spotkeeper-{FLEET}-{name}"
    assert group.inputs["vpcZoneIdentifiers"] == ["subnet-a", "subnet-b", "subnet-c"]
    assert group.inputs["suspendedProcesses"] == ["AZRebalance", "InstanceRefresh"]
    assert group.inputs["protectFromScaleIn"] is True
    assert group.inputs["waitForCapacityTimeout"] == "0"
    assert group.inputs["capacityRebalance"] is False
    assert group.inputs["forceDelete"] is False
    assert "instanceRefresh" not in group.inputs
    assert "desiredCapacity" in group.options.ignoreChanges
    assert group.options.customTimeouts.delete == "2400s"


@pytest.mark.parametrize("name", ["spot", "backup"])
def test_the_hook_is_there_before_the_first_node_and_until_the_last(usual: Declared, name: str) -> None:
    group = usual.one("Group", f"train-{name}")
    hook = usual.one("LifecycleHook", f"train-{name}-hook")
    settings = {
        "name": "spotkeeper-terminate",
        "lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "heartbeatTimeout": 600,
        "defaultResult": "CONTINUE",
    }
    assert group.inputs["initialLifecycleHooks"] == [settings]
    assert hook.inputs == {**settings, "autoscalingGroupName": group.inputs["name"]}
    assert "initialLifecycleHooks" in group.options.ignoreChanges
    assert hook.options.retainOnDelete is True


def test_the_hook_timeout_is_one_that_ec2_takes() -> None:
    assert [hook_timeout(seconds) for seconds in (8, 30.2, 600, 7200, 172800)] == [30, 31, 600, 7200, 7200]


def test_nodes_have_their_role_and_the_agent_from_the_first_to_the_last(usual: Declared) -> None:
    for name in ("spot", "backup"):
        needs = usual.one("Group", f"train-{name}").depends_on
        assert {"RolePolicy train-node", "BucketObjectv2 train-agent", "LaunchTemplate train-template"} <= needs


def test_the_spec_is_last_to_come_and_first_to_go(usual: Declared) -> None:
    spec = usual.one("BucketObjectv2", "train-spec")
    assert {"Group train-spot", "Group train-backup"} <= spec.depends_on
    assert (spec.inputs["bucket"], spec.inputs["key"]) == (RESPONDER, f"fleets/{FLEET}/spec.json")


def test_the_spec_says_what_the_user_wants() -> None:
    declared = declare_fleet(
        on_demand_base=1,
        on_demand_max=2,
        policy="patient",
        policy_wait_seconds=60,
        max_on_demand_hours=12.5,
        on_rebalance="ignore",
        gang="region",
        checkpoint_uri="s3://checkpoints/jobs/digits/",
        timings={"hysteresis_seconds": 12.5, "linger_seconds": 0, "hook_seconds": 300},
    )
    spec = spec_of(declared)
    assert (spec.fleet, spec.cloud, spec.region, spec.gang) == (FLEET, "aws", REGION, "region")
    assert (spec.target, spec.base, spec.maximum, spec.max_on_demand_hours) == (4, 1, 2, 12.5)
    assert (spec.policy.name, spec.policy.wait_seconds, spec.on_rebalance) == ("patient", 60.0, "ignore")
    assert (spec.incarnation, spec.node_prefix) == ("AROAEXAMPLE", "AROAEXAMPLE:")
    assert (spec.spot_group, spec.backup_group) == (f"spotkeeper-{FLEET}-spot", f"spotkeeper-{FLEET}-backup")
    assert (spec.hysteresis_seconds, spec.linger_seconds, spec.hook_seconds) == (12.5, 0.0, 300.0)
    assert (spec.checkpoint_uri, spec.command_version) == ("s3://checkpoints/jobs/digits", "7")
    # What was not given is what the documents say, so that no default is written down twice and differently.
    bare = FleetSpec("f", "i", "aws", REGION, 1, 0, 1, "s", "b")
    assert (spec.notice_seconds, spec.boot_grace_seconds) == (bare.notice_seconds, bare.boot_grace_seconds)
    assert (spec.report_seconds, spec.save_gap_seconds) == (bare.report_seconds, bare.save_gap_seconds)
    assert spec_of(declare_fleet()).max_on_demand_hours is bare.max_on_demand_hours is None


def test_a_deploy_leaves_the_running_job_its_version() -> None:
    version = "mixedInstancesPolicy.launchTemplate.launchTemplateSpecification.version"
    for on_update, ignored in (("next-run", True), ("checkpoint-restart", False)):
        group = declare_fleet(on_update=on_update).one("Group", "train-spot")
        assert (version in group.options.ignoreChanges) is ignored
        specification = group.inputs["mixedInstancesPolicy"]["launchTemplate"]["launchTemplateSpecification"]
        assert specification == {"launchTemplateId": "train-template-id", "version": "7"}


def test_capacity_rebalance_is_for_replacing_only() -> None:
    declared = declare_fleet(on_rebalance="replace")
    assert declared.one("Group", "train-spot").inputs["capacityRebalance"] is True
    assert declared.one("Group", "train-backup").inputs["capacityRebalance"] is False


def test_a_forced_destroy_does_not_wait() -> None:
    declared = declare_fleet(on_destroy="force")
    assert {group.inputs["forceDelete"] for group in declared.all("Group")} == {True}


def test_nodes_are_private_encrypted_and_take_tokens_only(usual: Declared) -> None:
    template = usual.one("LaunchTemplate").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert template["networkInterfaces"] == [
        {
            "deviceIndex": 0,
            "associatePublicIpAddress": "false",
            "deleteOnTermination": "true",
            "securityGroups": ["train-nodes-id"],
        }
    ]
    assert template["blockDeviceMappings"] == [
        {
            "deviceName": "/dev/xvda",
            "ebs": {"volumeType": "gp3", "volumeSize": 100, "encrypted": "true", "deleteOnTermination": "true"},
        }
    ]
    assert template["iamInstanceProfile"]["arn"].endswith("instance-profile/train-node")
    assert "keyName" not in template


def test_an_own_key_and_size_for_the_volume() -> None:
    declared = declare_fleet(kms_key_arn="arn:aws:kms:eu-west-1:1:key/k", root_volume_gib=500)
    volume = declared.one("LaunchTemplate").inputs["blockDeviceMappings"][0]["ebs"]
    assert (volume["kmsKeyId"], volume["volumeSize"]) == ("arn:aws:kms:eu-west-1:1:key/k", 500)


def test_the_security_group_lets_in_nobody_but_nodes(usual: Declared) -> None:
    group = usual.one("SecurityGroup").inputs
    (rule,) = group["ingress"]
    assert rule["self"] is True
    assert "cidrBlocks" not in rule
    assert group["vpcId"] == "vpc-1"


def test_given_security_groups_are_used_and_none_is_made() -> None:
    declared = declare_fleet(security_group_ids=["sg-1", "sg-2"])
    assert declared.all("SecurityGroup") == []
    interface = declared.one("LaunchTemplate").inputs["networkInterfaces"][0]
    assert interface["securityGroups"] == declared.exports["security_group_ids"] == ["sg-1", "sg-2"]


def test_one_tags_input_reaches_everything(usual: Declared) -> None:
    tags = {**TAGS, "team": "vision"}
    for kind in ("Role", "InstanceProfile", "SecurityGroup", "LaunchTemplate"):
        assert usual.one(kind).inputs["tags"] == tags
    specifications = usual.one("LaunchTemplate").inputs["tagSpecifications"]
    assert specifications == [{"resourceType": kind, "tags": tags} for kind in ("instance", "volume")]
    for name in ("spot", "backup"):
        group_tags = usual.one("Group", f"train-{name}").inputs["tags"]
        assert {tag["key"]: tag["value"] for tag in group_tags} == {
            **tags,
            "Name": f"{FLEET}-{name}",
            "spotkeeper:group": name,
        }
        assert all(tag["propagateAtLaunch"] for tag in group_tags)


def test_a_name_that_the_user_gives_is_kept() -> None:
    declared = declare_fleet(tags={"Name": "ours"})
    names = [tag["value"] for group in declared.all("Group") for tag in group.inputs["tags"] if tag["key"] == "Name"]
    assert names == ["ours", "ours"]


def test_the_agent_is_kept_under_its_digest(usual: Declared) -> None:
    agent = usual.one("BucketObjectv2", "train-agent")
    archive = agent_archive()
    assert base64.b64decode(agent.inputs["contentBase64"]) == archive.body
    assert agent.inputs["key"] == f"agent/{archive.sha256}.pyz"
    assert agent.options.retainOnDelete is True


def test_the_agent_is_told_everything(usual: Declared) -> None:
    script = user_data_of(usual)
    (line,) = [line for line in script.splitlines() if line.startswith('{"')]
    assert json.loads(line) == {
        "fleet": FLEET,
        "incarnation": "AROAEXAMPLE",
        "cloud": "aws",
        "region": REGION,
        "ledger": f"s3://{RESPONDER}",
        "checkpoint_uri": "s3://checkpoints/jobs/digits",
        "command": fleet_args()["command"],
        "run_dir": "/run/spotkeeper",
        "hook": "spotkeeper-terminate",
        "node_prefix": "AROAEXAMPLE:",
        "notice_seconds": 120.0,
        "report_seconds": 30.0,
        "lease_seconds": 30.0,
        "signal_poll_seconds": 5.0,
        "imds_poll_seconds": 1.0,
        "hook_seconds": 600.0,
        "save_gap_seconds": 60.0,
        "rebalance_expiry_seconds": 1200.0,
        "log_seconds": 60.0,
        "hang_seconds": 600.0,
        "max_restarts": 3,
    }
    assert agent_archive().sha256 in script


def test_the_agent_is_told_how_the_job_wants_to_be_told() -> None:
    wishes = {"notice_signal": "USR1", "notice_command": "sync", "notice_command_confirms": True}
    where: Any = {
        "cloud": "aws",
        "fleet": FLEET,
        "region": REGION,
        "ledger": f"s3://{RESPONDER}",
        "incarnation": "A",
        "command": "train",
        "checkpoint_uri": "s3://checkpoints",
        "more": {},
    }
    told = agent_config(plan_fleet({"nodes": 1, **wishes}), **where)
    assert {name: told.get(name) for name in wishes} == wishes
    assert load(AgentConfig, json.dumps(told).encode()).extra == {}
    bare = agent_config(plan_fleet({"nodes": 1, "notice_signal": "none"}), **where)
    assert not set(bare) & set(wishes)


def test_an_elastic_fleets_agents_are_told_so() -> None:
    declared = declare_fleet(gang="single_zone", elastic={"min_nodes": 2.0, "join": "now"})
    (line,) = [line for line in user_data_of(declared).splitlines() if line.startswith('{"')]
    told = json.loads(line)
    assert told["elastic"] == {"min_nodes": 2, "processes_per_node": 1, "join": "now", "single_zone": True}
    assert told["peer_port"] == 7610
    assert spec_of(declared).min_nodes == 2
    assert spec_of(declare_fleet()).min_nodes is None
    (group,) = declared.all("SecurityGroup")
    assert [rule["self"] for rule in group.inputs["ingress"]] == [True]  # agents and ranks, nobody else


def requirements_of(requirements: dict[str, Any]) -> dict[str, Any]:
    declared = declare_fleet(instance_types=..., instance_requirements=requirements)
    overrides = declared.one("Group", "train-spot").inputs["mixedInstancesPolicy"]["launchTemplate"]["overrides"]
    assert (
        overrides == declared.one("Group", "train-backup").inputs["mixedInstancesPolicy"]["launchTemplate"]["overrides"]
    )
    (override,) = overrides
    wanted: dict[str, Any] = override["instanceRequirements"]
    return wanted


def test_instances_may_be_chosen_by_attributes() -> None:
    wanted = requirements_of(
        {
            "vcpu_min": 8,
            "vcpu_max": 96,
            "memory_gib_min": 32,
            "accelerator_names": ["a10g", "l4"],
            "accelerator_count_min": 1,
            "accelerator_count_max": 4,
            "accelerator_memory_gib_min": 22,
        }
    )
    assert wanted == {
        "vcpuCount": {"min": 8, "max": 96},
        "memoryMib": {"min": 32768},
        "acceleratorNames": ["a10g", "l4"],
        "acceleratorCount": {"min": 1, "max": 4},
        "acceleratorTotalMemoryMib": {"min": 22528},
    }


def test_accelerators_that_are_named_are_wanted_and_others_are_not() -> None:
    least = {"vcpu_min": 4, "memory_gib_min": 8}
    assert requirements_of(least)["acceleratorCount"] == {"max": 0}
    assert requirements_of({**least, "accelerator_names": ["h100"]})["acceleratorCount"] == {"min": 1}


def test_outputs_are_registered_and_known(usual: Declared) -> None:
    assert set(usual.notes.outputs["train"]) == set(map(schema_name, spotkeeper.AwsTrainingFleet.__annotations__))
    assert usual.exports["fleet"] == FLEET
    assert usual.exports["backup_group_arn"].endswith(f"group/spotkeeper-{FLEET}-backup")
    assert usual.exports["ledger_prefix"] == f"s3://{RESPONDER}/fleets/{FLEET}/"
    assert usual.exports["launch_template_id"] == "train-template-id"


def test_a_preview_declares_the_same() -> None:
    update, preview = declare_fleet(), declare_fleet(preview=True)
    assert {seen.label for seen in preview.notes.seen} == {seen.label for seen in update.notes.seen}
    assert preview.one("Group", "train-spot").inputs["maxSize"] == 8


def test_subnets_that_do_not_exist_yet_do_not_stop_a_preview() -> None:
    def program() -> None:
        subnets = [aws.ec2.LaunchTemplate(f"not-yet-{n}").id for n in range(2)]  # any resource's unknown id will do
        spotkeeper.AwsTrainingFleet("train", fleet_args(subnet_ids=subnets))

    declared = declare(program, preview=True)
    assert isinstance(declared.one("Group", "train-spot").inputs.get("vpcZoneIdentifiers"), pulumi.output.Unknown)


def test_a_provider_reaches_children_and_lookups() -> None:
    def program() -> None:
        west = aws.Provider("west", region="us-west-2")
        spotkeeper.AwsTrainingFleet("train", fleet_args(), pulumi.ResourceOptions(providers={"aws": west}))

    declared = declare(program)
    children = [seen for seen in declared.notes.seen if seen.parent == "train"]
    assert children
    assert all("::west::" in seen.options.provider for seen in children)
    assert declared.notes.invokes
    assert all("::west::" in provider for _, provider in declared.notes.invokes)
