"""What a fleet and a responder on Google Cloud refuse: each by the input's name, what it was and what is expected."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spotkeeper
from gcp_declared import declare_gcp_fleet, declare_gcp_responder, gcp_fleet_args
from gcp_resources import GCP_REGION, INVOKES, ZONES
from pulumi_support import INVOKES as INVOKES_SEEN
from pulumi_support import declare
from spotkeeper.aws.fleet_args import AwsTrainingFleetArgs
from spotkeeper.gcp.fleet_args import GcpTrainingFleetArgs
from spotkeeper.gcp.groups import flexibility
from spotkeeper.gcp.machines import ACCELERATORS, accelerator, can_migrate
from spotkeeper.gcp.market import NOTICES, SHAPES, Market, plan_market
from spotkeeper.gcp.naming import Place, default_responder
from spotkeeper.gcp.templates import scheduling
from spotkeeper_lab.local_gcp import group_rules, template_rules

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

N1 = {"machine_types": ["n1-standard-8", "n1-highmem-8"]}
NO_TPU = "expected a machine with GPUs or none: TPUs are not supported"

FLEET = {
    "notice": (
        {"preemption_notice_seconds": 30},
        "preemption_notice_seconds: was 30, expected 0 or 120; Compute Engine gives no other notice",
    ),
    "notice as text": (
        {"preemption_notice_seconds": "120"},
        "preemption_notice_seconds: was '120', expected a whole number, at least 0",
    ),
    "even shape": (
        {"target_shape": "EVEN"},
        "target_shape: was 'EVEN', expected 'ANY' or 'BALANCED' or 'ANY_SINGLE_ZONE' (it waits for the zone that has",
    ),
    "shape": ({"target_shape": "ANYWHERE"}, "target_shape: was 'ANYWHERE', expected 'ANY' or 'BALANCED' or"),
    "shape of a gang": (
        {"gang": "single_zone", "target_shape": "BALANCED"},
        "target_shape: was 'BALANCED', expected 'ANY_SINGLE_ZONE', because nodes of this gang are of one zone",
    ),
    "prices": (
        {"allocation_strategy": "price-capacity-optimized"},
        "or 'capacity-optimized-prioritized' (a managed instance group knows no prices)",
    ),
    "strategy": ({"allocation_strategy": "rank"}, "allocation_strategy: was 'rank', expected 'capacity-optimized' or"),
    "TPU machine": ({"machine_types": ["n2-standard-8", "ct5lp-hightpu-4t"]}, f"was 'ct5lp-hightpu-4t', {NO_TPU}"),
    "newer TPU machine": ({"machine_types": "tpu7x-standard-4t"}, f"machine_types: was 'tpu7x-standard-4t', {NO_TPU}"),
    "TPU": ({**N1, "accelerator_type": "tpu-v5-lite"}, f"accelerator_type: was 'tpu-v5-lite', {NO_TPU}"),
    "no types": ({"machine_types": []}, "machine_types: was [], expected a list of machine types, such as"),
    "a type as text": ({"machine_types": "n2-standard-8"}, "machine_types: was 'n2-standard-8', expected a list of"),
    "a type of elsewhere": (
        {"machine_types": ["g5.xlarge"]},
        "machine_types: was 'g5.xlarge', expected the name of a machine type, such as 'n2-standard-8'",
    ),
    "a type twice": ({"machine_types": ["n2-standard-8"] * 2}, "expected each type once"),
    "weights": (
        {"machine_types": [{"type": "n2-standard-8", "weight": 2}]},
        "expected the name of a machine type, and no weights: a node is one unit",
    ),
    "weights apart": ({"weights": {"n2-standard-8": 2}}, "weights: was {'n2-standard-8': 2}, expected no weights"),
    "two kinds of processor": (
        {"machine_types": ["c4a-standard-8", "n2-standard-8"]},
        "expected processors of one kind, x86 or Arm: nodes start from one image",
    ),
    "mixed gang": (
        {"gang": "region", "machine_types": ["g2-standard-8", "a2-highgpu-1g"]},
        "machine_types: was ['g2-standard-8', 'a2-highgpu-1g'], expected one accelerator for all nodes of a gang, not "
        "A100 40 GB and L4",
    ),
    "gang with and without": (
        {"gang": "single_zone", "machine_types": ["g2-standard-8", "n2-standard-8"]},
        "expected one accelerator for all nodes of a gang, not L4 and none",
    ),
    "attached to others": (
        {"accelerator_type": "nvidia-tesla-t4"},
        "accelerator_type: was 'nvidia-tesla-t4', expected machine_types of the N1 series only, not 'n2-standard-8'",
    ),
    "accelerator": ({**N1, "accelerator_type": "T4!"}, "accelerator_type: was 'T4!', expected the name of a GPU"),
    "count of none": ({"accelerator_count": 2}, "accelerator_count: was 2, expected an accelerator_type, of which"),
    "odd count": (
        {**N1, "accelerator_type": "nvidia-tesla-t4", "accelerator_count": 3},
        "accelerator_count: was 3, expected 1, 2, 4 or 8",
    ),
    "large count": (
        {**N1, "accelerator_type": "nvidia-tesla-t4", "accelerator_count": 16},
        "accelerator_count: was 16, expected a whole number, from 1 to 8",
    ),
    "zones as text": ({"zones": ZONES[0]}, f"zones: was '{ZONES[0]}', expected a list of zones"),
    "no zones": ({"zones": []}, "zones: was [], expected a list of zones"),
    "a zone twice": ({"zones": [ZONES[0]] * 2}, "expected each zone once"),
    "a zone of elsewhere": (
        {"zones": [ZONES[0], "us-east1-b"]},
        f"zones: was 'us-east1-b', expected zones of {GCP_REGION}: {', '.join(ZONES)}",
    ),
    "narrow": (
        {"zones": [ZONES[0]]},
        "machine_types: was ['n2-standard-8', 'n2d-standard-8'] in 1 zone, which makes 2 candidate pools (types times "
        "zones), expected at least 6 (more types, or more zones), or accept_narrow_pool",
    ),
    "disk": ({"boot_disk_type": "pd-standard"}, "boot_disk_type: was 'pd-standard', expected 'pd-balanced' or 'pd-ssd"),
    "disk of newer types": (
        {"machine_types": ["n2-standard-8", "n4-standard-8"]},
        "boot_disk_type: was 'pd-balanced', expected 'hyperdisk-balanced', the only kind that 'n4-standard-8' starts",
    ),
    "small disk": ({"boot_disk_gib": 5}, "boot_disk_gib: was 5, expected a whole number, from 10 to 65536"),
    "key": ({"kms_key": "my-key"}, "kms_key: was 'my-key', expected projects/<project>/locations/<region>/keyRings/"),
    "secure boot": ({"secure_boot": "yes"}, "secure_boot: was 'yes', expected true or false"),
    "subnetwork path": (
        {"subnetwork": f"regions/{GCP_REGION}/subnetworks/nodes"},
        "expected its name, or projects/<project>/regions/<region>/subnetworks/<name>",
    ),
    "subnetwork of elsewhere": (
        {"subnetwork": "projects/p/regions/us-east1/subnetworks/nodes"},
        f"expected a subnetwork of {GCP_REGION}, where the provider puts the fleet",
    ),
    "no subnetwork": ({"subnetwork": " "}, "subnetwork: was ' ', expected a subnetwork's name or path"),
    "image": ({"image": ""}, "image: was '', expected an image, such as projects/"),
    "nodes": ({"nodes": 1001}, "nodes: was 1001, expected at most 1000"),
    "rebalance": (
        {"on_rebalance": "checkpoint"},
        "on_rebalance: was 'checkpoint', expected no such input: Compute Engine does not say beforehand",
    ),
    "tags": ({"tags": {}}, "tags: was {}, expected labels, which is what Google Cloud calls them"),
    "types of elsewhere": ({"instance_types": ["g5.xlarge"]}, "instance_types: was ['g5.xlarge'], expected machine_ty"),
    "misspelt": ({"machineTypes": []}, "machineTypes: was [], expected one of accelerator_count,"),
    "label": ({"labels": {"Team": "x"}}, "labels: was 'Team', expected a key of lower-case letters, digits, - and _"),
    "own label": ({"labels": {"spotkeeper-fleet": "x"}}, "labels: was 'spotkeeper-fleet', expected a key"),
    "label's value": ({"labels": {"team": "A"}}, "labels.team: was 'A', expected at most 63 lower-case letters"),
    "many labels": ({"labels": {f"l{n}": "" for n in range(61)}}, "labels: was '61 labels', expected at most 60"),
    "responder": (
        {"responder": "s3://ledger"},
        "responder: was 's3://ledger', expected the uri of a GcpInterruptionResponder: gs://<its ledger bucket>",
    ),
    "checkpoint": ({"checkpoint_uri": "s3://b/p"}, "checkpoint_uri: was 's3://b/p', expected gs://bucket/prefix"),
    "checkpoint that ends a text": ({"checkpoint_uri": 'gs://b/p"'}, "expected gs://bucket/prefix of letters"),
    "checkpoint over code": (
        {"checkpoint_uri": "gs://spotkeeper-ledger/function"},
        "checkpoint_uri: was 'gs://spotkeeper-ledger/function', expected another bucket, or another folder",
    ),
    "serving": ({"workload": "serving"}, "workload: was 'serving', expected 'training' (a fleet drains"),
    "elastic alone": ({"elastic": {}}, "gang: was 'none', expected 'single_zone' or 'region'"),
    "gang": ({"gang": "zone"}, "gang: was 'zone', expected 'none' or 'single_zone' or 'region'"),
    "destroy": ({"on_destroy": "keep"}, "on_destroy: was 'keep', expected 'checkpoint' or 'force'"),
    "timing": ({"timings": {"linger": 5}}, "timings.linger: was 5, expected one of boot_grace_seconds,"),
}
REQUIRED = ("subnetwork", "nodes", "image", "command", "checkpoint_uri", "responder", "machine_types")

RESPONDER = {
    "bucket": ({"bucket_name": "Ledger"}, "bucket_name: was 'Ledger', expected 3 to 52 lower-case letters, digits"),
    "digit": ({"bucket_name": "1st-ledger"}, "bucket_name: was '1st-ledger', expected one that begins with a letter"),
    "google's": ({"bucket_name": "my-google-ledger"}, "expected one that begins with a letter and could not be Google"),
    "misspelt": ({"bucket": "ledger"}, "bucket: was 'ledger', expected one of alert_email, bucket_name,"),
    "labels": ({"labels": {"goog-x": "y"}}, "labels: was 'goog-x', expected a key"),
}


@pytest.mark.parametrize(("changes", "message"), FLEET.values(), ids=FLEET)
def test_a_fleet_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(spotkeeper.InputError) as refused:
        declare_gcp_fleet(**changes)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_fleet_needs(name: str) -> None:
    with pytest.raises(spotkeeper.InputError, match=f"^{name}: was None, expected a value; this input is required"):
        declare_gcp_fleet(**{name: ...})


@pytest.mark.parametrize(("inputs", "message"), RESPONDER.values(), ids=RESPONDER)
def test_a_responder_refuses(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(spotkeeper.InputError) as refused:
        declare_gcp_responder(**inputs)
    assert message in str(refused.value)


def test_names_that_are_too_long_are_refused() -> None:
    with pytest.raises(spotkeeper.InputError, match=r"^name: was 'fff.*may have 40 characters"):
        declare(lambda: spotkeeper.GcpTrainingFleet("f" * 25, gcp_fleet_args()))
    place = Place("p" * 30, "1", "northamerica-northeast1")
    with pytest.raises(spotkeeper.InputError, match=r"^bucket_name: was None, expected a name, because the usual one"):
        default_responder(place)
    assert default_responder(Place("example.com:shop", "1", "r")) == "spotkeeper-example-com-shop-r"


@pytest.mark.parametrize("key", ["project", "region"])
def test_a_provider_without_a_place_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "gcp:organizations/getClientConfig:getClientConfig"
    answers = INVOKES[token]
    monkeypatch.setitem(cast("dict[str, Any]", INVOKES_SEEN), token, lambda args: {**answers(args), key: ""})
    with pytest.raises(spotkeeper.InputError, match=f"^gcp:{key}: was None, expected a value in the provider's config"):
        declare_gcp_responder()


def test_values_that_come_from_other_resources_are_checked_when_they_are_known() -> None:
    def program() -> None:
        bucket = pulumi.Output.from_input("s3://elsewhere")
        spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(checkpoint_uri=bucket))

    with pytest.raises(spotkeeper.InputError, match="checkpoint_uri: was 's3://elsewhere', expected gs://"):
        declare(program)


def test_a_preview_does_not_mind_what_it_cannot_know_yet() -> None:
    def program() -> None:
        responder = spotkeeper.GcpInterruptionResponder("keeper", {})
        spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(responder=responder.uri))

    declared = declare(program, preview=True)
    assert len(declared.all("RegionInstanceGroupManager")) == 2


def test_what_is_narrow_but_meant_so_is_accepted() -> None:
    declared = declare_gcp_fleet(zones=[ZONES[0]], accept_narrow_pool=True)
    group = declared.one("RegionInstanceGroupManager", "train-spot").inputs
    assert (group["distributionPolicyZones"], group["updatePolicy"]["maxUnavailableFixed"]) == ([ZONES[0]], 1)


@pytest.mark.parametrize(
    ("machine_type", "expected", "migrates"),
    [
        ("n2-standard-8", "", True),
        ("e2-custom-4-8192", "", True),
        ("g2-standard-8", "L4", False),
        ("a3-ultragpu-8g", "H200", False),
        ("a9-hypergpu-8g", "a9-hypergpu", False),  # not in the table yet: still one, and no other one's equal
        ("c3-standard-192-metal", "", False),
        ("h3-standard-88", "", False),
    ],
)
def test_what_comes_with_a_machine_type(machine_type: str, expected: str, migrates: bool) -> None:
    assert (accelerator(machine_type), can_migrate(machine_type)) == (expected, migrates)


# ---------------------------------------------------------------- against rules that the local cloud keeps of the API's

FAMILIES = ["n2-standard-8", "n1-standard-8", "c3-standard-8", *(f"{kind}-1g" for kind in ACCELERATORS)]


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Whatever is not refused."""
    types = draw(st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=4, unique=True))
    gang = draw(st.sampled_from(["none", "region", "single_zone"]))
    args: dict[str, Any] = {
        "machine_types": types,
        "preemption_notice_seconds": draw(st.sampled_from(NOTICES)),
        "allocation_strategy": draw(st.sampled_from(["capacity-optimized", "capacity-optimized-prioritized"])),
        "target_shape": draw(st.sampled_from([None, *SHAPES])),
        "accelerator_type": draw(st.sampled_from([None, "nvidia-tesla-t4"])),
    }
    try:
        return plan_market(args, gang)
    except spotkeeper.InputError:
        return plan_market({"machine_types": types[:1]}, "none")


def api(value: Any) -> Any:
    """Inputs in the API's own spelling: names in camel case."""
    if isinstance(value, dict):
        return {
            "".join([first, *(w.title() for w in rest)]): api(item)
            for key, item in value.items()
            for first, *rest in [key.split("_")]
        }
    return [api(item) for item in value] if isinstance(value, list) else value


@given(markets(), st.sampled_from(["spot", "backup"]))
def test_whatever_is_let_through_the_api_takes(market: Market, kind: str) -> None:
    attached = [{"acceleratorType": market.accelerator_type, "acceleratorCount": 1}] if market.accelerator_type else []
    template_rules.check(
        {
            "name": "t",
            "properties": {
                "machineType": market.types[0],
                "disks": [{}],
                "networkInterfaces": [{}],
                "guestAccelerators": attached,
                "scheduling": api(scheduling(kind, market)),
            },
        }
    )
    body = {
        "name": "g",
        "baseInstanceName": "g",
        "targetSize": 1,
        "versions": [{"instanceTemplate": "t"}],
        "distributionPolicy": {"targetShape": market.shape, "zones": [{"zone": f"zones/{zone}"} for zone in ZONES]},
        "updatePolicy": {
            "type": "OPPORTUNISTIC",
            "instanceRedistributionType": "NONE",
            "maxSurge": {"fixed": 0},
            "maxUnavailable": {"fixed": len(ZONES)},
        },
    }
    group_rules.check(group_rules.complete(body, ZONES), ZONES)
    picks = flexibility(market)
    if picks is not None:
        chosen: Any = picks["instance_selections"]
        assert list(itertools.chain(*(each["machine_types"] for each in chosen))) == list(market.types)


# ---------------------------------------------------------------- the same words on every cloud

DIFFERENT = {"checkpoint_uri", "responder", "allocation_strategy", "on_destroy", "timings"}
"""What both clouds have under one name and have to tell apart in its description."""


def test_what_means_the_same_is_called_and_described_the_same() -> None:
    from pulumi.provider.experimental.analyzer import Analyzer

    described = {}
    for kind in (AwsTrainingFleetArgs, GcpTrainingFleetArgs):
        analyzer = Analyzer("spotkeeper")
        described[kind] = {name: analyzer.get_docstring(kind, name) for name in kind.__annotations__}
    aws, gcp = described[AwsTrainingFleetArgs], described[GcpTrainingFleetArgs]
    shared = aws.keys() & gcp.keys()
    assert {"nodes", "command", "policy", "gang", "elastic", "on_update", "max_on_demand_hours"} <= shared
    assert {name for name in shared if aws[name] != gcp[name]} <= DIFFERENT
    for name in shared - DIFFERENT:
        assert AwsTrainingFleetArgs.__annotations__[name] == GcpTrainingFleetArgs.__annotations__[name]
