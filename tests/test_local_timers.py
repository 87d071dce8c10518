import threading
from collections.abc import Iterator

import pytest

from spotkeeper_lab.local.timers import Timers


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def timers(failures: list[str]) -> Iterator[Timers]:
    made = Timers(failures.append)
    yield made
    made.close()


def test_actions_are_done_in_the_order_in_which_they_are_due(timers: Timers) -> None:
    done, order = threading.Event(), []
    timers.after(0.10, done.set)
    timers.after(0.05, lambda: order.append("second"))
    timers.after(0.0, lambda: order.append("first"))
    assert done.wait(20)
    assert order == ["first", "second"]


def test_a_cancelled_action_is_not_done(timers: Timers) -> None:
    done, order = threading.Event(), []
    timers.after(0.01, lambda: order.append("cancelled")).cancel()
    timers.after(0.02, done.set)
    assert done.wait(20)
    assert order == []


def test_an_action_that_raises_is_told_and_the_others_go_on(timers: Timers, failures: list[str]) -> None:
    done = threading.Event()
    timers.after(0.0, lambda: 1 // 0)
    timers.after(0.01, done.set)
    assert done.wait(20)
    assert "ZeroDivisionError" in failures[0]


def test_closing_waits_for_what_runs_and_forgets_the_rest(timers: Timers) -> None:
    began, go_on, order = threading.Event(), threading.Event(), []

    def long() -> None:
        began.set()
        go_on.wait(20)
        order.append("ended")

    timers.after(0.0, long)
    timers.after(0.0, lambda: order.append("forgotten"))
    assert began.wait(20)
    threading.Timer(0.01, go_on.set).start()
    timers.close()
    assert order == ["ended"]
