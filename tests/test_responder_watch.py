"""A board that is waited for no longer than a signal may wait, and shares of the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spotkeeper_ledger import ABSENT, Stored, Unavailable, open_board
from spotkeeper_responder import TimeLeft
from spotkeeper_responder.watch import LEDGER_SECONDS, WatchedBoard, one_worker


class Slow:
    """A board whose reads take their time, and may come to nothing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds = 0.3
        self.answers = True

    def read(self, key: str) -> Stored | None:
        self.now += self.seconds
        if not self.answers:
            raise Unavailable(key)
        return None


@pytest.fixture
def slow() -> Slow:
    return Slow()


def watched(slow: Slow) -> WatchedBoard:
    return WatchedBoard(slow, lambda: slow.now)  # type: ignore[arg-type]  # reads are all that is asked of it


def until_refused(call: Callable[[], object]) -> int:
    for count in range(100):
        try:
            call()
        except Unavailable:
            return count
    raise AssertionError("never refused")


def test_before_a_signal_no_call_is_begun_after_the_limit(slow: Slow) -> None:
    board = watched(slow)
    with board.before_signal():
        assert until_refused(lambda: board.read("k")) == 7
    assert slow.now == pytest.approx(2.1)  # by this clock a call is never cut short; by a real one it is: see below


def test_no_limit_at_other_times_and_a_new_one_for_each_fleet(slow: Slow) -> None:
    board = watched(slow)
    with board.before_signal():
        until_refused(lambda: board.read("k"))
    for _ in range(50):
        board.read("k")
    with board.before_signal(), pytest.raises(Unavailable):
        board.read("k")
    board.refill()
    with board.before_signal():
        board.read("k")


def test_a_call_that_hangs_is_left_in_time_and_what_waits_behind_it_is_never_made() -> None:
    released, written = threading.Event(), []

    class Hanging:
        def read(self, key: str) -> None:
            released.wait(60)

        def write(self, key: str, body: bytes, *, expect: object) -> str:
            written.append(key)
            return ""

    worker = one_worker()
    board = WatchedBoard(Hanging(), worker=worker)  # type: ignore[arg-type]  # the two calls that are made of it
    began = time.monotonic()
    with board.before_signal(), pytest.raises(Unavailable, match=r"did not answer within 2\.0 s"):
        board.read("k")
    assert LEDGER_SECONDS <= time.monotonic() - began < 10, "long before the call itself would have ended"
    another = WatchedBoard(Hanging(), worker=worker)  # type: ignore[arg-type]  # of the next batch
    another._allowance = 0.1
    with another.before_signal(), pytest.raises(Unavailable):
        another.write("k", b"", expect=ABSENT)
    assert WatchedBoard(Slow()).read("k") is None  # type: ignore[arg-type]  # another handler is held up by nothing
    released.set()
    next_one = WatchedBoard(Hanging(), worker=worker)  # type: ignore[arg-type]
    assert next_one.read("k") is None  # and the next batch is served again
    assert not written


def test_many_quick_calls_can_be_taken_out_of_it(slow: Slow) -> None:
    board = watched(slow)
    with board.before_signal():
        with board.unhurried():
            for _ in range(50):
                board.read("k")
        board.read("k")


def test_a_board_that_lets_time_pass_in_vain_is_not_asked_again(slow: Slow) -> None:
    board = watched(slow)
    slow.answers = False
    for _ in range(10):
        with pytest.raises(Unavailable):
            board.read("k")
    assert slow.now == pytest.approx(2.1)  # seven tries of 0.3 s
    assert board.calls == 7


def test_a_fault_that_is_told_at_once_is_no_absence(slow: Slow) -> None:
    board = watched(slow)
    slow.answers, slow.seconds = False, 0.01
    for _ in range(20):
        with pytest.raises(Unavailable):
            board.read("k")
    slow.answers = True
    board.read("k")


def test_it_is_a_board(tmp_path: Path) -> None:
    board = WatchedBoard(open_board(tmp_path.as_uri()))
    version = board.write("fleets/a/x.json", b"1", expect=ABSENT)
    stored = board.read("fleets/a/x.json")
    assert stored is not None
    assert (stored.body, stored.version) == (b"1", version)
    assert board.read_changed("fleets/a/x.json", version) is None
    assert [entry.key for entry in board.list("fleets/")] == ["fleets/a/x.json"]
    assert board.list_folders("fleets/") == ["a"]
    board.delete("fleets/a/x.json")
    assert board.calls == 6


class TestTimeLeft:
    def test_without_shares_it_is_all_there_is(self) -> None:
        assert TimeLeft(lambda: 7.5)() == 7.5

    def test_a_share_is_a_part_of_the_rest_and_ends_on_its_own(self) -> None:
        clock = {"now": 0.0}
        left = TimeLeft(lambda: 20 - clock["now"], lambda: clock["now"])
        left.share(4)
        assert left() == 5
        clock["now"] = 5
        assert left() == 0
        left.share(1)
        assert left() == 15

    def test_a_share_is_never_too_short_to_do_anything_with(self) -> None:
        left = TimeLeft(lambda: 10.0, time.monotonic)
        left.share(100)
        assert left() == pytest.approx(TimeLeft.SHORTEST_SHARE_SECONDS, abs=0.1)

    def test_but_never_longer_than_what_is_left(self) -> None:
        left = TimeLeft(lambda: 1.0)
        left.share(100)
        assert left() == 1.0
