"""Which instances a fleet may run on."""

from __future__ import annotations

import pytest

from spotkeeper import InputError
from spotkeeper.aws.pools import Market, accelerator, check_market, plan_market


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("g5.xlarge", "A10G"),
        ("g5g.xlarge", "T4G"),
        ("p4d.24xlarge", "A100 40 GiB"),
        ("p4de.24xlarge", "A100 80 GiB"),
        ("p5en.48xlarge", "H200"),
        ("trn1n.32xlarge", "Trainium"),
        ("p6-b200.48xlarge", "B200"),
        ("c7i.large", ""),
        ("t3.micro", ""),
        ("m6gd.metal", ""),
        ("i4g.large", ""),
        ("p9.48xlarge", "p9"),  # not in the table yet: still an accelerator, and no other one's equal
        ("g8-x.large", "g8-x"),
    ],
)
def test_the_accelerator_follows_from_the_family(instance_type: str, expected: str) -> None:
    assert accelerator(instance_type) == expected


@pytest.mark.parametrize(
    ("types", "zones", "enough"),
    [
        (("a", "b"), ["1", "2", "3"], True),
        (("a", "b", "c"), ["1", "2"], True),
        (("a",) * 6, ["1"], True),
        (("a", "b"), ["1", "2"], False),
        (("a", "b"), ["1", "2", "2", "1"], False),
        ((), ["1", "2"], True),
        ((), ["1"], False),
    ],
)
def test_pools_are_types_times_zones(types: tuple[str, ...], zones: list[str], enough: bool) -> None:
    market = Market("capacity-optimized", types, None if types else {"vcpu_min": 1}, accept_narrow_pool=False)
    if enough:
        check_market(market, zones)
    else:
        with pytest.raises(InputError, match=r"expected at least 6 .* or accept_narrow_pool"):
            check_market(market, zones)


def test_a_gang_of_one_accelerator_is_fine() -> None:
    types = ["p5e.48xlarge", "p5en.48xlarge"]
    assert plan_market({"instance_types": types}, "single_zone").types == tuple(types)
    assert plan_market({"instance_types": ["c7i.large", "m7i.large"]}, "region").types
    named = {"vcpu_min": 1, "memory_gib_min": 1, "accelerator_names": ["h100"]}
    assert plan_market({"instance_requirements": named}, "single_zone").requirements


def test_nodes_that_work_alone_may_differ() -> None:
    assert plan_market({"instance_types": ["g5.xlarge", "c7i.large"]}, "none").types
