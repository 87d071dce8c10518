from __future__ import annotations

from dataclasses import replace

import pytest

from lab_support import START, recovered
from spotkeeper_lab.timeline import BACKUP, SPOT, alive, first, last, serving, short


def test_a_series_has_its_newest_value_and_times_their_earliest():
    assert last([(1, 10), (2, 20)], 0.5) is None
    assert last([(1, 10), (2, 20)], 1.5) == 10
    assert first([None, 3, 2]) == 2
    assert first([None]) is None


def test_who_lived_and_who_served():
    lives = recovered().lives
    assert [alive(lives, SPOT, START + at) for at in (-1, 0, 17.9, 18, 19)] == [0, 2, 2, 1, 2]
    assert [serving(lives, SPOT, START + at) for at in (0, 3.1, 19, 21)] == [0, 1, 1, 2]
    assert alive(lives, BACKUP, START + 12) == 1


def test_a_generation_whose_training_never_began_is_no_run():
    timeline = recovered()
    one, two = timeline.holdings
    assert list(timeline.runs) == [one, two]
    assert list(replace(timeline, holdings=[one, replace(two, resume_step=None)]).runs) == [one]
    nothing = [replace(each, resume_step=None) for each in timeline.holdings]
    assert list(replace(timeline, holdings=nothing).runs) == nothing


def test_the_scenarios_notices_are_the_interruptions():
    assert [notice.node for notice in recovered().interruptions] == ["i-spot-a"]
    assert recovered().size(BACKUP, START + 11) == 1


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        ("i-0123456789abcdef0", "i-0123…ef0"),
        ("i-spot-a", "i-spot-a"),
        ("spotkeeper-shop-prod-digits-spot-x7k2.1844674407370955161", "x7k2.161"),
    ],
)
def test_long_ids_are_shortened(node, shown):
    assert short(node) == shown
