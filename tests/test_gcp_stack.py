"""The stack program on Google Cloud, and its configuration files."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi
import pytest

import test_stack
from gcp_resources import GCP_REGION
from pulumi_support import PROJECT, Declared, declare
from spotkeeper import FleetTimingsArgs, InputError
from spotkeeper_ledger import load
from spotkeeper_ledger.documents import FleetSpec
from test_stack import DECLARED, PROGRAM, REQUIRED, as_given, stack_file

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

LEAST: dict[str, Any] = {
    "cloud": "gcp",
    "subnetwork": "nodes",
    "image": "projects/p/global/images/family/f",
    "command": "train",
    "checkpointUri": "gs://saves/job",
    "machineTypes": ["n2-standard-8", "n2d-standard-8"],
    "nodes": 4,
}


def run(*, preview: bool = False, **values: Any) -> Declared:
    return declare(PROGRAM, config=as_given({**LEAST, **values}), preview=preview)


def spec_of(declared: Declared, name: str) -> FleetSpec:
    return load(FleetSpec, declared.one("BucketObject", f"{name}-spec").inputs["content"].encode())


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_stack_is_a_responder_and_a_fleet(preview: bool) -> None:
    declared = run(preview=preview)
    tops = {seen.label for seen in declared.notes.seen if seen.parent == f"{PROJECT}-test"}
    assert tops == {"GcpInterruptionResponder responder", "GcpTrainingFleet training"}
    assert len(declared.all("RegionInstanceGroupManager")) == 2
    assert set(declared.exports) >= {"uri", "fleet", "spot_group_name", "backup_group_name", "ledger_prefix"}


def test_what_is_not_set_takes_the_default() -> None:
    spec = spec_of(run(), "training")
    assert (spec.cloud, spec.region, spec.target, spec.base, spec.maximum) == ("gcp", GCP_REGION, 4, 0, 4)
    assert (spec.gang, spec.policy.name, spec.on_update, spec.notice_seconds) == ("none", "mirror", "next-run", 120.0)


def test_defaults_of_the_project_file_are_those_of_the_components() -> None:
    defaults = {
        key: item["default"] for key, item in DECLARED["config"].items() if "default" in item and key not in LEAST
    }
    bare, full = (
        {seen.label: seen.inputs for seen in declared.notes.seen if seen.name != "responder-function"}
        for declared in (run(), run(**defaults))
    )
    assert full == bare


def test_every_key_reaches_the_components() -> None:
    declared = run(
        fleetName="vision",
        onDemandBase=1,
        onDemandMax=2,
        maxOnDemandHours=36,
        policy="patient",
        policyWaitSeconds=90,
        allocationStrategy="capacity-optimized-prioritized",
        machineTypes=["n1-standard-8", "n1-standard-16"],
        acceleratorType="nvidia-tesla-t4",
        acceleratorCount=2,
        targetShape="BALANCED",
        zones=["europe-west4-a", "europe-west4-c"],
        acceptNarrowPool=True,
        gang="region",
        onUpdate="checkpoint-restart",
        onDestroy="checkpoint",
        preemptionNoticeSeconds=0,
        timings={"linger_seconds": 7.5},
        labels={"team": "vision"},
        bucketName="our-ledger",
        buildServiceAccount="projects/p/serviceAccounts/build@p.iam.gserviceaccount.com",
    )
    spec, group = spec_of(declared, "vision"), declared.one("RegionInstanceGroupManager", "vision-spot").inputs
    template = declared.one("RegionInstanceTemplate", "vision-spot").inputs
    assert (spec.base, spec.maximum, spec.policy.name, spec.policy.wait_seconds) == (1, 2, "patient", 90.0)
    assert (spec.max_on_demand_hours, spec.notice_seconds, spec.linger_seconds) == (36.0, 30.0, 7.5)
    assert (spec.gang, spec.on_update) == ("region", "checkpoint-restart")
    assert group["distributionPolicyTargetShape"] == "BALANCED"
    assert group["distributionPolicyZones"] == ["europe-west4-a", "europe-west4-c"]
    assert [each["rank"] for each in group["instanceFlexibilityPolicy"]["instanceSelections"]] == [1, 2]
    assert template["guestAccelerators"] == [{"type": "nvidia-tesla-t4", "count": 2}]
    assert template["labels"]["team"] == declared.one("Bucket").inputs["labels"]["team"] == "vision"
    assert declared.one("Bucket").inputs["name"] == "our-ledger"
    assert declared.one("Function").inputs["buildConfig"]["serviceAccount"].startswith("projects/p/serviceAccounts/")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 0}, "spotkeeper:nodes: was 0, expected a whole number, at least 1"),
        ({"targetShape": "EVEN"}, "spotkeeper:targetShape: was 'EVEN', expected 'ANY' or 'BALANCED' or 'ANY_SINGLE_ZO"),
        ({"machineTypes": []}, "spotkeeper:machineTypes: was None, expected a value; this input is required"),
        ({"preemptionNoticeSeconds": 30}, "spotkeeper:preemptionNoticeSeconds: was 30, expected 0 or 120"),
        ({"labels": {"Team": "a"}}, "spotkeeper:labels: was 'Team', expected a key of lower-case letters"),
        ({"bucketName": "1st"}, "spotkeeper:bucketName: was '1st', expected one that begins with a letter"),
    ],
)
def test_a_refused_input_is_named_by_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run(**values)


def test_the_rehearsals_stack_runs() -> None:
    filled = {"spotkeeper:subnetwork": "nodes", "spotkeeper:image": "image"}
    spec = spec_of(declare(PROGRAM, config=as_given({**stack_file("local-gcp"), **filled})), "digits")
    assert (spec.notice_seconds, spec.hook_seconds, spec.report_seconds) == (5.0, 8.0, 0.5)


def test_both_rehearsals_run_the_same_job_at_the_same_pace() -> None:
    aws, gcp = stack_file("local-aws"), stack_file("local-gcp")
    for key in ("fleetName", "nodes", "command", "timings"):
        assert aws[f"spotkeeper:{key}"] == gcp[f"spotkeeper:{key}"], key


def test_the_real_stack_runs_once_its_placeholders_are_filled_in() -> None:
    values = stack_file("gcp-training")
    placeholders = {key.removeprefix("spotkeeper:") for key, value in values.items() if "<" in json.dumps(value)}
    assert placeholders == {
        "gcp:project",
        "gcp:region",
        "subnetwork",
        "image",
        "command",
        "checkpointUri",
        "alertEmail",
        "labels",
    }
    mine = {f"spotkeeper:{key}": LEAST[key] for key in placeholders & set(LEAST)}
    more = {"gcp:project": "p", "gcp:region": "r", "spotkeeper:alertEmail": "a@b", "spotkeeper:labels": {"team": "t"}}
    spec = spec_of(declare(PROGRAM, config=as_given({**values, **mine, **more})), "training")
    assert (spec.target, spec.base, spec.maximum) == (4, 1, 2)


@pytest.mark.parametrize("name", ["local-gcp", "gcp-training"])
def test_stack_files_set_only_what_is_declared_and_all_that_is_required(name: str) -> None:
    own = {key.removeprefix("spotkeeper:"): value for key, value in stack_file(name).items() if key.startswith("spotk")}
    assert set(own) <= set(DECLARED["config"])
    assert REQUIRED["gcp"] - set(own) == ({"subnetwork", "image"} if name == "local-gcp" else set())
    assert set(own.get("timings", {})) <= set(FleetTimingsArgs.__annotations__)


def test_the_program_reads_what_the_project_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    for name in ("get", "get_int", "get_float", "get_bool", "get_object"):
        getter = getattr(pulumi.Config, name)

        def note(self: pulumi.Config, key: str, *rest: Any, getter: Any = getter) -> Any:
            read.add(key)
            return getter(self, key, *rest)

        monkeypatch.setattr(pulumi.Config, name, note)
    test_stack.run()
    run()
    assert read == set(DECLARED["config"])
