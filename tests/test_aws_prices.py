"""Spot prices: one reading serves all fleets, and says how old it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import PriceRecord
from spotkeeper_responder.aws.prices import REST_SECONDS, SpotPrices
from spotkeeper_responder.ports import PRICE_SECONDS

T0 = 1_800_000_000.0
ZONES = ("us-east-1a", "us-east-1b")


class History:
    """Each type costs as many dollars as the moment that it is asked for is after the start, in each zone."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fails = False

    def __call__(self, types: Sequence[str], at: float) -> Any:
        self.asked.append(tuple(types))
        for kind in types:
            for zone in ZONES:
                yield {"InstanceType": kind, "AvailabilityZone": zone, "SpotPrice": str(at - T0)}
            if self.fails:
                raise ConnectionError("halfway")


def test_a_hundred_fleets_cost_one_reading_in_five_minutes() -> None:
    prices, history = SpotPrices(), History()
    for minute in range(10):
        for _ in range(100):
            prices.of(["g5.2xlarge", "g5.xlarge"], T0 + 60 * minute, history)
    assert history.asked == [("g5.2xlarge", "g5.xlarge")] * 2


def test_only_types_that_nobody_has_read_are_asked_for() -> None:
    prices, history = SpotPrices(), History()
    prices.of(["a", "b"], T0, history)
    told = prices.of(["b", "c"], T0 + 9, history)
    assert history.asked == [("a", "b"), ("c",)]
    assert told == {(kind, zone): PriceRecord(at, T0 + at) for kind, at in (("b", 0.0), ("c", 9.0)) for zone in ZONES}


def test_of_a_price_that_has_changed_the_latest_counts() -> None:
    """EC2 tells the latest first."""
    told = SpotPrices().of(
        ["a"], T0, lambda *_: [{"InstanceType": "a", "AvailabilityZone": "z", "SpotPrice": p} for p in ("0.4", "0.3")]
    )
    assert told == {("a", "z"): PriceRecord(0.4, T0)}


def test_types_that_have_no_price_are_not_asked_for_all_the_time() -> None:
    prices, history = SpotPrices(), []
    for _ in range(3):
        assert prices.of(["new"], T0, lambda types, _: history.append(types) or []) == {}  # type: ignore[func-returns-value]
    assert history == [["new"]]


def test_nobody_asks_for_nothing() -> None:
    history = History()
    assert SpotPrices().of([], T0, history) == {}
    assert not history.asked


class TestFailing:
    def test_one_fleet_has_asked_in_vain_for_all(self) -> None:
        prices, history = SpotPrices(), History()
        history.fails = True
        with pytest.raises(ConnectionError):
            prices.of(["a", "b"], T0, history)
        for _ in range(99):
            with pytest.raises(LookupError, match="a moment ago"):
                prices.of(["a"], T0 + 1, history)
        assert len(history.asked) == 1

    def test_the_next_tick_asks_again_and_nothing_of_half_an_answer_was_kept(self) -> None:
        prices, history = SpotPrices(), History()
        history.fails = True
        with pytest.raises(ConnectionError):
            prices.of(["a", "b"], T0, history)
        history.fails = False
        assert {r.at for r in prices.of(["a"], T0 + REST_SECONDS, history).values()} == {T0 + REST_SECONDS}
        prices.of(["c"], T0 + REST_SECONDS, history)
        assert history.asked == [("a", "b"), ("a",), ("c",)]

    def test_what_is_known_is_told_meanwhile(self) -> None:
        prices, history = SpotPrices(), History()
        prices.of(["a"], T0, history)
        history.fails = True
        with pytest.raises(ConnectionError):
            prices.of(["b"], T0 + 1, history)
        assert prices.of(["a"], T0 + 2, history)["a", ZONES[0]].at == T0


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.floats(0, 400)), max_size=30))
def test_no_price_is_too_old_or_older_than_it_says_and_none_is_read_twice(asks: list[tuple[set[str], float]]) -> None:
    prices, history, now = SpotPrices(), History(), T0
    last: dict[str, float] = {}
    for types, later in asks:
        now += later
        before = len(history.asked)
        told = prices.of(sorted(types), now, history)
        assert set(told) == {(kind, zone) for kind in types for zone in ZONES}
        for record in told.values():
            assert now - record.at < PRICE_SECONDS
            assert record.price == record.at - T0
        for kind in (kind for each in history.asked[before:] for kind in each):
            assert now - last.get(kind, float("-inf")) >= PRICE_SECONDS
            last[kind] = now
