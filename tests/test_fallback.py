"""Fallback policies that look at what is missing only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder_support import ledger, spec
from spotkeeper_responder import Mirror, Never, Patient, Situation, UnknownPolicy, policy_of


def test_never_buys_nothing_however_long_it_lasts() -> None:
    assert Never().answer(Situation(missing=5, lasted=1e6, held=3)).on_demand == 0


def test_mirror_buys_what_is_missing_at_once() -> None:
    assert Mirror().answer(Situation(missing=5)).on_demand == 5


@pytest.mark.parametrize(("lasted", "wanted"), [(0, 0), (599.9, 0), (600, 3), (6000, 3)])
def test_patient_buys_once_a_shortfall_has_lasted(lasted: float, wanted: int) -> None:
    assert Patient(600).answer(Situation(missing=3, lasted=lasted)).on_demand == wanted


@pytest.mark.parametrize(("held", "wanted"), [(1, 1), (3, 3), (9, 3)])
def test_patient_keeps_what_it_holds_while_that_is_missing(held: int, wanted: int) -> None:
    assert Patient(600).answer(Situation(missing=3, held=held)).on_demand == wanted


@given(
    name=st.sampled_from(["mirror", "never", "patient"]),
    missing=st.integers(0, 100),
    lasted=st.floats(0, 1e5),
    held=st.integers(0, 100),
)
def test_none_of_them_ever_wants_more_than_is_missing(name: str, missing: int, lasted: float, held: int) -> None:
    answer = policy_of(spec(name), ledger()).answer(Situation(missing=missing, lasted=lasted, held=held))
    assert 0 <= answer.on_demand <= missing
    assert (answer.spot, answer.checkpoint, answer.final, answer.problem) == (None, False, False, "")


@given(lasted=st.floats(0, 599), held=st.integers(0, 5), within=st.floats(0, 0.999))
def test_an_answer_holds_for_as_long_as_it_says(lasted: float, held: int, within: float) -> None:
    now = Patient(600).answer(Situation(missing=4, lasted=lasted, held=held))
    later = Situation(missing=4, lasted=lasted + within * now.holds_seconds, held=held)
    assert Patient(600).answer(later).on_demand == now.on_demand


def test_policy_takes_its_settings_from_the_spec() -> None:
    assert policy_of(spec("patient", wait_seconds=42), ledger()) == Patient(42)


def test_unknown_policy_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownPolicy, match=r"policy\.name: was 'hopeful', expected one of .*mirror, never, patient"):
        policy_of(spec("hopeful"), ledger())
