from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spotkeeper_lab.simulator import MARKETS, MarketError, named
from spotkeeper_lab.simulator.synthetic import Spells, drawn

POOL = Spells(pool="zone-a_x", up_hours=3.0, down_hours=1.0, low=1.0, high=2.0, nodes=4, partial=0.3)


def market(*pools, **options):
    return drawn("test", pools or (POOL,), on_demand_price=3.0, **{"hours": 24.0 * 400, **options})


def test_spells_are_as_long_on_average_as_was_published():
    counts = market().counts[0]
    assert (counts > 0).mean() == pytest.approx(0.75, abs=0.05)
    ups = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], (counts > 0).astype(int), [0]])))) * 300 / 3600
    assert ups[::2].mean() == pytest.approx(3.0, rel=0.2)
    assert np.median(ups[::2]) < 0.75 * ups[::2].mean(), "many short ones, some very long"
    assert set(np.unique(counts)) == {0, 1, 2, 3, 4}
    assert (counts[counts > 0] < 4).mean() == pytest.approx(0.3, abs=0.1)


def test_prices_stay_between_those_that_were_published_and_move():
    prices = market().prices[0]
    assert (prices.min() >= 1.0) and (prices.max() <= 2.0)
    assert prices.std() > 0.1
    assert np.abs(np.diff(prices)).max() < 0.5


def test_a_seed_is_a_seed_whichever_other_pools_there_are():
    one, other = market(hours=100.0), market(hours=100.0, seed=1)
    both = market(replace(POOL, pool="zone-b_x"), POOL, hours=100.0)
    assert one.counts.tolist() == market(hours=100.0).counts.tolist() != other.counts.tolist()
    assert both.only([POOL.pool]).counts.tolist() == one.counts.tolist()
    assert both.counts[0].tolist() != both.counts[1].tolist()


def test_a_pool_that_is_never_down_always_has_room():
    assert (market(replace(POOL, down_hours=0.0, partial=0.0), hours=100.0).counts == 4).all()


@pytest.mark.parametrize("name", [name for name, each in MARKETS.items() if not each.from_trace])
def test_a_named_market_needs_no_download(name):
    made = named(name)
    assert made.hours > 24 * 40
    assert 0.1 < (made.counts > 0).any(axis=0).mean() < 1


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("up_hours", 0.0, "more than 0"),
        ("down_hours", -1.0, "0 or more"),
        ("low", 2.5, "0 to 2.0, the highest price"),
        ("nodes", 0, "at least 1"),
        ("partial", 2.0, "0 to 1"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(field, value, expected):
    with pytest.raises(MarketError, match=f"pool zone-a_x: {field}: was {value}, expected {expected}"):
        replace(POOL, **{field: value})


def test_a_market_that_is_not_known_or_not_there_is_refused(monkeypatch, tmp_path):
    with pytest.raises(MarketError, match="market: was 'moon', expected one of us-east-1, "):
        named("moon")
    monkeypatch.setenv("SPOTKEEPER_TRACES", "/nowhere")
    with pytest.raises(
        MarketError, match=r"market parcae: needs the public traces; SPOTKEEPER_TRACES or --traces: was"
    ):
        named("parcae")
