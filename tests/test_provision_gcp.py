"""The real stack and single resources in the local Google Cloud: created, changed, replaced, deleted, refused."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from spotkeeper_lab import scenario
from spotkeeper_lab.deployment import Stack
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from spotkeeper_lab.local_gcp.callers import token_of
from spotkeeper_lab.provision import Provider, ProvisionError
from spotkeeper_lab.provision.gcp import Rest, RestError
from spotkeeper_lab.provision.gcp.spelling import each, one, same, spelled
from spotkeeper_lab.provision.state import Options, Resource, deletions
from spotkeeper_lab.stages.gcp import CALLER, GcpStage

TEMPLATE = "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"
MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
READS = ("get", "list", "wait", "getIamPolicy")
SLOW = Timing(boot_seconds=600, operation_seconds=0, shutdown_seconds=0)


def calls(local: LocalGcp) -> Counter[str]:
    """Calls that change something, less those that only wait."""
    made = local.calls.snapshot().get(CALLER, {})
    return Counter({name: count for name, count in made.items() if name.rpartition(".")[2] not in READS})


class Rerun:
    """A stack, and the calls that its runs make."""

    def __init__(self, local: LocalGcp, **fleet: object) -> None:
        self.local, self.stage = local, GcpStage(local)
        story = dataclasses.replace(scenario.load("storm"), nodes=3, fleet=fleet)
        self.stack = Stack(self.stage, story, "true")
        self.deployed = self.stack.create()

    def changing(self, **changes: object) -> Counter[str]:
        before = calls(self.local)
        self.stack.up(changes)
        return calls(self.local) - before


@pytest.fixture
def rerun(tmp_path):
    with LocalGcp(tmp_path, SLOW, events=EventLog()) as local:
        yield lambda **fleet: Rerun(local, **fleet)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with LocalGcp(tmp_path_factory.mktemp("cloud"), SLOW, events=EventLog()) as made:
        GcpStage(made).prepare()
        yield made


@pytest.fixture(scope="module")
def provider(local):
    return GcpStage(local).provider()


def test_the_real_stack_arrives_whole_and_what_is_not_used_is_known_by_name(rerun, monkeypatch):
    used, create = set(), Provider.create

    def noted(self, kind, name, values):
        used.add(kind)
        return create(self, kind, name, values)

    monkeypatch.setattr(Provider, "create", noted)
    fleet = rerun(onDemandBase=1, alertEmail="somebody@example.org", gang="region")
    assert used == set(fleet.stage.provider().known())
    shape = fleet.deployed.shape
    assert (fleet.deployed.fleet, shape.spot_target, shape.base) == ("spotkeeper-local-gcp-digits", 2, 1)
    launched = [moment for moment in fleet.local.events.moments() if moment.what == "instance-launched"]
    assert Counter(moment.detail["group"] for moment in launched) == {"spot": 2, "backup": 1}
    assert {moment.detail["version"] for moment in launched} == {shape.version}


def test_a_deploy_calls_nothing_but_for_what_has_changed_and_a_template_is_replaced_after_its_groups(rerun):
    fleet = rerun()
    spec, group = "storage.objects.insert", "compute.regionInstanceGroupManagers"
    assert fleet.changing() == {}
    assert fleet.changing(nodes=5) == {spec: 1}
    assert fleet.changing(timings={"imds_poll_seconds": 0.3}) == {}, "the running fleet keeps its version"
    began = len(fleet.local.events.moments())
    templates = {"compute.regionInstanceTemplates.insert": 2, "compute.regionInstanceTemplates.delete": 2}
    assert fleet.changing(onUpdate="checkpoint-restart") == {**templates, f"{group}.patch": 2, spec: 1}
    kinds = [moment.detail["kind"] for moment in fleet.local.events.moments()[began:] if "kind" in moment.detail]
    assert set(kinds[-2:]) == {TEMPLATE}, "the old ones go last"
    assert fleet.changing() == {}


def test_the_spec_goes_before_the_groups_and_what_their_nodes_need_to_save_after_them(rerun):
    stack = rerun().stack.resources
    waves = {each.label: number for number, wave in enumerate(deletions(stack, stack)) for each in wave}

    def of(kind: str, name: str) -> int:
        return next(wave for label, wave in waves.items() if label.startswith(f"{name} (") and f":{kind})" in label)

    assert of("BucketObject", "digits-spec") == 0
    groups = {of("RegionInstanceGroupManager", f"digits-{kind}") for kind in ("spot", "backup")}
    needed = [(TEMPLATE.rpartition(":")[2], "digits-spot"), ("BucketIAMMember", "digits-checkpoints")]
    assert all(
        max(groups) < of(*part) for part in (*needed, ("Account", "digits-node"), ("Bucket", "responder-ledger"))
    )


def test_what_is_wrong_is_refused_by_googles_own_description(provider):
    with pytest.raises(RestError, match=r"status 400: .*provisioningModel.*CHEAP") as refused:
        provider.create(
            TEMPLATE, "t", {"name": "t", "machineType": "n2-standard-4", "scheduling": {"provisioningModel": "CHEAP"}}
        )
    assert refused.value.status == 400
    with pytest.raises(ProvisionError, match="turbo: was True, expected one of automaticRestart"):
        provider.create(TEMPLATE, "t", {"scheduling": {"turbo": True}})
    with pytest.raises(ProvisionError, match="does not know what to do with diskBudget"):
        provider.create("gcp:pubsub/topic:Topic", "t", {"diskBudget": 3})


def test_members_of_roles_come_and_go_and_leave_others_alone(local, provider):
    rest = Rest(local.endpoint, token_of("lab"))
    given = {"bucket": "spotkeeper-rehearsal-checkpoints", "role": "roles/storage.objectViewer"}
    condition = {"title": "below", "expression": 'resource.name.startsWith("x")'}
    members = [{**given, "member": f"serviceAccount:{who}@x"} for who in "ab"]
    members.append({**given, "member": "serviceAccount:a@x", "condition": condition})
    made = []
    for number, inputs in enumerate(members):
        identity, _ = provider.create(MEMBER, f"m{number}", inputs)
        made.append(Resource(MEMBER, f"m{number}", Options(f"urn{number}"), id=identity, inputs=inputs))
    assert len({each.id for each in made}) == 3

    def bindings():
        found = rest.call("GET", f"/storage/v1/b/{given['bucket']}/iam").get("bindings", [])
        return {("condition" in each, *each["members"]) for each in found}

    assert bindings() == {(False, "serviceAccount:a@x", "serviceAccount:b@x"), (True, "serviceAccount:a@x")}
    provider.delete(made[0])
    assert bindings() == {(False, "serviceAccount:b@x"), (True, "serviceAccount:a@x")}
    provider.delete(made[2])
    provider.delete(made[1])
    assert bindings() == set()


def test_inputs_are_spelled_as_the_api_nests_them():
    fields = {**same("name"), "sizeGb": ("parameters.size", str), "disks": ("disks", each(same("boot")))}
    assert spelled({"name": "a", "sizeGb": 3, "disks": [{"boot": True}], "left": None}, {**fields, **same("left")}) == {
        "name": "a",
        "parameters": {"size": "3"},
        "disks": [{"boot": True}],
    }
    with pytest.raises(ProvisionError, match="boot: was 1, expected one of size"):
        one(same("size"))({"boot": 1})
