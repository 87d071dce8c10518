"""How fast an elastic job is on how many nodes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder_support import FLEET, T0, node, spec
from spotkeeper_ledger import FleetSpec, Progress
from spotkeeper_responder.speeds import REMEMBERED, learned, nodes_of, relative


def fleet(least: int | None, target: int) -> FleetSpec:
    return spec(min_nodes=least, target=target)


def says(nodes: int | None) -> Progress:
    return Progress(FLEET, "AROATEST", 1, node(1), T0, nodes=nodes)


def test_what_was_never_seen_is_in_proportion_to_the_nodes() -> None:
    assert relative(fleet(1, 4), {}, 2.0) == (0, 0.25, 0.5, 0.75, 1)
    assert relative(fleet(3, 4), {}, 2.0) == (0, 0, 0, 0.75, 1)


def test_between_what_was_seen_it_is_on_a_straight_line() -> None:
    assert relative(fleet(1, 8), {"4": 1.6, "2": 1.2}, 2.0) == pytest.approx(
        (0, 0.3, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1)
    )


def test_it_never_falls_with_more_nodes_nor_passes_that_of_all() -> None:
    assert relative(fleet(1, 4), {"1": 5.0, "2": 1.6, "3": 1.0}, 2.0) == (0, 0.5, 0.5, 0.5, 1)


@pytest.mark.parametrize("least", [None, 4])
def test_a_gang_has_none(least: int | None) -> None:
    assert relative(fleet(least, 4), {"2": 1.0}, 2.0) == ()
    assert nodes_of(fleet(least, 4), says(2)) is None


@pytest.mark.parametrize(("told", "believed"), [(None, None), (0, None), (-3, None), (1, 1), (4, 4), (5, None)])
def test_a_number_of_nodes_that_cannot_be_is_not_believed(told: int | None, believed: int | None) -> None:
    assert nodes_of(fleet(2, 4), says(told)) == believed


@given(
    target=st.integers(2, 40),
    least=st.integers(1, 40),
    seen=st.dictionaries(st.integers(1, 50).map(str), st.floats(1e-3, 1e3), max_size=REMEMBERED),
    full=st.floats(1e-3, 1e3),
)
def test_whatever_was_seen_it_rises_from_none_to_all(
    target: int, least: int, seen: dict[str, float], full: float
) -> None:
    speeds = relative(fleet(least, target), seen, full)
    if least >= target:
        assert speeds == ()
        return
    assert (len(speeds), speeds[0], speeds[-1]) == (target + 1, 0.0, 1.0)
    assert all(0 <= few <= more <= 1 for few, more in pairwise(speeds))
    assert [n for n, speed in enumerate(speeds) if speed == 0] == list(range(least))


def test_the_latest_counts_and_only_so_many_are_kept() -> None:
    seen = learned(learned({}, 3, 1.0), 3, 2.0)
    assert seen == {"3": 2.0}
    for number in range(100):
        seen = learned(seen, number, 1.0)
    assert len(seen) == REMEMBERED
    assert learned(seen, 3, 5.0)["3"] == 5.0
