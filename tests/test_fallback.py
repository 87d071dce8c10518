"""Fallback policies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import PolicySpec
from spotkeeper_responder.fallback import POLICIES, Mirror, Never, Patient, Shortage, UnknownPolicy, policy_of

FRESH = Shortage(lasted_seconds=0, held=0)


def test_never_buys_nothing_however_long_it_lasts() -> None:
    assert Never().wanted(5, context=Shortage(lasted_seconds=1e6, held=3)) == 0


def test_mirror_buys_what_is_missing_at_once() -> None:
    assert Mirror().wanted(5, context=FRESH) == 5


@pytest.mark.parametrize(("lasted", "wanted"), [(0, 0), (599.9, 0), (600, 3), (6000, 3)])
def test_patient_buys_once_a_shortfall_has_lasted(lasted: float, wanted: int) -> None:
    assert Patient(600).wanted(3, context=Shortage(lasted_seconds=lasted, held=0)) == wanted


@pytest.mark.parametrize(("held", "wanted"), [(1, 1), (3, 3), (9, 3)])
def test_patient_keeps_what_it_holds_while_that_is_missing(held: int, wanted: int) -> None:
    assert Patient(600).wanted(3, context=Shortage(lasted_seconds=0, held=held)) == wanted


@given(
    name=st.sampled_from(sorted(POLICIES)),
    missing=st.integers(0, 100),
    lasted=st.floats(0, 1e5),
    held=st.integers(0, 100),
)
def test_no_policy_ever_wants_more_than_is_missing(name: str, missing: int, lasted: float, held: int) -> None:
    wanted = policy_of(PolicySpec(name)).wanted(missing, context=Shortage(lasted_seconds=lasted, held=held))
    assert 0 <= wanted <= missing


def test_policy_takes_its_settings_from_the_spec() -> None:
    assert policy_of(PolicySpec("patient", wait_seconds=42)) == Patient(42)


def test_unknown_policy_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownPolicy, match=r"policy\.name: was 'deadline', expected one of mirror, never, patient"):
        policy_of(PolicySpec("deadline"))
