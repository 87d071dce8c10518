import pytest

from spotkeeper_lab.local_gcp import CAPACITY, QUOTA, SPOT, STANDARD, Market
from spotkeeper_lab.local_gcp.market import Place

HERE = Place("europe-west4-a", "g2-standard-4", SPOT)
THERE = Place("europe-west4-b", "g2-standard-4", SPOT)


def test_without_limits_all_is_granted() -> None:
    assert Market().ask(HERE, [HERE] * 1000) is None


def test_limits_of_different_places_hold_side_by_side() -> None:
    market = Market()
    market.set_capacity(2)
    market.set_capacity(1, QUOTA, zone=HERE.zone)
    assert market.ask(HERE, []) is None
    refused = market.ask(HERE, [HERE])
    assert refused and (refused.kind, refused.code) == (QUOTA, "QUOTA_EXCEEDED")
    assert "PREEMPTIBLE_CPUS" in refused.message
    assert market.ask(THERE, [HERE]) is None
    refused = market.ask(THERE, [HERE, THERE])
    assert refused and (refused.kind, THERE.zone in refused.message) == (CAPACITY, True)


def test_a_limit_counts_only_what_it_covers() -> None:
    market = Market()
    market.set_capacity(1, model=STANDARD, machine_type="g2-standard-4")
    standard = Place(HERE.zone, HERE.machine_type, STANDARD)
    assert market.ask(standard, [HERE] * 5) is None
    assert market.ask(standard, [standard])
    assert market.ask(Place(HERE.zone, "n1-standard-8", STANDARD), [standard]) is None
    assert market.ask(HERE, [standard]) is None


def test_a_limit_of_the_same_places_replaces_the_first_and_none_takes_it_away() -> None:
    market = Market()
    market.set_capacity(0, model="")
    assert market.ask(HERE, [])
    market.set_capacity(1, model="")
    assert market.ask(HERE, []) is None
    market.set_capacity(0, model="")
    market.set_capacity(None, model="")
    assert market.ask(HERE, [HERE]) is None


@pytest.mark.parametrize(
    ("number", "why", "words"), [(-1, CAPACITY, "instances: was -1"), (1, "moods", "why: was 'mo")]
)
def test_what_cannot_be_is_refused_by_name(number: int, why: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Market().set_capacity(number, why)
