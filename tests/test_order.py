"""The order of samples: a permutation, the same everywhere, without memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_training.order import Order


@given(st.integers(1, 300), st.integers(0, 2**70), st.integers(0, 1000))
def test_every_sample_has_one_place(size: int, seed: int, epoch: int) -> None:
    order = Order(size, seed, epoch)
    assert sorted(order[place] for place in range(size)) == list(range(size))


def test_the_order_is_the_same_on_every_machine_and_for_ever() -> None:
    """These numbers may never change: a job that is resumed would see samples twice."""
    assert [Order(10, 1, 0)[place] for place in range(10)] == [0, 9, 3, 7, 2, 1, 8, 6, 5, 4]
    big = Order(10**8, 7, 3)
    assert [big[place] for place in (0, 1, 2, 99_999_999)] == [7994214, 1140584, 48563078, 46407258]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(Order(50, seed, epoch)[place] for place in range(50)) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_every_sample_is_as_likely_at_every_place() -> None:
    """Chi-squared over 10 places and samples: 81 degrees of freedom, 150 is beyond five standard deviations."""
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(1000):
        order = Order(10, seed, 0)
        counts.update((place, order[place]) for place in range(10))
    assert sum((counts[place, sample] - 100) ** 2 / 100 for place in range(10) for sample in range(10)) < 150


def test_a_hundred_million_samples_need_no_preparation() -> None:
    tracemalloc.start()
    try:
        assert 0 <= Order(10**8, 1, 1)[12_345_678] < 10**8
        assert tracemalloc.get_traced_memory()[1] < 100_000, "bytes: nothing is held for each sample"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", [-1, 10])
def test_a_place_beyond_the_samples_is_an_error(place: int) -> None:
    with pytest.raises(IndexError, match="expected 0 to 9"):
        Order(10, 0, 0)[place]
