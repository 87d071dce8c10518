from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from spotkeeper_training.interval import BOUNDS, StepInterval, save_interval

WIDE = (1e-6, 1e12)
HOUR = 3600.0


def lost(interval: float, cost: float, between: float) -> float:
    """Wall time per useful second, of saves and of losses that strike at random: what the interval is to minimise."""
    return between * math.exp(0) * (math.exp((interval + cost) / between) - 1) / interval


@pytest.mark.parametrize(("cost", "spell"), [(30.0, 10.4 * HOUR), (30.0, 1.48 * HOUR), (120.0, 0.76 * HOUR)])
def test_no_other_interval_loses_noticeably_less(cost: float, spell: float) -> None:
    found = save_interval(cost, spell, 0, WIDE)
    best = min(lost(cost * factor / 50, cost, spell) for factor in range(1, 20_000))
    assert lost(found, cost, spell) <= 1.002 * best


def test_a_notice_that_a_save_fits_into_makes_losses_rarer() -> None:
    unheard = save_interval(30, HOUR, 29, WIDE)
    heard = save_interval(30, HOUR, 30, WIDE)
    assert heard == save_interval(30, 10 * HOUR, 0, WIDE)
    assert heard > 3 * unheard
    assert save_interval(30, HOUR, 30, WIDE, unheard=1) == unheard


def test_bounds_are_ten_and_thirty_minutes_unless_told_otherwise() -> None:
    assert BOUNDS == (600, 1800)
    assert save_interval(1, HOUR, 120) == 600
    assert save_interval(60, 100 * HOUR, 0) == 1800
    assert save_interval(1, HOUR, 120, (60, 90)) == 90


@given(some.floats(0, 1e5), some.floats(1, 1e7), some.floats(0, 1e4))
def test_it_is_within_bounds_and_grows_with_what_a_node_stays(cost: float, spell: float, notice: float) -> None:
    found = save_interval(cost, spell, notice)
    assert 600 <= found <= 1800
    assert save_interval(cost, 2 * spell, notice) >= found


@pytest.mark.parametrize(
    "wrong",
    [
        {"save_seconds": -1},
        {"mean_spell": 0},
        {"notice_seconds": -1},
        {"bounds": (10, 5)},
        {"bounds": (0, 5)},
        {"unheard": 0},
        {"unheard": 1.1},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        save_interval(**{"save_seconds": 1, "mean_spell": 1, "notice_seconds": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("interval", "step", "asked", "over"),
    [
        (5, 0, range(1, 16), [5, 10, 15]),
        (1, 0, range(1, 4), [1, 2, 3]),
        (5, 7, range(8, 16), [10, 15]),
        (5, 10, range(11, 16), [15]),
        (5, 0, [3, 6, 9, 12, 24, 25], [6, 12, 24, 25]),
        (5, 0, [5, 5, 6, 4, 5], [5, 5]),
        (None, 0, range(1, 1000), []),
    ],
    ids=["from the start", "every step", "resumed", "resumed after a save", "strides", "gone back to", "none"],
)
def test_an_interval_of_steps_is_over_at_its_multiples_whenever_training_began(
    interval: int | None, step: int, asked: Iterable[int], over: list[int]
) -> None:
    counted = StepInterval(interval, step)
    assert [each for each in asked if counted.is_over(each)] == over


@given(some.integers(1, 50), some.integers(1, 7), some.lists(some.integers(0, 200), min_size=2, max_size=4))
def test_ranks_that_began_at_different_steps_agree_from_then_on(interval: int, stride: int, began: list[int]) -> None:
    ranks = [StepInterval(interval, step) for step in began]
    first = max(began) + 1
    for rank in ranks:
        rank.is_over(first)
    for step in range(first + 1, first + 4 * interval, stride):
        assert len({rank.is_over(step) for rank in ranks}) == 1
