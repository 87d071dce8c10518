from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from spotkeeper_training.interval import BOUNDS, save_interval

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
