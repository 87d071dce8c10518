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


@pytest.mark.parametrize("kind", list(MESSAGES))
def test_everything_is_refused_for_a_reason_until_that_ends(kind: str) -> None:
    market = SpotMarket()
    market.refuse(kind)
    assert market.ask(1, 0) == Answer(0, kind)
    assert market.ask(0, 0) == Answer(0)
    market.refuse(None)
    assert market.ask(1, 0) == Answer(1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="instances: was -1, expected"):
        SpotMarket().set_capacity(-1)
    with pytest.raises(ValueError, match="kind: was 'price', expected None or one of capacity, quota, configuration"):
        SpotMarket().refuse("price")
