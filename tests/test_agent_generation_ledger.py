from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from agent_support import FLEET, INCARNATION, FaultyBoard
from spotkeeper_agent import generation_ledger
from spotkeeper_agent.generation_ledger import GenerationLedger, following, free_port
from spotkeeper_agent.generations import FORMING, RUNNING, Change
from spotkeeper_ledger import ANY, Generation, MalformedDocument, Member, Unavailable, dump, keys, load, open_board

LEASE, KEY = 30.0, keys.generation(FLEET)


class Node:
    """One node's view of the generation, in a folder, with a clock that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.now, self.board = 1000.0, FaultyBoard(open_board(folder.as_uri()))
        self.ledger = GenerationLedger(self.board, FLEET, LEASE, lambda: self.now)

    def there(self) -> Generation:
        found = self.board.read(KEY)
        assert found is not None
        return load(Generation, found.body)

    def put(self, body: bytes) -> None:
        self.board.write(KEY, body, expect=ANY)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "ledger")


@pytest.fixture
def other(tmp_path: Path) -> Node:
    """Another node of the same fleet."""
    return Node(tmp_path / "ledger")


def generation(number: int = 1, **facts: Any) -> Generation:
    return Generation(FLEET, INCARNATION, number, RUNNING, (Member("i-1", "boot", "10.0.0.1"),), **facts)


def of_a_newer_version(number: int = 4) -> bytes:
    document = json.loads(dump(generation(number)))
    return json.dumps({**document, "version": 99, "members": "another shape"}).encode()


def test_before_the_first_look_nothing_is_known(node: Node) -> None:
    assert (node.ledger.known, node.ledger.generation, node.ledger.unchanged_seconds) == (False, None, 0.0)


def test_that_there_is_none_is_known_as_well(node: Node) -> None:
    node.ledger.look()
    assert (node.ledger.known, node.ledger.generation) == (True, None)


def test_what_one_writes_the_other_finds(node: Node, other: Node) -> None:
    node.ledger.look()
    assert node.ledger.write(generation(1))
    assert node.ledger.generation == generation(1)
    other.ledger.look()
    assert other.ledger.generation == generation(1)
    assert node.ledger.write(generation(2)), "over what it has written itself, without another look"
    other.ledger.look()
    assert other.ledger.generation == node.there() == generation(2)


def test_of_two_that_write_over_the_same_one_wins_and_the_other_reads_it(node: Node, other: Node) -> None:
    for each in (node, other):
        each.ledger.look()
    assert other.ledger.write(generation(1, reason="other"))
    assert not node.ledger.write(generation(1, reason="node"))
    assert node.ledger.generation is None, "what it had read, not what it wanted"
    assert not node.ledger.write(generation(1, reason="node")), "not before it has read what there is"
    node.ledger.look()
    assert node.ledger.generation == node.there() == generation(1, reason="other")
    assert node.ledger.write(generation(2))
    assert not other.ledger.write(generation(2, beat=1))
    assert node.there() == generation(2)


def test_how_long_it_is_the_same_is_told_from_when_it_was_read_first(node: Node, other: Node) -> None:
    other.ledger.look()
    other.ledger.write(generation(1))
    node.ledger.look()
    assert node.ledger.unchanged_seconds == 0
    node.now += 12
    assert node.ledger.unchanged_seconds == 12
    node.ledger.look()
    assert node.ledger.unchanged_seconds == 12
    other.ledger.write(generation(1, beat=1))
    node.now += 1
    node.ledger.look()
    assert (node.ledger.generation, node.ledger.unchanged_seconds) == (generation(1, beat=1), 0)
    node.now += 7
    node.ledger.write(generation(1, beat=2))
    assert node.ledger.unchanged_seconds == 0, "what it writes itself is news as well"
    node.now += 3
    node.ledger.look()
    assert node.ledger.unchanged_seconds == 3


def test_after_a_read_that_failed_silence_is_counted_anew(node: Node) -> None:
    node.put(dump(generation(1)))
    node.ledger.look()
    node.now += LEASE - 1
    node.board.away = True
    with pytest.raises(Unavailable):
        node.ledger.look()
    assert (node.ledger.known, node.ledger.unchanged_seconds) == (False, 0)
    node.now += 5
    node.board.away = False
    node.ledger.look()
    assert (node.ledger.known, node.ledger.generation, node.ledger.unchanged_seconds) == (True, generation(1), 0)
    node.now += 2
    assert node.ledger.unchanged_seconds == 2


def test_a_write_whose_answer_was_lost_is_found_and_gone_on_from(node: Node) -> None:
    node.ledger.look()
    node.board.answers_are_lost = True
    with pytest.raises(Unavailable):
        node.ledger.write(generation(1))
    node.board.answers_are_lost = False
    node.ledger.look()
    assert node.ledger.generation == generation(1)
    assert node.ledger.write(generation(1, beat=1))


def test_a_write_that_never_arrived_may_be_made_again(node: Node) -> None:
    node.ledger.look()
    node.board.away = True
    with pytest.raises(Unavailable):
        node.ledger.write(generation(1))
    assert node.ledger.generation is None
    node.board.away = False
    assert node.ledger.write(generation(1))


@pytest.mark.parametrize("body", [b"{", b"[]", of_a_newer_version()], ids=["cut off", "no document", "newer version"])
def test_what_cannot_be_read_is_left_alone_for_the_lease_and_counts_as_none_after_it(node: Node, body: bytes) -> None:
    node.put(body)
    for node.now in (1000.0, 1000.0 + LEASE - 0.1):
        with pytest.raises(MalformedDocument):
            node.ledger.look()
        assert (node.ledger.known, node.ledger.generation, node.ledger.unchanged_seconds) == (False, None, 0.0)
    node.now = 1000.0 + LEASE
    node.ledger.look()
    assert (node.ledger.known, node.ledger.generation) == (True, None)
    assert node.ledger.write(generation(5))
    node.ledger.look()
    assert node.ledger.generation == node.there() == generation(5)


def test_one_that_goes_on_writing_what_cannot_be_read_is_left_alone(node: Node) -> None:
    for number in range(4, 9):
        node.put(of_a_newer_version(number))
        with pytest.raises(MalformedDocument):
            node.ledger.look()
        node.now += LEASE - 1
    node.put(dump(generation(9)))
    node.ledger.look()
    assert (node.ledger.known, node.ledger.generation) == (True, generation(9))


def test_while_nobody_could_write_what_cannot_be_read_is_not_silent(node: Node) -> None:
    """A ledger that is away for longer than the lease has kept its holder, too, from giving a sign of life."""
    node.put(of_a_newer_version())
    with pytest.raises(MalformedDocument):
        node.ledger.look()
    node.board.away = True
    node.now += LEASE - 1
    with pytest.raises(Unavailable):
        node.ledger.look()
    node.now += 10
    node.board.away = False
    with pytest.raises(MalformedDocument):
        node.ledger.look()
    assert not node.ledger.known
    node.now += LEASE
    node.ledger.look()
    assert node.ledger.known


def test_what_becomes_unreadable_is_no_longer_what_it_was(node: Node) -> None:
    node.put(dump(generation(3)))
    node.ledger.look()
    node.now += 2 * LEASE
    node.put(of_a_newer_version(4))
    with pytest.raises(MalformedDocument):
        node.ledger.look()
    assert (node.ledger.known, node.ledger.generation) == (False, None)


def test_what_follows_is_the_change_on_the_port_that_was_found() -> None:
    members = (Member("i-2", "boot", "10.0.0.2"), Member("i-1", "boot", "10.0.0.1"))
    change = Change(FORMING, members, "crash", crashes=2)
    made = [following(change, fleet=FLEET, incarnation=INCARNATION, number=7, port=23456) for _ in range(2)]
    assert len({each.rendezvous_id for each in made}) == 2
    assert made[0].rendezvous_id
    one = made[0]
    assert (one.fleet, one.incarnation, one.number, one.state) == (FLEET, INCARNATION, 7, FORMING)
    assert (one.members, one.master, one.port) == (members, "i-2", 23456)
    assert (one.reason, one.crashes, one.beat, one.stop_step) == ("crash", 2, 0, None)


def test_a_port_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as open_one:
        for each in (taken, open_one):
            each.bind(("127.0.0.1", 0))
        first, second = taken.getsockname()[1], open_one.getsockname()[1]
        open_one.close()
        taken.listen()
        offered = iter([first, second])
        monkeypatch.setattr(random, "randint", lambda *_: next(offered))
        assert free_port("127.0.0.1") == second
        monkeypatch.setattr(random, "randint", lambda *_: first)
        assert free_port("127.0.0.1") == 0


def test_ports_are_below_those_that_the_kernel_hands_out() -> None:
    lowest, highest = generation_ledger._PORTS
    assert lowest <= free_port("127.0.0.1") <= highest < 32768
