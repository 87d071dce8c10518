"""Requests at once are responded to together, and each hears what became of its own message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

import pytest

from agent_support import wait_until
from spotkeeper_responder import Heard, Tick
from spotkeeper_responder.gcp import Outcome, Turns


def ticks(*messages: str) -> list[list[Heard]]:
    return [[Heard(message, Tick())] for message in messages]


class Slow:
    """Responds to a batch when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Semaphore(0)
        self.failing: set[str] = set()
        self.rest = 0.0

    def __call__(self, heard: Sequence[Heard]) -> Outcome:
        self.batches.append([each.message for each in heard])
        assert self.go.acquire(timeout=30)
        return Outcome(self.failing & {each.message for each in heard}, self.rest)


def asking(turns: Turns, told: dict[str, bool], message: str, heard: list[Heard]) -> threading.Thread:
    thread = threading.Thread(target=lambda: told.__setitem__(message, turns.take(message, heard)), daemon=True)
    thread.start()
    return thread


def test_a_rest_keeps_nobody_who_was_responded_to_and_ends_when_the_house_is_full() -> None:
    slow, told = Slow(), {}
    turns = Turns(slow, 10)
    slow.rest = 3600.0
    first = asking(turns, told, "first", ticks("first")[0])
    slow.go.release(2)
    first.join(30)
    assert told == {"first": True}, "it does not wait for the rest to be over"
    names = [f"m{number}" for number in range(8)]
    others = [asking(turns, told, name, heard) for name, heard in zip(names, ticks(*names), strict=True)]
    for thread in others:
        thread.join(30)
    assert [sorted(batch) for batch in slow.batches] == [["first"], sorted(names)], "one batch, as soon as there were 8"


def test_who_waits_is_served_with_all_others_that_wait() -> None:
    slow, told = Slow(), {}
    turns = Turns(slow, 100)
    ask = partial(asking, turns, told)
    names = [f"m{number}" for number in range(20)]
    first = ask("first", ticks("first")[0])
    wait_until(lambda: slow.batches)
    slow.failing = {"m3"}
    others = [ask(name, heard) for name, heard in zip(names, ticks(*names), strict=True)]
    wait_until(lambda: len(turns._waiting) == len(names))
    slow.go.release(2)
    for thread in (first, *others):
        thread.join(30)
    assert slow.batches[0] == ["first"]
    assert [sorted(batch) for batch in slow.batches[1:]] == [sorted(names)], "one batch of all that waited"
    assert told == {"first": True, **{name: name != "m3" for name in names}}


def test_a_batch_that_breaks_is_told_to_all_of_it_and_the_next_one_is_served() -> None:
    broken = [True]

    def respond(_: Sequence[Heard]) -> Outcome:
        if broken.pop() if broken else False:
            raise RuntimeError("the ledger is away")
        return Outcome()

    turns = Turns(respond, 100)
    (heard,) = ticks("m")
    with pytest.raises(RuntimeError, match="the ledger is away"):
        turns.take("m", heard)
    assert turns.take("m", heard)
