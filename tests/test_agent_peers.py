"""Agents in touch with each other: over real sockets, with whoever else may try."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from agent_support import wait_until
from spotkeeper_agent.peer_messages import (
    MAX_LINE_BYTES,
    Line,
    PeerState,
    Refused,
    UnknownGeneration,
    hello,
    parse,
    sign,
    verify,
)
from spotkeeper_agent.peer_table import Table
from spotkeeper_agent.peers import Peers
from spotkeeper_ledger import Member, dump

KEY, OLD = "0" * 32, "1" * 32


class Node:
    """One end, as a test looks at it."""

    def __init__(self, name: str, every_seconds: float) -> None:
        self.beat, self.job = 0, "none"
        self.documents: dict[str, str] = {}
        self.changes = threading.Semaphore(0)
        self.peers = Peers("127.0.0.1", 0, every_seconds, self.state, self.changes.release)
        self.member = Member(name, "boot", "127.0.0.1", port=self.peers.port)
        self.peers.start()

    def state(self) -> PeerState:
        self.beat += 1
        return PeerState(self.member, f"session-{self.member.node}", self.beat, job=self.job, documents=self.documents)

    def meet(self, *others: Node, number: int = 3, key: str = KEY) -> None:
        self.peers.meet(number, key, [self.member, *(other.member for other in others)], self.member.node)

    def heard(self, other: Node) -> PeerState | None:
        known = self.peers.table.all().get(other.member.node)
        return known.state if known else None


class Nodes:
    """Makes nodes, which fall silent when the test is over."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, *names: str, every_seconds: float = 0.2) -> list[Node]:
        made = [Node(name, every_seconds) for name in names]
        for node in made:
            self._stack.callback(node.peers.close)
        return made


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(stack)


def call(node: Node) -> tuple[socket.socket, str]:
    """A connection of anybody's, and the challenge on it."""
    connection = socket.create_connection(("127.0.0.1", node.peers.port), timeout=5)
    return connection, connection.recv(100).decode().strip()


def is_refused(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


def test_nodes_hear_of_each_other_and_of_news_at_once(nodes: Nodes) -> None:
    a, b = nodes("a", "b", every_seconds=300)
    a.meet(b)
    b.meet(a)
    wait_until(lambda: a.heard(b) and b.heard(a))
    a.peers.flush(2)
    a.job, a.documents = "running", {"agreement": "{}"}
    a.peers.push()
    wait_until(lambda: (state := b.heard(a)) is not None and state.job == "running")  # long before the next call
    assert b.heard(a).documents == {"agreement": "{}"}  # type: ignore[union-attr]


def test_a_stranger_who_calls_is_heard_without_being_looked_for(nodes: Nodes) -> None:
    a, b = nodes("a", "b")
    a.meet()
    b.meet(a)
    wait_until(lambda: a.heard(b))


def test_the_generation_before_still_counts_and_the_one_before_that_does_not(nodes: Nodes) -> None:
    a, late = nodes("a", "late")
    a.meet(number=2, key=OLD)
    a.meet(number=3)
    late.meet(a, number=2, key=OLD)
    wait_until(lambda: a.heard(late))
    a.meet(number=4, key="4" * 32)
    assert 2 not in a.peers.ring().keys


def test_who_knows_a_later_generation_is_a_reason_to_look(nodes: Nodes) -> None:
    a, b = nodes("a", "b")
    a.meet()
    b.meet(a, number=4, key="4" * 32)
    wait_until(lambda: a.peers.unknown == 4)
    assert a.heard(b) is None


def test_what_is_forged_oversized_or_no_line_at_all_is_refused(nodes: Nodes) -> None:
    a, b = nodes("a", "b")
    a.meet()
    body = dump(b.state()).decode()
    lies: list[Callable[[str], bytes]] = [
        lambda challenge: sign("wrong", challenge, "ask", 3, 1, "n", body).encode(),
        lambda challenge: replace(
            sign(KEY, challenge, "ask", 3, 1, "n", body), body=body.replace("none", "gone")
        ).encode(),
        lambda challenge: sign(KEY, challenge, "answer", 3, 1, "n", body).encode(),
        lambda challenge: sign(KEY, hello(), "ask", 3, 1, "n", body).encode(),
        lambda challenge: sign(KEY, challenge, "ask", 3, 0, "n", body).encode(),
        lambda challenge: sign(KEY, challenge, "ask", 3, 1, "n", "{}").encode(),
        lambda challenge: b"x" * (MAX_LINE_BYTES + 70_000),
        lambda challenge: b"[" * 10_000 + b"\n",
        lambda challenge: b'{"generation":true}\n',
        lambda challenge: b"\xff\xfe\n",
    ]
    for lie in lies:
        connection, challenge = call(a)
        with closing(connection):
            try:
                connection.sendall(lie(challenge))
            except ConnectionError:
                continue
            assert is_refused(connection)
    assert a.heard(b) is None
    connection, challenge = call(a)
    with closing(connection):
        connection.sendall(sign(KEY, challenge, "ask", 3, 1, "n", body).encode())
        assert connection.recv(100)  # after all that, the truth is still taken
    assert a.heard(b)


def test_what_was_said_once_is_not_taken_again(nodes: Nodes) -> None:
    a, b = nodes("a", "b")
    a.meet()
    body = dump(b.state()).decode()
    first, challenge = call(a)
    line = sign(KEY, challenge, "ask", 3, 1, "n", body).encode()
    with closing(first):
        first.sendall(line)
        assert first.recv(65536)
        first.sendall(line)  # on the same connection
        assert is_refused(first)
    second, _ = call(a)
    with closing(second):
        second.sendall(line)  # and on another
        assert is_refused(second)


def test_an_answer_that_somebody_else_made_up_is_not_taken(nodes: Nodes) -> None:
    (b,) = nodes("b")
    body = dump(PeerState(Member("x", "boot", "127.0.0.1"), "s", 1)).decode()
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        b.peers.meet(3, KEY, [Member("x", "boot", "127.0.0.1", port=server.getsockname()[1])], "b")
        for _ in range(3):
            connection, _ = server.accept()
            with closing(connection):
                connection.settimeout(5)
                connection.sendall(b"c\n")
                raw = connection.makefile().readline()
                asked.append(json.loads(raw)["nonce"])
                connection.sendall(sign("wrong", "c", "answer", 3, 1, asked[-1], body).encode())
                connection.settimeout(5)
                assert is_refused(connection)
    assert b.peers.table.all() == {}
    assert len(set(asked)) == 3


def test_who_says_nothing_is_not_waited_for(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotkeeper_agent.peers.FIRST_WORD_SECONDS", 0.1)
    (a,) = nodes("a")
    a.meet()
    connection, _ = call(a)
    with closing(connection):
        assert is_refused(connection)


def test_a_line_is_checked_against_all_that_it_claims() -> None:
    line = sign(KEY, "c", "ask", 3, 5, "n", "body")
    assert parse(line.encode()) == line
    verify(line, {3: KEY}, "c", "ask", after=4, nonce="n")
    for refused in (
        lambda: verify(line, {3: KEY}, "d", "ask", after=4),
        lambda: verify(line, {3: KEY}, "c", "ask", after=5),
        lambda: verify(line, {3: KEY}, "c", "ask", after=4, nonce="m"),
        lambda: verify(replace(line, number=6), {3: KEY}, "c", "ask", after=4),
        lambda: verify(replace(line, mac="ü"), {3: KEY}, "c", "ask", after=4),
        lambda: parse(b"{}"),
    ):
        with pytest.raises(Refused):
            refused()
    with pytest.raises(UnknownGeneration):
        verify(line, {2: KEY}, "c", "ask", after=4)
    with pytest.raises(ValueError, match="expected at most"):
        Line(1, 1, "", "x" * MAX_LINE_BYTES, "").encode()


def test_silence_is_counted_from_the_last_time_that_the_counter_rose() -> None:
    now = [100.0]
    table = Table(lambda: now[0])
    state = PeerState(Member("b", "boot", "10.0.0.2"), "s1", 5)
    assert table.hear(state)
    now[0] = 110.0
    assert not table.hear(state)  # says the same as before: its agent hangs
    assert table.all()["b"].rose_at == 100.0
    assert not table.hear(replace(state, beat=4, job="running"))  # overtaken
    assert not table.hear(replace(state, beat=6))
    assert table.all()["b"].rose_at == 110.0
    assert table.hear(replace(state, beat=7, job="running"))
    now[0] = 120.0
    assert table.hear(replace(state, session="s2", beat=1))  # started again
    assert (table.all()["b"].rose_at, table.all()["b"].first_at) == (120.0, 120.0)
    now[0] = 150.0
    table.forgive()
    assert table.all()["b"].rose_at == 150.0


def test_who_has_closed_listens_no_longer_and_calls_nobody(nodes: Nodes) -> None:
    leaving, staying = nodes("leaving", "staying")
    leaving.meet(staying)
    staying.meet()
    wait_until(lambda: leaving.heard(staying))
    leaving.peers.close()
    with pytest.raises(ConnectionRefusedError):
        call(leaving)
    wait_until(lambda: "peer staying" not in {thread.name for thread in threading.enumerate()})
