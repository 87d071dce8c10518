import pytest

from spotkeeper_lab.local_aws.planning import IN_SERVICE, PENDING, Held, Plan, emptiest, kinds, plan

LEAVING = "Terminating:Wait"


def held(*states: str, protected: bool = False, at_risk: tuple[int, ...] = ()) -> list[Held]:
    return [Held(f"i-{n}", state, protected, n, n in at_risk) for n, state in enumerate(states)]


@pytest.mark.parametrize(
    ("desired", "held", "expected"),
    [
        (3, held(IN_SERVICE), Plan(launch=2)),
        (2, held(IN_SERVICE, PENDING), Plan()),
        (2, held(IN_SERVICE, LEAVING), Plan(launch=1)),
        (1, held(IN_SERVICE, IN_SERVICE, IN_SERVICE), Plan(end=("i-0", "i-1"))),
        (0, held(PENDING, IN_SERVICE), Plan(end=("i-1",))),
        (0, held(IN_SERVICE, IN_SERVICE, protected=True), Plan()),
    ],
)
def test_a_group_is_brought_to_its_size(desired: int, held: list[Held], expected: Plan) -> None:
    assert plan(desired, held) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((IN_SERVICE, IN_SERVICE), Plan(launch=1)),
        ((IN_SERVICE, IN_SERVICE, PENDING), Plan()),
        ((IN_SERVICE, IN_SERVICE, IN_SERVICE), Plan(end=("i-0",))),
        ((LEAVING, IN_SERVICE, IN_SERVICE), Plan()),
    ],
)
def test_an_instance_at_risk_ends_when_its_replacement_serves(states: tuple[str, ...], expected: Plan) -> None:
    assert plan(2, held(*states, protected=True, at_risk=(0,))) == expected


@pytest.mark.parametrize(
    ("distribution", "desired", "on_demand", "launch", "expected"),
    [
        ({}, 3, 0, 3, (0, 3)),
        ({"OnDemandPercentageAboveBaseCapacity": 0}, 3, 0, 3, (3, 0)),
        ({"OnDemandPercentageAboveBaseCapacity": 100}, 3, 1, 2, (0, 2)),
        ({"OnDemandBaseCapacity": 2, "OnDemandPercentageAboveBaseCapacity": 0}, 5, 1, 4, (3, 1)),
        ({"OnDemandBaseCapacity": 2, "OnDemandPercentageAboveBaseCapacity": 0}, 1, 0, 1, (0, 1)),
        ({"OnDemandPercentageAboveBaseCapacity": 50}, 4, 0, 4, (2, 2)),
    ],
)
def test_new_instances_are_of_the_kind_that_the_distribution_wants(
    distribution: dict[str, int], desired: int, on_demand: int, launch: int, expected: tuple[int, int]
) -> None:
    counts = kinds(distribution, desired, on_demand, launch)
    assert (counts["spot"], counts["on-demand"]) == expected


def test_subnets_are_used_evenly() -> None:
    assert emptiest(["a", "b", "c"], []) == "a"
    assert emptiest(["a", "b", "c"], ["a", "c", "elsewhere"]) == "b"
