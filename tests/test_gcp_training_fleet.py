"""What a fleet on Google Cloud is made of, as the engine sees it: in an update, and in a preview that knows nothing."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

import spotkeeper
from gcp_declared import RESPONDER, declare_gcp_fleet, gcp_fleet_args
from gcp_resources import GCP_PROJECT, GCP_REGION, ROOT, ZONES
from pulumi_support import Declared, declare
from spotkeeper.archives import agent_archive
from spotkeeper.gcp.templates import NEXT_RUN, version_of
from spotkeeper.outputs import schema_name
from spotkeeper_agent import AgentConfig
from spotkeeper_ledger import load
from spotkeeper_ledger.documents import FleetSpec

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

FLEET = "spotkeeper-test-train"
LABELS = {"spotkeeper-fleet": FLEET, "spotkeeper-responder": RESPONDER}
GROUPS = "RegionInstanceGroupManager"
TEMPLATES = "RegionInstanceTemplate"


@pytest.fixture(scope="module")
def usual() -> Declared:
    return declare_gcp_fleet(on_demand_base=1, on_demand_max=2, labels={"team": "vision"})


@pytest.fixture(scope="module")
def gang() -> Declared:
    """A gang that is brought up to date while it runs, on machines with a GPU, and is told of nothing beforehand."""
    return declare_gcp_fleet(
        gang="single_zone",
        elastic={"min_nodes": 2.0, "join": "now"},
        machine_types=["n1-standard-8", "n1-highmem-8"],
        accelerator_type="nvidia-tesla-t4",
        accelerator_count=2,
        allocation_strategy="capacity-optimized-prioritized",
        preemption_notice_seconds=0,
        on_update="checkpoint-restart",
        kms_key="projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
        boot_disk_gib=500,
        secure_boot=True,
        subnetwork=f"projects/host/regions/{GCP_REGION}/subnetworks/shared",
    )


def spec_of(declared: Declared) -> FleetSpec:
    return load(FleetSpec, declared.one("BucketObject", "train-spec").inputs["content"].encode())


def told(declared: Declared, kind: str = "spot") -> dict[str, Any]:
    script = declared.one(TEMPLATES, f"train-{kind}").inputs["metadata"]["startup-script"]
    (line,) = [line for line in script.splitlines() if line.startswith('{"')]
    config: dict[str, Any] = json.loads(line)
    return config


def test_every_child_is_the_fleets(usual: Declared) -> None:
    children = [seen for seen in usual.notes.seen if seen.kind != "GcpTrainingFleet"]
    assert {child.parent for child in children} == {"train"}
    assert len({child.urn for child in children}) == len(children) == 11


def test_spot_nodes_are_told_and_deleted(usual: Declared) -> None:
    assert usual.one(TEMPLATES, "train-spot").inputs["scheduling"] == {
        "provisioningModel": "SPOT",
        "preemptible": True,
        "automaticRestart": False,
        "instanceTerminationAction": "DELETE",
        "onHostMaintenance": "TERMINATE",
        "preemptionNoticeDuration": {"seconds": 120},
    }


def test_on_demand_nodes_are_standard_machines_without_a_termination_action(usual: Declared) -> None:
    assert usual.one(TEMPLATES, "train-backup").inputs["scheduling"] == {
        "provisioningModel": "STANDARD",
        "preemptible": False,
        "automaticRestart": True,
        "onHostMaintenance": "MIGRATE",
    }


def test_no_notice_is_none_at_all_and_gpus_do_not_migrate(gang: Declared) -> None:
    assert "preemptionNoticeDuration" not in gang.one(TEMPLATES, "train-spot").inputs["scheduling"]
    assert gang.one(TEMPLATES, "train-backup").inputs["scheduling"]["onHostMaintenance"] == "TERMINATE"
    for template in gang.all(TEMPLATES):
        assert template.inputs["guestAccelerators"] == [{"type": "nvidia-tesla-t4", "count": 2}]


@pytest.mark.parametrize("kind", ["spot", "backup"])
def test_nodes_are_private_shielded_and_encrypted(usual: Declared, gang: Declared, kind: str) -> None:
    template = usual.one(TEMPLATES, f"train-{kind}").inputs
    subnetwork = f"{ROOT}/projects/{GCP_PROJECT}/regions/{GCP_REGION}/subnetworks/nodes"
    assert template["networkInterfaces"] == [{"subnetwork": subnetwork}]  # no access config: no external address
    assert template["canIpForward"] is False
    assert template["shieldedInstanceConfig"] == {
        "enableSecureBoot": False,
        "enableVtpm": True,
        "enableIntegrityMonitoring": True,
    }
    assert template["metadata"]["block-project-ssh-keys"] == "true"
    assert template["serviceAccount"]["email"] == usual.exports["service_account_email"]
    (disk,) = template["disks"]
    assert (disk["boot"], disk["autoDelete"], disk["diskSizeGb"], disk["diskType"]) == (True, True, 100, "pd-balanced")
    assert "diskEncryptionKey" not in disk  # Google's own

    own = gang.one(TEMPLATES, f"train-{kind}").inputs
    assert own["disks"][0]["diskEncryptionKey"]["kmsKeySelfLink"].endswith("cryptoKeys/k")
    assert (own["disks"][0]["diskSizeGb"], own["shieldedInstanceConfig"]["enableSecureBoot"]) == (500, True)
    assert own["networkInterfaces"][0]["subnetwork"].startswith(f"{ROOT}/projects/host/")


def test_one_labels_input_reaches_everything(usual: Declared) -> None:
    for kind in ("spot", "backup"):
        template = usual.one(TEMPLATES, f"train-{kind}").inputs
        expected = {**LABELS, "team": "vision", "spotkeeper-group": kind}
        assert template["labels"] == template["disks"][0]["labels"] == expected


def test_groups_take_whatever_has_capacity(usual: Declared) -> None:
    for kind in ("spot", "backup"):
        group = usual.one(GROUPS, f"train-{kind}").inputs
        assert group["name"] == group["baseInstanceName"] == f"spotkeeper-{FLEET}-{kind}"
        assert (group["distributionPolicyTargetShape"], group["distributionPolicyZones"]) == ("ANY", ZONES)
        assert group["instanceFlexibilityPolicy"] == {
            "instanceSelections": [
                {"name": "any", "rank": 1, "machineTypes": ["n2-standard-8", "n2d-standard-8"]},
            ]
        }


def test_an_order_of_types_is_ranks_and_one_type_needs_no_policy(gang: Declared) -> None:
    assert gang.one(GROUPS, "train-backup").inputs["instanceFlexibilityPolicy"]["instanceSelections"] == [
        {"name": "rank-1", "rank": 1, "machineTypes": ["n1-standard-8"]},
        {"name": "rank-2", "rank": 2, "machineTypes": ["n1-highmem-8"]},
    ]
    alone = declare_gcp_fleet(machine_types=["n2-standard-8"], accept_narrow_pool=True)
    assert "instanceFlexibilityPolicy" not in alone.one(GROUPS, "train-spot").inputs


def test_a_gang_of_one_zone_is_created_in_one(gang: Declared) -> None:
    shapes = {group.inputs["distributionPolicyTargetShape"] for group in gang.all(GROUPS)}
    assert shapes == {"ANY_SINGLE_ZONE"}


@pytest.mark.parametrize("kind", ["spot", "backup"])
def test_nothing_but_the_responder_changes_a_group(usual: Declared, kind: str) -> None:
    group = usual.one(GROUPS, f"train-{kind}")
    assert group.inputs["updatePolicy"] == {
        "type": "OPPORTUNISTIC",
        "minimalAction": "REPLACE",
        "replacementMethod": "SUBSTITUTE",
        "instanceRedistributionType": "NONE",
        "maxSurgeFixed": 0,
        "maxUnavailableFixed": len(ZONES),
    }
    assert group.inputs["instanceLifecyclePolicy"] == {
        "defaultActionOnFailure": "REPAIR",
        "forceUpdateOnRepair": "NO",
        "onRepair": {"allowChangingZone": "YES"},
    }
    assert group.inputs["waitForInstances"] is False
    assert {"targetSize", "distributionPolicyZones"} <= set(group.options.ignoreChanges)
    assert group.options.deleteBeforeReplace is True  # a replacement has its name
    assert group.options.customTimeouts.delete == "2400s"


def test_sizes_are_the_plan_at_creation(usual: Declared) -> None:
    sizes = {kind: usual.one(GROUPS, f"train-{kind}").inputs["targetSize"] for kind in ("spot", "backup")}
    assert sizes == {"spot": 3, "backup": 1}


def test_a_deploy_leaves_the_running_job_its_templates(usual: Declared, gang: Declared) -> None:
    for kind in ("spot", "backup"):
        template = usual.one(TEMPLATES, f"train-{kind}")
        assert set(template.inputs) <= set(template.options.ignoreChanges) == set(NEXT_RUN)
        assert "versions" in usual.one(GROUPS, f"train-{kind}").options.ignoreChanges
    for kind in ("spot", "backup"):
        assert list(gang.one(TEMPLATES, f"train-{kind}").options.ignoreChanges) == []
        group = gang.one(GROUPS, f"train-{kind}")
        assert "versions" not in group.options.ignoreChanges
        assert group.inputs["instanceLifecyclePolicy"]["forceUpdateOnRepair"] == "YES"


def test_both_templates_are_one_version_which_is_another_one_for_any_change(usual: Declared) -> None:
    names = {kind: usual.one(TEMPLATES, f"train-{kind}").inputs["name"] for kind in ("spot", "backup")}
    version = spec_of(usual).command_version
    assert names == {kind: f"sk-{FLEET}-{kind}-{version}" for kind in names}
    assert re.fullmatch(r"[0-9a-f]{8}", version)
    (used,) = usual.one(GROUPS, "train-backup").inputs["versions"]
    assert used == {
        "instanceTemplate": f"{ROOT}/projects/{GCP_PROJECT}/regions/{GCP_REGION}/instanceTemplates/{names['backup']}"
    }
    assert version_of(used["instanceTemplate"]) == version
    others = [
        {"command": "python3 other.py"},
        {"image": "other"},
        {"labels": {"team": "speech"}},
        {"boot_disk_gib": 200},
        {"preemption_notice_seconds": 0},
    ]
    base: dict[str, Any] = {"on_demand_base": 1, "on_demand_max": 2, "labels": {"team": "vision"}}
    versions = [spec_of(declare_gcp_fleet(**{**base, **other})).command_version for other in [{}, *others]]
    assert versions[0] == version
    assert len(set(versions)) == len(versions)


def test_names_fit_where_compute_engine_takes_63_characters() -> None:
    def program() -> None:
        spotkeeper.GcpTrainingFleet("f" * (40 - len("spotkeeper-test-")), gcp_fleet_args(gang="region"))

    declared = declare(program)
    names = [seen.inputs["name"] for kind in (GROUPS, TEMPLATES, "Firewall") for seen in declared.all(kind)]
    instances = [f"{group.inputs['baseInstanceName']}-x7k2" for group in declared.all(GROUPS)]
    assert len(names) == 5
    for name in [*names, *instances]:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name), name
    assert re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", declared.one("Account").inputs["accountId"])


def test_nodes_of_a_gang_reach_each_other_and_nobody_else_does(usual: Declared, gang: Declared) -> None:
    assert usual.all("Firewall") == []
    rule = gang.one("Firewall").inputs
    nodes = [gang.exports["service_account_email"]]
    assert (rule["sourceServiceAccounts"], rule["targetServiceAccounts"]) == (nodes, nodes)
    assert (rule["direction"], rule["allows"]) == ("INGRESS", [{"protocol": "all"}])
    assert rule["network"].startswith(f"{ROOT}/projects/host/")
    assert not {"sourceRanges", "sourceTags"} & set(rule)


def test_nodes_have_what_they_need_from_the_first_to_the_last(usual: Declared, gang: Declared) -> None:
    needed = {f"BucketIAMMember train-{name}" for name in ("ledger-read", "ledger-write", "checkpoints")}
    for kind in ("spot", "backup"):
        needs = usual.one(GROUPS, f"train-{kind}").depends_on
        assert {*needed, "TopicIAMMember train-notices", "BucketObject train-agent"} <= needs
        assert "Firewall train-nodes" in gang.one(GROUPS, f"train-{kind}").depends_on


def test_the_spec_is_last_to_come_and_first_to_go(usual: Declared) -> None:
    spec = usual.one("BucketObject", "train-spec")
    assert {f"{GROUPS} train-spot", f"{GROUPS} train-backup"} <= spec.depends_on
    assert (spec.inputs["bucket"], spec.inputs["name"]) == (RESPONDER, f"fleets/{FLEET}/spec.json")


def test_the_spec_says_what_the_user_wants(usual: Declared, gang: Declared) -> None:
    spec = spec_of(usual)
    assert (spec.fleet, spec.cloud, spec.region, spec.gang) == (FLEET, "gcp", GCP_REGION, "none")
    assert (spec.target, spec.base, spec.maximum) == (4, 1, 2)
    assert (spec.spot_group, spec.backup_group) == (f"spotkeeper-{FLEET}-spot", f"spotkeeper-{FLEET}-backup")
    assert spec.incarnation == "101234567890123456789"
    assert spec.node_prefix == f"{spec.incarnation}:"
    assert (spec.checkpoint_uri, spec.notice_seconds) == ("gs://checkpoints/jobs/digits", 120.0)
    assert (spec_of(gang).gang, spec_of(gang).on_update) == ("single_zone", "checkpoint-restart")
    assert (spec.min_nodes, spec_of(gang).min_nodes) == (None, 2)
    assert spec_of(gang).notice_seconds == 30.0  # the shutdown is all the notice there is


def test_the_agent_is_told_everything(usual: Declared, gang: Declared) -> None:
    config = told(usual)
    assert told(usual, "backup") == config
    spec = spec_of(usual)
    assert (config["cloud"], config["region"], config["fleet"]) == ("gcp", GCP_REGION, FLEET)
    assert (config["ledger"], config["checkpoint_uri"]) == (f"gs://{RESPONDER}", "gs://checkpoints/jobs/digits")
    assert config["topic"] == f"projects/{GCP_PROJECT}/topics/{RESPONDER}-events"
    assert (config["incarnation"], config["node_prefix"]) == (spec.incarnation, spec.node_prefix)
    assert config["command"] == gcp_fleet_args()["command"]
    assert load(AgentConfig, json.dumps(config).encode()).extra == {}
    assert "hook" not in config
    elastic = told(gang)
    assert elastic["elastic"] == {"min_nodes": 2, "processes_per_node": 1, "join": "now", "single_zone": True}
    assert elastic["notice_seconds"] == 30.0


def test_the_agent_is_kept_under_its_digest_as_text(usual: Declared) -> None:
    agent, archive = usual.one("BucketObject", "train-agent"), agent_archive()
    assert base64.b64decode(agent.inputs["content"]) == archive.body
    assert agent.inputs["name"] == f"agent/{archive.sha256}.pyz.b64"
    assert agent.options.retainOnDelete is True
    assert archive.sha256 in usual.one(TEMPLATES, "train-spot").inputs["metadata"]["startup-script"]


def test_a_long_command_is_fine_and_a_huge_one_is_not() -> None:
    assert told(declare_gcp_fleet(command="x" * 100_000))["command"] == "x" * 100_000
    with pytest.raises(spotkeeper.InputError, match=r"user data is .* bytes, expected one that is shorter by"):
        declare_gcp_fleet(command="x" * 262_000)


def test_outputs_are_registered_and_known(usual: Declared) -> None:
    assert set(usual.notes.outputs["train"]) == set(map(schema_name, spotkeeper.GcpTrainingFleet.__annotations__))
    assert usual.exports["fleet"] == FLEET
    assert usual.exports["backup_group_name"] == f"spotkeeper-{FLEET}-backup"
    assert usual.exports["ledger_prefix"] == f"gs://{RESPONDER}/fleets/{FLEET}/"


def test_a_preview_declares_the_same() -> None:
    update, preview = declare_gcp_fleet(gang="region"), declare_gcp_fleet(gang="region", preview=True)
    assert {seen.label for seen in preview.notes.seen} == {seen.label for seen in update.notes.seen}
    template = preview.one(TEMPLATES, "train-spot").inputs
    assert isinstance(template["name"], pulumi.output.Unknown)  # it holds the account's id, which is to come
    assert template["scheduling"]["provisioningModel"] == "SPOT"


def test_a_subnetwork_that_does_not_exist_yet_does_not_stop_a_preview() -> None:
    def program() -> None:
        network = gcp.pubsub.Topic("not-yet")  # any resource's unknown id will do
        spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(subnetwork=network.id))

    declared = declare(program, preview=True)
    (interface,) = declared.one(TEMPLATES, "train-spot").inputs["networkInterfaces"]
    assert isinstance(interface["subnetwork"], pulumi.output.Unknown)


def test_a_provider_reaches_children_and_lookups() -> None:
    def program() -> None:
        other = gcp.Provider("other", project="other-project", region=GCP_REGION)
        spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(), pulumi.ResourceOptions(providers={"gcp": other}))

    declared = declare(program)
    children = [seen for seen in declared.notes.seen if seen.parent == "train"]
    assert children
    assert all("::other::" in seen.options.provider for seen in children)
    assert declared.notes.invokes
    assert all("::other::" in provider for _, provider in declared.notes.invokes)
