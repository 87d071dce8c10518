"""Two paths for a signal, and what either is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from responder_support import FLEET, T0, SimCloud, ledger, node, notice, record
from spotkeeper_ledger import (
    ANY,
    INTERRUPTION,
    REBALANCE,
    SCALE_IN,
    Board,
    Conflict,
    Signal,
    SignalBoard,
    Unavailable,
    dump,
    keys,
    load,
    open_board,
)
from spotkeeper_responder.signals import NODES_PER_COMMAND, blind, post, send
from spotkeeper_responder.watch import WatchedBoard


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return open_board(tmp_path.as_uri())


def signal(number: int, kind: str = INTERRUPTION, deadline: float | None = T0 + 120, **more: object) -> Signal:
    return Signal(f"{node(number)}:leaving", node(number), kind, T0, deadline, **more)  # type: ignore[arg-type]


def posted(revision: int, *signals: Signal, incarnation: str = "AROATEST") -> SignalBoard:
    return SignalBoard(FLEET, incarnation, revision, signals)


def there(board: Board) -> SignalBoard:
    stored = board.read(keys.signals(FLEET))
    assert stored is not None
    return load(SignalBoard, stored.body)


def commands(board: Board, *signals: Signal) -> list[tuple[str, ...]]:
    cloud = SimCloud({})
    assert send(WatchedBoard(board), cloud, print, FLEET, signals, posted(1, *signals))
    return cloud.done


class TestCommand:
    def test_one_for_all_nodes_with_the_closest_deadline(self, board: Board) -> None:
        sent = commands(board, signal(2, deadline=T0 + 90), signal(1))
        assert sent == [("signal", FLEET, INTERRUPTION, f"{T0 + 90:.0f}", node(1), node(2))]

    def test_one_for_each_kind_so_that_nobody_is_told_more_than_is_true(self, board: Board) -> None:
        sent = commands(board, signal(1), signal(2, REBALANCE, None), signal(3, SCALE_IN, T0 + 600))
        assert [(s[2], s[3], *s[4:]) for s in sent] == [
            (INTERRUPTION, f"{T0 + 120:.0f}", node(1)),
            (REBALANCE, "none", node(2)),
            (SCALE_IN, f"{T0 + 600:.0f}", node(3)),
        ]

    def test_several_for_more_nodes_than_one_may_name(self, board: Board) -> None:
        sent = commands(board, *(signal(n) for n in range(2 * NODES_PER_COMMAND + 1)))
        assert [len(s[4:]) for s in sent] == [NODES_PER_COMMAND, NODES_PER_COMMAND, 1]

    def test_none_for_a_drill(self, board: Board) -> None:
        assert commands(board, signal(1, drill=True)) == []
        assert there(board).signals == (signal(1, drill=True),)


class TestSignalJson:
    def test_a_later_decision_replaces_an_earlier_one_and_never_the_other_way_round(self, board: Board) -> None:
        post(WatchedBoard(board), posted(5, signal(1)))
        post(WatchedBoard(board), posted(7, signal(1), signal(2)))
        post(WatchedBoard(board), posted(6, signal(1)))
        assert there(board) == posted(7, signal(1), signal(2))

    @pytest.mark.parametrize("before", [b"nonsense", dump(posted(99, signal(9), incarnation="AROAOLD"))])
    def test_nonsense_and_another_incarnations_are_replaced(self, board: Board, before: bytes) -> None:
        board.write(keys.signals(FLEET), before, expect=ANY)
        post(WatchedBoard(board), posted(1, signal(1)))
        assert there(board) == posted(1, signal(1))

    def test_a_write_that_was_lost_is_tried_again_and_not_for_ever(self, board: Board) -> None:
        class Contended:
            tries = 0

            def read(self, key: str) -> object:
                return board.read(key)

            def write(self, key: str, body: bytes, *, expect: object) -> str:
                self.tries += 1
                raise Conflict(key)

        contended = Contended()
        with pytest.raises(Unavailable):
            post(WatchedBoard(contended), posted(1, signal(1)))  # type: ignore[arg-type]  # the two calls it makes
        assert contended.tries == 3


class TestWithoutALedger:
    def test_the_command_goes_first_and_the_signals_are_added(self, board: Board) -> None:
        post(WatchedBoard(board), posted(5, signal(1), signal(2)))
        cloud = SimCloud({})
        cloud.before = lambda _: order.append(len(there(board).signals))
        order: list[int] = []
        later = signal(2, deadline=T0 + 50)
        assert send(WatchedBoard(board), cloud, print, FLEET, [later, signal(3)], None)
        assert order == [2]
        assert there(board) == posted(5, later, signal(3), signal(1))

    def test_nothing_is_written_where_nothing_is(self, board: Board) -> None:
        cloud = SimCloud({}, failing={"signal"})
        said: list[tuple[object, ...]] = []
        log = lambda level, message, **fields: said.append((level, fields["path"]))  # noqa: E731
        assert not send(WatchedBoard(board), cloud, log, FLEET, [signal(1)], None)
        assert said == [("ERROR", "command"), ("ERROR", "signal.json")]


class TestBlind:
    """What is signalled when only the words themselves are there."""

    def test_words_that_a_node_goes_with_the_deadline_of_their_kind(self) -> None:
        said = blind([notice(1), notice(2, SCALE_IN), notice(3, deadline=T0 + 9)], None, T0)
        assert [(s.node, s.deadline) for s in said] == [(node(1), T0 + 120), (node(2), T0 + 600), (node(3), T0 + 9)]

    def test_not_recommendations_and_not_drills(self) -> None:
        assert not blind([notice(1, REBALANCE), notice(2, drill=True)], None, T0)

    def test_not_what_is_known_to_be_sent(self) -> None:
        known = ledger(notices={node(1): record(1), node(2): record(2, stage="sending"), node(3): record(3, REBALANCE)})
        assert {s.node for s in blind([notice(n) for n in (1, 2, 3)], known, T0)} == {node(2), node(3)}
