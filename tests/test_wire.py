"""What other languages send arrives whole, and what is refused reads as they write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.output import Unknown

from spotkeeper import wire
from spotkeeper.errors import InputError
from spotkeeper.outputs import python_name, schema_name
from spotkeeper.plugin import COMPONENTS, Components

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it


@pytest.fixture(scope="module")
def components() -> Components:
    return Components()


@pytest.fixture(params=COMPONENTS)
def component(components: Components, request: pytest.FixtureRequest) -> Any:
    return components._component_defs[request.param]


def arguments(components: Components, inputs: Mapping[str, Any], component: str = "AwsTrainingFleet") -> dict[str, Any]:
    return components.map_inputs(inputs, components._component_defs[component])


def refused(components: Components, inputs: Mapping[str, Any]) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        arguments(components, inputs)
    return problems(caught.value, components)


def problems(error: InputError, components: Components) -> dict[str, str]:
    found = wire.refusal(error, components.names)
    return {each["property_path"]: each["reason"] for each in found.errors or []}


def test_every_input_has_its_name_in_python(component: Any, components: Components) -> None:
    sent = {name: None if definition.ref else name for name, definition in component.inputs.items()}
    found = components.map_inputs(sent, component)
    assert found == {python: name for name, python in component.inputs_mapping.items() if sent[name]}
    for name, python in component.inputs_mapping.items():
        assert (schema_name(python), python_name(name)) == (name, python)


@given(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_what_was_written(components: Components, whole: int, number: float) -> None:
    sent = {"nodes": float(whole), "maxOnDemandHours": number, "elastic": {"minNodes": float(whole)}}
    found = arguments(components, sent)
    assert found == {"nodes": whole, "max_on_demand_hours": number, "elastic": {"min_nodes": whole}}
    assert type(found["nodes"]) is type(found["elastic"]["min_nodes"]) is int
    assert type(found["max_on_demand_hours"]) is float


@pytest.mark.parametrize("sent", [4.5, "4", True, float("inf"), ["4"]])
def test_what_is_no_whole_number_is_left_for_the_component_to_refuse(components: Components, sent: Any) -> None:
    assert arguments(components, {"nodes": sent}) == {"nodes": sent}


def test_keys_of_users_stay_as_they_are(components: Components) -> None:
    tags = {"costCentre": "ml_1", "subnetIds": "2"}
    assert arguments(components, {"tags": tags}) == {"tags": tags}


def test_an_unknown_name_is_not_lost(components: Components) -> None:
    found = arguments(components, {"weightedCapacity": 2.0, "timings": {"hookSecond": 5.0}})
    assert found == {"weighted_capacity": 2.0, "timings": {"hook_second": 5.0}}


def test_null_is_as_good_as_nothing(components: Components) -> None:
    assert arguments(components, {"nodes": None, "timings": {"hookSeconds": None}}) == {"timings": {}}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop)))
    asyncio.set_event_loop(None)
    loop.close()


def test_an_unknown_value_becomes_an_output_that_is_not_known(
    components: Components, loop: asyncio.AbstractEventLoop
) -> None:
    found = arguments(components, {"responder": Unknown(), "subnetIds": ["subnet-a", Unknown()], "imageId": "ami-1"})
    assert found["image_id"] == "ami-1"
    for name in ("responder", "subnet_ids"):
        assert not loop.run_until_complete(found[name].is_known())


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (lambda later: {"nodes": later}, "nodes"),
        (lambda later: {"instanceTypes": ["g5.xlarge", later]}, "instanceTypes[1]"),
        (lambda later: {"timings": later}, "timings"),
        (lambda later: {"timings": {"hookSeconds": later}}, "timings.hookSeconds"),
        (
            lambda later: {"instanceRequirements": {"acceleratorNames": [later]}},
            "instanceRequirements.acceleratorNames[0]",
        ),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["output", "unknown"])
def test_what_shapes_the_graph_cannot_be_known_later(
    components: Components, loop: asyncio.AbstractEventLoop, sent: Any, where: str, known: bool
) -> None:
    later = pulumi.Output.secret(4.0) if known else Unknown()
    assert refused(components, sent(later)) == {where: f"was an output, expected {wire.PLAIN}"}


def test_an_object_has_to_be_one(components: Components) -> None:
    said = refused(components, {"elastic": 3.0})
    assert said == {"elastic": "was 3, expected an object with minNodes, processesPerNode, join"}


@pytest.mark.parametrize(
    ("error", "where", "why"),
    [
        (InputError("subnet_ids", None, "a value"), "subnetIds", "was not given, expected a value"),
        (InputError("nodes", 4.5, "a whole number"), "nodes", "was 4.5, expected a whole number"),
        (InputError("flag", True, "x"), "flag", "was true, expected x"),
        (InputError("gang", "zone", "'none'"), "gang", "was \"zone\", expected 'none'"),
        (
            InputError("instance_types", ["g5.xlarge"], "more, or accept_narrow_pool", note=" in 2 zones"),
            "instanceTypes",
            'was ["g5.xlarge"] in 2 zones, expected more, or acceptNarrowPool',
        ),
        (
            InputError("timings.hook_seconds", 5.0, "more (signal_poll_seconds + save_seconds)"),
            "timings.hookSeconds",
            "was 5, expected more (signalPollSeconds + saveSeconds)",
        ),
        (InputError("timings.hook_second", 5, "another"), "timings.hookSecond", "was 5, expected another"),
        (InputError("labels.cost_centre", "A", "lower case"), "labels.cost_centre", 'was "A", expected lower case'),
        (InputError("tags", {1, 2}, "not_an_input"), "tags", 'was "{1, 2}", expected not_an_input'),
    ],
)
def test_a_refusal_reads_as_the_program_is_written(
    components: Components, error: InputError, where: str, why: str
) -> None:
    assert problems(error, components) == {where: why}


def test_a_long_value_is_cut(components: Components) -> None:
    (why,) = problems(InputError("command", "x" * 999, "less"), components).values()
    assert len(why) < 200
    assert why.endswith("x…, expected less")


def test_descriptions_name_inputs_as_other_languages_write_them(components: Components) -> None:
    text = json.dumps(list(_descriptions(json.loads(components.schema or ""))))
    assert "`policyWaitSeconds`" in text
    assert "`single_zone`" in text, "a value of an input is no name"
    assert [name for name in components.names if "_" in name and name in text] == []
    assert "``" not in text
    assert "\\n " not in text


def _descriptions(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _descriptions(item)
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "description" and isinstance(value, str):
                yield value
            yield from _descriptions(value)
