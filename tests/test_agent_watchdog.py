from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_agent.watchdog import FACTOR, LONGEST_LOOK_SECONDS, Pace, excused, hangs, look, patience
from spotkeeper_ledger.run_dir import LocalProgress


def said(step: int, at: float, busy: str = "") -> LocalProgress:
    return LocalProgress(step=step, at=at, busy=busy)


def going(steps: int = 10, seconds: float = 2.0) -> Pace:
    """A job that has made steps, one each look."""
    pace = Pace()
    for step in range(steps + 1):
        pace = look(pace, said(step, float(step)), seconds)
    return pace


def quiet(pace: Pace, seconds: float) -> Pace:
    """The same job, with no word for so long."""
    while seconds > 0:
        pace = look(pace, said(pace.step or 0, pace.said_at), min(1.0, seconds))
        seconds -= 1.0
    return pace


def test_a_job_that_has_made_no_step_never_hangs() -> None:
    assert not hangs(quiet(Pace(), 1000), 1.0)
    assert not hangs(look(Pace(), None, 10_000), 1.0)
    first = look(Pace(), said(0, 1.0), 1.0)
    assert patience(first, 1.0) is None
    assert not hangs(quiet(first, 1000), 1.0), "compiling the first step may take as long as it likes"


def test_it_hangs_after_five_usual_steps_and_never_before_the_minimum() -> None:
    assert patience(going(seconds=2.0), 1.0) == pytest.approx(FACTOR * 2.0)
    assert patience(going(seconds=2.0), 600.0) == 600.0
    slow = going(seconds=4.0)
    assert not hangs(quiet(slow, 19.9), 1.0)
    assert hangs(quiet(slow, 20.1), 1.0)


def test_one_long_step_does_not_change_what_is_usual() -> None:
    pace = going(seconds=1.0)
    usual = patience(pace, 0.1)
    pace = look(quiet(pace, 100.0), said(11, 99.0), 1.0)
    assert patience(pace, 0.1) == pytest.approx(usual)


def test_many_steps_between_two_looks_are_that_many_steps() -> None:
    pace = look(Pace(), said(0, 0.0), 1.0)
    for number in range(1, 5):
        pace = look(pace, said(100 * number, float(number)), 1.0)
    assert patience(pace, 0.001) == pytest.approx(FACTOR * 0.01)


def test_nobody_watches_where_that_is_switched_off() -> None:
    assert not hangs(quiet(going(), 1e3), 0.0)


def test_a_new_report_of_the_same_step_is_a_sign_of_life() -> None:
    pace = going(seconds=1.0)
    for second in range(100):
        pace = look(pace, said(10, 1000.0 + second), 1.0)
        assert pace.quiet_seconds == 0.0
    assert not hangs(pace, 5.0)


def test_a_job_that_saves_does_not_hang_and_may_hang_afterwards() -> None:
    pace = going(seconds=1.0)
    for _ in range(1000):
        pace = look(pace, said(10, 11.0, "saving"), 1.0)
        assert not hangs(pace, 5.0)
    pace = look(pace, said(10, 12.0), 1.0)
    assert not hangs(quiet(pace, 4.0), 5.0)
    assert hangs(quiet(pace, 6.0), 5.0)


def test_time_that_the_agent_was_stopped_itself_does_not_count() -> None:
    pace = look(going(seconds=1.0), said(10, 10.0), 100_000.0)
    assert pace.quiet_seconds == LONGEST_LOOK_SECONDS
    assert not hangs(pace, 10.0)


def test_silence_that_is_excused_does_not_count() -> None:
    assert not hangs(excused(quiet(going(), 1000.0)), 10.0)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100), st.floats(0, 30)), max_size=30),
    st.floats(0.1, 100),
)
def test_it_never_hangs_in_less_than_the_minimum(looks: list[tuple[int, float, float]], least: float) -> None:
    pace, silent = Pace(), 0.0
    for step, at, seconds in looks:
        before, pace = pace, look(pace, said(step, at), seconds)
        alive = before.step != step or before.said_at != at
        silent = 0.0 if alive else silent + seconds
        assert pace.quiet_seconds <= silent + 1e-9
        assert not hangs(pace, least) or silent >= least - 1e-9
