"""The plugin as Pulumi starts it, from a wheel, in a process of its own: what programs in other languages get of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pulumi
import pytest
import yaml

import engine_support as engine
from engine_support import ROOT, UNKNOWN, Constructed, Plugin, Refused, output, secret
from gcp_declared import declare_gcp_fleet, declare_gcp_responder
from gcp_resources import GCP_REGION
from pulumi_support import ACCOUNT, PROJECT, REGION, STACK, Seen, declare_fleet, declare_responder
from spotkeeper.archives import function_sources
from spotkeeper.outputs import python_name
from spotkeeper_ledger import load
from spotkeeper_ledger.documents import FleetSpec
from test_readme import blocks

RESPONDER = f"s3://spotkeeper-{ACCOUNT}-{REGION}"
AWS = {
    "subnetIds": ["subnet-a", "subnet-b", "subnet-c"],
    "nodes": 4,
    "imageId": "ami-1",
    "command": "python3 train.py",
    "checkpointUri": "s3://checkpoints/jobs/digits",
    "responder": RESPONDER,
    "instanceTypes": ["g5.xlarge", "g5.2xlarge"],
}
GCP = {
    "subnetwork": "nodes",
    "nodes": 4,
    "image": "projects/ml-project/global/images/family/trainer",
    "command": "python3 train.py",
    "checkpointUri": "gs://checkpoints/jobs/digits",
    "responder": "gs://spotkeeper-ledger",
    "machineTypes": ["n2-standard-8", "n2d-standard-8"],
}
FLEETS = {"AwsTrainingFleet": AWS, "GcpTrainingFleet": GCP}
SHIPPED = "spotkeeper_responder/aws/handler.py"
MARK = "# out of the wheel\n"
ABOVE = f"urn:pulumi:{STACK}::{PROJECT}::my:index:Platform::ml"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    place = engine.installed(tmp_path_factory.mktemp("plugin"))
    with (place / SHIPPED).open("a", encoding="utf-8") as file:
        file.write(MARK)
    with engine.started(place) as plugin:
        yield plugin


def refused(plugin: Plugin, component: str = "AwsTrainingFleet", **changes: Any) -> Refused:
    inputs = {name: value for name, value in {**FLEETS[component], **changes}.items() if value is not None}
    with pytest.raises(Refused) as caught:
        plugin.construct(component, inputs)
    return caught.value


def spec(made: Constructed) -> FleetSpec:
    return load(FleetSpec, made.children["BucketObjectv2 train-spec"].inputs["content"].encode())


def test_it_tells_its_version_and_the_contract(plugin: Plugin) -> None:
    contract = json.loads((ROOT / "plugin/schema.json").read_text("utf-8"))
    assert json.loads(plugin.schema()) == contract
    assert plugin.version() == contract["version"]


def test_a_responder_is_made(plugin: Plugin) -> None:
    made = plugin.construct("AwsInterruptionResponder", {"logRetentionDays": 14}, name="keeper")
    assert made.urn == f"urn:pulumi:{STACK}::{PROJECT}::spotkeeper:index:AwsInterruptionResponder::keeper"
    assert made.outputs["uri"] == RESPONDER
    assert made.children["LogGroup keeper-function"].inputs["retentionInDays"] == 14


def test_the_function_comes_out_of_the_wheel(plugin: Plugin) -> None:
    """Every file of it is in there; a mark in one of them says that no other copy was read."""
    made = plugin.construct("AwsInterruptionResponder", {}, name="keeper")
    code = {name: asset.text for name, asset in made.children["Function keeper-function"].inputs["code"].assets.items()}
    assert code[SHIPPED].endswith(MARK)
    code[SHIPPED] = code[SHIPPED].removesuffix(MARK)
    assert code == dict(function_sources("aws"))


@pytest.mark.parametrize(
    ("component", "inputs", "declare"),
    [
        ("AwsTrainingFleet", AWS, declare_fleet),
        ("GcpTrainingFleet", GCP, declare_gcp_fleet),
        ("AwsInterruptionResponder", {"logRetentionDays": 14}, declare_responder),
        ("GcpInterruptionResponder", {"alertEmail": "me@example.com"}, declare_gcp_responder),
    ],
)
def test_what_is_made_is_what_a_program_in_python_makes(
    plugin: Plugin, component: str, inputs: dict[str, Any], declare: Any
) -> None:
    """All of it: the agent on the nodes, the fleet's document, the function of Google's; but for the mark."""
    name = "train" if component in FLEETS else "keeper"
    native = declare(**{python_name(key): value for key, value in inputs.items()})
    made = plugin.construct(component, inputs, name=name)
    assert everything(made.monitor.notes.seen) == everything(native.notes.seen)


def everything(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return what is there to be compared of resources: inputs with the texts of archives, and what is waited for."""
    return {
        each.label: (
            {
                key: _texts(value)
                for key, value in each.inputs.items()
                if (each.label, key) != ("Function keeper-function", "code")
            },
            each.parent if each.options.custom else "",
            each.depends_on,
            each.options.protect,
        )
        for each in seen
    }


def _texts(value: Any) -> Any:
    if isinstance(value, pulumi.AssetArchive):
        return {name: _texts(asset.text) for name, asset in value.assets.items()}
    long = isinstance(value, str) and len(value) > 2000  # what is shown of a failure stays readable
    return hashlib.sha256(value.encode()).hexdigest() if long else value


@pytest.mark.parametrize("component", FLEETS)
@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_a_fleet_is_made(plugin: Plugin, component: str, preview: bool) -> None:
    made = plugin.construct(component, FLEETS[component], preview=preview, parent=ABOVE)
    assert made.urn == f"urn:pulumi:{STACK}::{PROJECT}::my:index:Platform$spotkeeper:index:{component}::train"
    (fleet,) = [seen for seen in made.monitor.notes.seen if not seen.options.custom]
    assert fleet.options.parent == ABOVE
    assert {seen.options.parent for seen in made.monitor.notes.seen if seen is not fleet} == {made.urn}
    groups = [label for label in made.children if label.split()[0] in {"Group", "RegionInstanceGroupManager"}]
    assert len(groups) == 2


@pytest.mark.parametrize("component", FLEETS)
def test_every_output_of_the_contract_is_given_and_kept(plugin: Plugin, component: str) -> None:
    made = plugin.construct(component, FLEETS[component])
    contract = json.loads((ROOT / "plugin/schema.json").read_text("utf-8"))
    promised = set(contract["resources"][f"spotkeeper:index:{component}"]["properties"])
    assert set(made.outputs) == promised
    assert set(made.monitor.notes.outputs["train"]) == promised
    assert UNKNOWN not in made.outputs.values()
    assert made.outputs["fleet"] == f"{PROJECT}-{STACK}-train"


def test_in_a_preview_what_is_not_made_yet_is_not_known(plugin: Plugin) -> None:
    made = plugin.construct("AwsTrainingFleet", AWS, preview=True)
    assert made.outputs["launchTemplateId"] == UNKNOWN
    assert made.outputs["fleet"] == f"{PROJECT}-{STACK}-train"


def test_an_output_names_what_it_depends_on(plugin: Plugin) -> None:
    made = plugin.construct("AwsTrainingFleet", AWS)
    assert made.depends_on["roleArn"] == [made.children["Role train-node"].urn]


def test_whole_numbers_arrive_whole(plugin: Plugin) -> None:
    made = plugin.construct("AwsTrainingFleet", {**AWS, "nodes": 4.0, "onDemandBase": 1.0})
    assert made.children["Group train-spot"].inputs["desiredCapacity"] == 3
    assert (spec(made).target, spec(made).base) == (4, 1)


def test_objects_and_maps_arrive_with_the_names_they_need(plugin: Plugin) -> None:
    more = {"timings": {"hookSeconds": 900, "saveSeconds": 200}, "tags": {"costCentre": "ml"}}
    made = plugin.construct("AwsTrainingFleet", {**AWS, **more})
    assert made.children["LifecycleHook train-spot-hook"].inputs["heartbeatTimeout"] >= 900
    assert made.children["Role train-node"].inputs["tags"]["costCentre"] == "ml"


@pytest.mark.parametrize("given", [UNKNOWN, output(), output(of=[ABOVE])], ids=["bare", "output", "with dependencies"])
@pytest.mark.parametrize("name", ["responder", "subnetIds", "imageId", "command", "tags"])
def test_what_is_not_known_in_a_preview_is_waited_for(plugin: Plugin, name: str, given: Any) -> None:
    made = plugin.construct("AwsTrainingFleet", {**AWS, name: given}, preview=True)
    assert "Group train-backup" in made.children
    assert (made.outputs["ledgerPrefix"] == UNKNOWN) == (name == "responder")


@pytest.mark.parametrize(
    "given",
    [output(RESPONDER, of=[ABOVE]), secret(RESPONDER), output(RESPONDER, hidden=True)],
    ids=["output", "secret", "secret output"],
)
def test_an_output_or_a_secret_is_as_good_as_a_value(plugin: Plugin, given: Any) -> None:
    made = plugin.construct("AwsTrainingFleet", {**AWS, "responder": given, "subnetIds": output(AWS["subnetIds"])})
    assert made.children["BucketObjectv2 train-spec"].inputs["bucket"] == RESPONDER.removeprefix("s3://")


def test_a_secret_stays_one(plugin: Plugin) -> None:
    made = plugin.construct("AwsTrainingFleet", {**AWS, "responder": secret(RESPONDER)})
    assert made.outputs["ledgerPrefix"] == secret(f"{RESPONDER}/fleets/{PROJECT}-{STACK}-train/")


def test_dependencies_of_a_plain_value_are_kept(plugin: Plugin) -> None:
    depends = {"responder": engine.provider_pb2.ConstructRequest.PropertyDependencies(urns=[ABOVE])}
    made = plugin.construct("AwsTrainingFleet", AWS, inputDependencies=depends)
    assert ABOVE in made.children["BucketObjectv2 train-spec"].options.dependencies


@pytest.mark.parametrize(("component", "package"), [("AwsTrainingFleet", "aws"), ("GcpTrainingFleet", "gcp")])
def test_the_programs_provider_reaches_children_and_lookups(plugin: Plugin, component: str, package: str) -> None:
    provider = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:providers:{package}::west::1234"
    made = plugin.construct(component, FLEETS[component], providers={package: provider})
    children = [seen for seen in made.monitor.notes.seen if seen.options.custom]
    assert {seen.options.provider for seen in children} == {provider}
    lookups = {(token, given) for token, given in made.monitor.notes.invokes if not token.startswith("pulumi:")}
    assert {given for _, given in lookups} == {provider}


def test_protection_reaches_children(plugin: Plugin) -> None:
    made = plugin.construct("AwsTrainingFleet", AWS, protect=True)
    assert {seen.options.protect for seen in made.monitor.notes.seen} == {True}


YAML = {
    "docs": blocks("docs/languages.md", "yaml")[0],
    "example": (ROOT / "examples/yaml/Pulumi.yaml").read_text("utf-8"),
}
CONFIG = {"${responder.uri}": RESPONDER, "${subnetIds}": AWS["subnetIds"], "${imageId}": "ami-1"}
CONFIG |= {"${checkpointUri}": AWS["checkpointUri"]}


@pytest.mark.parametrize("program", YAML)
def test_what_is_shown_in_yaml_declares_a_fleet(plugin: Plugin, program: str) -> None:
    for name, resource in yaml.safe_load(YAML[program])["resources"].items():
        properties = resource.get("properties", {})
        inputs = {
            key: CONFIG.get(value, value) if isinstance(value, str) else value for key, value in properties.items()
        }
        made = plugin.construct(resource["type"].split(":")[1], inputs, name=name)
    assert made.outputs["fleet"] == f"{PROJECT}-{STACK}-{name}"


def test_components_are_made_side_by_side(plugin: Plugin) -> None:
    def make(number: int) -> Any:
        try:
            changes = {"nodes": number, "instanceTypes": ["g5.xlarge"] if number == 2 else AWS["instanceTypes"]}
            return plugin.construct("AwsTrainingFleet", {**AWS, **changes}, name=f"train{number}").outputs["fleet"]
        except Refused as error:
            return list(error.problems)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(1, 5)))
    assert made == [f"{PROJECT}-{STACK}-train1", ["instanceTypes"], *(f"{PROJECT}-{STACK}-train{n}" for n in (3, 4))]


REFUSALS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "missing": ("AwsTrainingFleet", {"nodes": None}, "nodes", "was not given, expected a value"),
    "half a node": ("AwsTrainingFleet", {"nodes": 4.5}, "nodes", "was 4.5, expected a whole number, at least 1"),
    "an output where the graph needs a value": (
        "AwsTrainingFleet",
        {"nodes": output(4)},
        "nodes",
        "was an output, expected a value that is known while the program runs",
    ),
    "no choice": ("AwsTrainingFleet", {"policy": "always"}, "policy", "was \"always\", expected 'never'"),
    "inside an object": (
        "AwsTrainingFleet",
        {"timings": {"hookSeconds": 5}},
        "timings.hookSeconds",
        "was 5, expected from 95 (signalPollSeconds + saveSeconds",
    ),
    "no such name": ("AwsTrainingFleet", {"onDemandBse": 1}, "onDemandBse", "was 1, expected one of acceptNarrowPool"),
    "no such name, with a reason": (
        "AwsTrainingFleet",
        {"instanceWeights": 1},
        "instanceWeights",
        "was 1, expected no",
    ),
    "known only later": (
        "AwsTrainingFleet",
        {"instanceTypes": ["g5.xlarge"]},
        "instanceTypes",
        'was ["g5.xlarge"] in 3 zones, which makes 3 candidate pools (types times zones), expected at least 6',
    ),
    "in an output": (
        "AwsTrainingFleet",
        {"responder": output("gs://other", of=[ABOVE])},
        "responder",
        'was "gs://other", expected the uri of an AwsInterruptionResponder',
    ),
    "the other cloud's name": (
        "GcpTrainingFleet",
        {"instanceTypes": ["n2-standard-8"]},
        "instanceTypes",
        'was ["n2-standard-8"], expected machineTypes',
    ),
    "of the region": (
        "GcpTrainingFleet",
        {"zones": ["us-east1-b"]},
        "zones",
        f'was "us-east1-b", expected zones of {GCP_REGION}',
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_the_input_and_shows_no_python(plugin: Plugin, case: str) -> None:
    component, changes, where, why = REFUSALS[case]
    error = refused(plugin, component, **changes)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(error.problems) == [where]
    assert error.problems[where].startswith(why)
    assert "Traceback" not in str(error)
    assert plugin.log.messages == []
    assert "exception=InputError" not in plugin.said.read_text("utf-8"), "what was answered is told no second time"


def test_the_refusal_in_the_documentation_is_the_real_one(plugin: Plugin) -> None:
    (why,) = refused(plugin, instanceTypes=["g5.xlarge"]).problems.values()
    assert f" has a problem: {why}\n" in (ROOT / "docs/languages.md").read_text("utf-8")


def test_what_is_refused_only_to_new_fleets_is_asked_of_the_plugin(plugin: Plugin) -> None:
    late = {"by": "2026-01-01T00:00:00Z", "onDemandPrice": 3.06}
    made = plugin.construct("AwsTrainingFleet", {**AWS, "policy": "deadline", "deadline": late}, preview=True)
    (said,) = made.hooked()
    assert "deadline.by: was '2026-01-01T00:00:00Z', expected a moment that is still to come" in said


def test_another_component_is_refused(plugin: Plugin) -> None:
    with pytest.raises(Refused, match="AwsServingFleet"):
        plugin.construct("AwsServingFleet", {})


def test_what_pulumi_adds_is_installed_with_both_clouds() -> None:
    """It runs ``pip install -r requirements.txt`` in the folder, for which the whole repository is there."""
    folder = ROOT / "plugin"
    lines = [line for line in (folder / "requirements.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == ["--constraint ../constraints.txt", "..[aws,gcp]"]
    assert (folder / "../constraints.txt").exists()
    assert (folder / "../pyproject.toml").exists()
    assert not (folder / "pyproject.toml").exists(), "Pulumi would take the folder for a package and run it otherwise"
