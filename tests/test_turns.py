"""Saves take turns: one at a time, in order, each finished once, and no memory is given twice."""

from __future__ import annotations

import math
import threading
import time

import pytest

from agent_support import wait_until
from spotkeeper_training.pending import Job, Pending, Replaced
from spotkeeper_training.state import plan
from spotkeeper_training.turns import Turns


class Publisher:
    """Publishes one save after the other, each when it is let through."""

    def __init__(self) -> None:
        self.let_through = threading.Semaphore(0)
        self.begun: list[int] = []

    def __call__(self, job: Job) -> None:
        self.begun.append(job.pending.step)
        assert self.let_through.acquire(timeout=30)
        job.pending.finish(None, None, 0.0)


def job(step: int, *, copies: bool = True) -> Job:
    return Job(Pending(step), plan({"w": bytearray(8) if copies else b"12345678"}), 0.0, math.inf)


def may_begin(turns: Turns, *, alone: bool = False, copies: bool = True) -> bool:
    return turns.wait(time.monotonic(), alone=alone, copies=copies)


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


def test_what_needs_no_memory_waits_in_line_and_what_needs_it_for_the_memory(publisher: Publisher) -> None:
    turns = Turns(replace=False)
    assert job(0).planned.packed, "it is copied"
    assert not job(0, copies=False).planned.packed
    first, second = job(1), job(2, copies=False)
    assert may_begin(turns, alone=True)
    turns.start(first, publisher)
    assert not may_begin(turns)
    assert may_begin(turns, copies=False)
    turns.start(second, publisher)
    assert not may_begin(turns, copies=False), "one waits already"
    assert not may_begin(turns, alone=True)
    publisher.let_through.release()
    assert turns.wait(time.monotonic() + 30, alone=False, copies=True), "the second has no memory"
    publisher.let_through.release()
    assert turns.wait(time.monotonic() + 30, alone=True, copies=True)
    assert (publisher.begun, turns.busy) == ([1, 2], False)
    assert first.pending.done
    assert second.pending.done
    turns.close()


def test_memory_that_is_given_back_early_is_had_by_the_next_one_only(publisher: Publisher) -> None:
    turns = Turns(replace=False)
    first, second = job(1), job(2)
    turns.start(first, publisher)
    turns.give_back_memory(first)
    assert may_begin(turns)
    turns.start(second, publisher)
    turns.give_back_memory(first)  # it has none any more
    publisher.let_through.release()
    wait_until(lambda: publisher.begun == [1, 2])
    assert not may_begin(turns), "the second one has the memory"
    publisher.let_through.release()
    assert turns.wait(time.monotonic() + 30, alone=False, copies=True)
    turns.close()


def test_one_that_waits_gives_way_and_its_memory_goes_with_it(publisher: Publisher) -> None:
    turns = Turns(replace=True)
    first, second, third = job(1, copies=False), job(2), job(3)
    turns.start(first, publisher)
    turns.start(second, publisher)
    assert may_begin(turns)
    assert isinstance(second.pending.error, Replaced)
    turns.start(third, publisher)
    for _ in range(2):
        publisher.let_through.release()
    assert third.pending.wait(30)
    assert publisher.begun == [1, 3]
    turns.close()
