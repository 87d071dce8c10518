from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_agent.goodput import Account, advance, hung, total
from spotkeeper_ledger import Goodput, Progress, dump, load


def seconds_of(goodput: Goodput) -> float:
    lost = goodput.saving_seconds + goodput.recomputed_seconds + goodput.restart_seconds + goodput.waiting_seconds
    return goodput.useful_seconds + lost


def progress(generation: int, at: float, step: int | None, goodput: Goodput | None = None) -> Progress:
    return Progress("fleet", "inc", generation, "i-1", at, step=step, goodput=goodput)


def test_time_until_the_first_step_is_a_restart_and_then_steps_are_useful() -> None:
    account = Account(since=1000.0)
    for step in (None, None, 1):
        account = advance(account, 1.0, step=step)
    assert (account.restart, account.working) == (3.0, 0.0)
    for step in (2, 3, 3):
        account = advance(account, 1.0, step=step)
    assert (account.restart, account.working) == (3.0, 3.0)
    told = total(account, None)
    assert (told.useful_seconds, told.restart_seconds, told.high_step, told.since) == (3.0, 3.0, 3, 1000.0)
    assert told.fraction == 0.5


def test_saving_is_what_the_job_says_it_was() -> None:
    account = advance(advance(Account(0.0), 1.0, step=1), 10.0, step=5, saving_seconds=4.0)
    assert (account.working, account.saving) == (6.0, 4.0)
    account = advance(account, 1.0, step=6, saving_seconds=4.0)
    assert (account.working, account.saving) == (7.0, 4.0)


def test_steps_that_a_crash_has_cost_are_recomputed() -> None:
    account = Account(0.0)
    for step in (0, 10):
        account = advance(account, 10.0, step=step)
    account = advance(account, 5.0, step=None)
    account = advance(account, 5.0, step=4)  # resumed from a checkpoint at step 4
    assert account.restart == 20.0
    account = advance(account, 12.0, step=16)
    assert account.recomputed == pytest.approx(6.0), "steps 5 to 10 of 5 to 16"
    assert account.working == pytest.approx(10.0 + 6.0)


def test_a_hang_was_no_work() -> None:
    account = advance(advance(Account(0.0), 1.0, step=1), 100.0, step=2)
    account = hung(account, 90.0)
    assert (account.working, account.restart) == (10.0, 91.0)


def test_the_next_generation_goes_on_with_the_account_and_counts_what_it_waited_for() -> None:
    first = advance(advance(Account(1000.0), 2.0, step=0), 100.0, step=100)
    before = progress(1, 1102.0, 100, total(first, None))
    second = Account(1130.0)
    for seconds, step in ((3.0, 90), (20.0, 110)):
        second = advance(second, seconds, step=step)
    told = total(second, before)
    assert told.since == 1000.0
    assert told.waiting_seconds == pytest.approx(28.0)
    assert told.recomputed_seconds == pytest.approx(10.0), "steps 91 to 100 of 91 to 110"
    assert told.useful_seconds == pytest.approx(100.0 + 10.0)
    assert told.restart_seconds == pytest.approx(5.0)
    assert told.high_step == 110
    assert seconds_of(told) == pytest.approx(1130 + 23 - 1000)


def test_a_generation_before_that_kept_no_account_is_no_obstacle() -> None:
    told = total(advance(Account(50.0), 1.0, step=1), progress(1, 40.0, 7))
    assert (told.since, told.waiting_seconds, told.high_step) == (40.0, 10.0, 7)
    assert total(Account(50.0), progress(1, 60.0, None)).waiting_seconds == 0.0, "clocks that disagree"


def test_it_is_kept_in_the_jobs_progress() -> None:
    told = total(advance(Account(50.0), 1.0, step=1), None)
    assert load(Progress, dump(progress(1, 51.0, 1, told))).goodput == told
    assert load(Progress, dump(progress(1, 51.0, 1))).goodput is None
    assert Goodput(0.0).fraction is None


Seen = tuple[float, int | None, float]
observations = st.lists(
    st.tuples(st.floats(0, 60), st.none() | st.integers(0, 100), st.floats(0, 30)), min_size=1, max_size=20
)


@given(st.lists(observations, min_size=1, max_size=4), st.floats(0, 100))
def test_no_second_is_lost_or_counted_twice(
    generations: list[list[tuple[float, int | None, float]]], gap: float
) -> None:
    now, earlier, began = 1000.0, None, 1000.0
    for number, seen in enumerate(generations, 1):
        account, spent = Account(now), 0.0
        for seconds, step, share in seen:
            # What a job says that saving took cannot be more than the time there was.
            saving = account.saved + min(share, seconds) if account.step is not None and step is not None else 0.0
            account = advance(account, seconds, step=step, saving_seconds=saving)
            spent += seconds
        now += spent
        told = total(account, earlier)
        assert seconds_of(told) == pytest.approx(now - began, abs=1e-6)
        assert min(told.useful_seconds, told.saving_seconds, told.recomputed_seconds, told.restart_seconds) >= -1e-9
        assert told.fraction is None or -1e-9 <= told.fraction <= 1 + 1e-9
        earlier = replace(progress(number, now, account.step), goodput=told)
        now += gap
