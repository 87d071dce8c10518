"""What stands of the deadline policy's answer between two ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder_support import T0, ledger
from spotkeeper_ledger import Account, PlanRecord
from spotkeeper_responder import Answer, Situation
from spotkeeper_responder.policies import Standing, standing

COUNTS = st.integers(0, 9)


def stands(missing: int, held: int, wanted: int, spot: int | None = None) -> Standing:
    return Standing.of(Situation(missing=missing, held=held), Answer(on_demand=wanted, spot=spot))


def wants(standing: Standing, missing: int, held: int = 0) -> int:
    return standing.answer(Situation(missing=missing, held=held)).on_demand


@given(asked=COUNTS, held=COUNTS, buys=st.booleans(), missing=COUNTS, later=COUNTS)
def test_all_or_nothing_is_what_it_was_as_a_yes_or_no(
    asked: int, held: int, buys: bool, missing: int, later: int
) -> None:
    """Gangs: all that is missing is bought, or what is held of it is kept, however much that is by then."""
    answered = stands(asked, held, asked if buys else min(asked, held))
    bought = (buys or held >= asked) and asked > 0
    assert answered == Standing(bought)
    assert wants(answered, missing, later) == (missing if bought else min(missing, later))


@given(missing=COUNTS, held=COUNTS, wanted=COUNTS, later=COUNTS, then=COUNTS)
def test_a_part_stands_as_a_count_and_never_for_more_than_is_missing(
    missing: int, held: int, wanted: int, later: int, then: int
) -> None:
    answered = stands(missing, held, wanted)
    assert wants(answered, missing, held) == min(missing, wanted)
    assert 0 <= wants(answered, later, then) <= later
    if wanted < missing and wanted != held:
        assert wants(answered, later, then) == min(later, wanted)


@pytest.mark.parametrize("missing", [5, 4, 2, 1, 0])
def test_two_of_five_stay_two_until_fewer_are_missing(missing: int) -> None:
    assert wants(stands(missing=5, held=0, wanted=2), missing) == min(2, missing)
    assert wants(stands(missing=5, held=5, wanted=2), missing, held=5) == min(2, missing), "three are given back"
    assert wants(stands(missing=5, held=3, wanted=0), missing, held=3) == 0


@given(missing=COUNTS, held=COUNTS, wanted=COUNTS)
def test_without_spot_the_count_is_always_told(missing: int, held: int, wanted: int) -> None:
    assert stands(missing, held, wanted, spot=0).on_demand == wanted


def test_it_is_read_from_the_ledger() -> None:
    assert standing(ledger()) == Standing(buys=False), "nobody has been asked yet"
    plan = PlanRecord(at=T0, buys=False, on_demand=2)
    assert standing(ledger(account=Account(since=T0, plan=plan))) == Standing(buys=False, on_demand=2)
