import pytest

from spotkeeper_lab.local_aws.market import MESSAGES, Answer, SpotMarket


@pytest.mark.parametrize(
    ("capacity", "wanted", "running", "answer"),
    [
        (None, 5, 100, Answer(5)),
        (3, 2, 1, Answer(2)),
        (3, 5, 1, Answer(2, "capacity")),
        (0, 1, 0, Answer(0, "capacity")),
        (2, 1, 4, Answer(0, "capacity")),
        (0, 0, 4, Answer(0)),
    ],
)
def test_capacity_is_what_runs_in_all(capacity: int | None, wanted: int, running: int, answer: Answer) -> None:
    market = SpotMarket()
    market.set_capacity(capacity)
    assert market.ask(wanted, running) == answer


@pytest.mark.parametrize("why", list(MESSAGES))
def test_what_is_beyond_it_is_refused_for_the_reason_given_until_that_ends(why: str) -> None:
    market = SpotMarket()
    market.set_capacity(1, why)
    assert market.ask(2, 0) == Answer(1, why)
    assert market.ask(1, 0) == Answer(1)
    assert market.ask(0, 1) == Answer(0)
    market.set_capacity(None)
    assert market.ask(2, 0) == Answer(2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="instances: was -1, expected"):
        SpotMarket().set_capacity(-1)
    with pytest.raises(ValueError, match="why: was 'price', expected one of capacity, quota, configuration"):
        SpotMarket().set_capacity(0, "price")
