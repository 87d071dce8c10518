from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator_support import market
from spotkeeper_lab.simulator import Market, MarketError, joined


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
    assert joined("both", [both.only([pool]) for pool in both.pools]).counts.tolist() == both.counts.tolist()


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
    with pytest.raises(MarketError, match=r"tick_seconds: was 60.0, expected 300.0, as in market test"):
        joined("both", [whole, market([1], tick=60.0, pools=["other"])])
