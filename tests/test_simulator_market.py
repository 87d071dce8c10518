from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator_support import market
from spotkeeper_lab.simulator import Market, MarketError


def test_a_window_is_a_piece_of_the_market():
    windows = market(range(10), range(10, 20), prices=[1, 2]).windows([0, 4], 3)
    assert windows.counts(2).tolist() == [[2, 12], [6, 16]]
    assert windows.prices(0).tolist() == [[1, 2], [1, 2]]
    assert windows.of([1]).counts(0).tolist() == [[4, 14]]


def test_windows_are_spread_over_the_whole_market_and_as_long_as_it_allows():
    whole = market([1] * 100)
    windows = whole.sampled(40 * 300 / 3600, 5)
    assert windows.ticks == 40
    assert (windows.starts[0], windows.starts[-1], len(windows)) == (0, 60, 5)
    assert whole.sampled(40 * 300 / 3600, 5, most_hours=1000).ticks == 70
    assert len(whole.sampled(100 * 300 / 3600, 5)) == 1, "there is one place to start at"


def test_pools_are_chosen_by_name_and_zones_are_what_comes_before_the_underscore():
    both = market([1, 0], [2, 2], pools=["us-east-1a_v100", "us-east-1b_v100"], rates=(1.0, 0.5))
    assert both.zones == ("us-east-1a", "us-east-1b")
    one = both.only(["us-east-1b_v100"])
    assert (one.counts.tolist(), one.rates) == ([[2, 2]], (0.5,))


def test_rates_are_given_by_pool_or_by_type():
    both = market([1], [1], [1], pools=["us-east-1a_p5", "us-east-1a_g5", "us-east-1b_g5"])
    assert both.paced({"g5": 0.5, "us-east-1b_g5": 0.4}).rates == (1.0, 0.5, 0.4)
    assert both.paced({"g5": 0.5}).paced({"us-east-1a_p5": 2.0}).rates == (2.0, 0.5, 0.5)
    with pytest.raises(MarketError, match=r"rates: was 'p6', expected a pool or a type: us-east-1a_p5, .*b_g5, p5, g5"):
        both.paced({"p6": 1.0})
    for rate in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(MarketError, match=rf"rates: g5: was {rate}, expected more than 0"):
            both.paced({"g5": rate})


def test_what_a_zone_has_room_for_is_that_of_all_its_types():
    both = market([1, 2], [3, 4], [5, 6], pools=["us-east-1a_p5", "us-east-1b_p5", "us-east-1a_g5"])
    assert both.by_zone(both.counts.T).tolist() == [[6, 3], [8, 4]]


def test_windows_may_be_of_one_pool_each():
    windows = market(range(10), range(10, 20), prices=[1, 2], pools=["a_x", "b_x"]).windows([0, 4], 3)
    apart = windows.apart()
    assert apart.labels == ("a_x", "a_x", "b_x", "b_x")
    assert apart.counts(2).tolist() == [[2], [6], [12], [16]]
    assert apart.prices(0).tolist() == [[1], [1], [2], [2]]
    assert apart.apart().labels == apart.labels
    assert apart.only(["b_x"]).counts(2).tolist() == [[12], [16]]
    assert windows.only(["b_x"]).apart().counts(2).tolist() == [[12], [16]]
    with pytest.raises(MarketError, match=r"pools: was 'c_x', expected one of a_x, b_x"):
        apart.only(["c_x"])
    with pytest.raises(MarketError, match=r"rates: was \(1.0, 0.5\), expected all the same, for pools that are apart"):
        replace(windows, market=windows.market.paced({"b_x": 0.5})).apart()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("tick_seconds", 0.0, "tick_seconds: was 0.0, expected more than 0"),
        ("on_demand_price", -1.0, "on_demand_price: was -1.0, expected more than 0 dollars an hour"),
        ("counts", np.array([[1, -1]]), "counts: was .*-1.*, expected 0 or more"),
        ("counts", np.array([[1, 1, 1]]), "prices: was .*2.*, expected shape .*3.*, as the counts"),
        ("prices", np.array([[1.0, np.nan]]), "prices: was .*nan.*, expected 0 or more dollars an hour"),
        ("rates", (0.0,), "rates: was .*0.0.*, expected more than 0"),
        ("rates", (1.0, 1.0), "rates: was .*, expected one for each pool"),
        ("pools", (), "pools: was .*, expected at least one"),
    ],
)
def test_what_is_no_market_is_refused(field, value, expected):
    with pytest.raises(MarketError, match=f"market test: {expected}"):
        replace(market([1, 0]), **{field: value})


def test_what_a_market_does_not_have_is_refused():
    whole: Market = market([1, 0, 1])
    with pytest.raises(MarketError, match=r"pools: was 'zone-z_x', expected one of zone-a_x"):
        whole.only(["zone-z_x"])
    with pytest.raises(MarketError, match=r"starts: was 0 to 2, expected 0 to 1 for 2 ticks"):
        whole.windows([0, 2], 2)
    with pytest.raises(MarketError, match=r"ticks: was '0.2 hours', expected at least 1.0 hours"):
        whole.sampled(1, 1)
