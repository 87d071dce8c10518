"""Agents of one job in touch with each other: who is there, since when nothing was heard, and what they say.

Every agent calls all members of the present generation and answers whoever calls it; a node that wants to join calls
the members too, so that nobody has to look for it. Times are this reader's monotonic clock, and nobody else's.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, Mapping

from spotkeeper_agent.logs import log
from spotkeeper_agent.peer_messages import (
    MAX_HELLO_BYTES,
    MAX_LINE_BYTES,
    PeerState,
    Refused,
    UnknownGeneration,
    hello,
    parse,
    sign,
    verify,
)
from spotkeeper_agent.peer_table import Table
from spotkeeper_ledger import MalformedDocument, Member, dump, load

MAX_CALLERS = 1024
"""Most connections that are kept at once; whoever comes then is turned away."""
FIRST_WORD_SECONDS = 2.0
"""How long a caller may take to prove itself."""
_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Ring:
    """Whose lines are believed."""

    number: int = 0
    """The generation that own lines are signed for."""
    keys: Mapping[int, str] = field(default_factory=dict)
    """Random ids of this one and of the one before, which some may not have left yet."""


class Peers:
    """Listens, and calls the members.

    Args:
        address: this node's private address; listens there, or everywhere where that is not an address of the machine.
        port: TCP port, 0 for any that is free.
        every_seconds: pause between two calls of one member when nothing has changed.
        state: returns what this node says.
        changed: called, in any thread, when somebody has said something new.
    """

    def __init__(
        self, address: str, port: int, every_seconds: float, state: Callable[[], PeerState], changed: Callable[[], None]
    ) -> None:
        self._every_seconds, self._state, self._changed = every_seconds, state, changed
        self.table = Table()
        self.unknown = 0
        """The greatest generation that a caller has spoken of, proved or not: a reason to look, and nothing more."""
        self._ring = Ring()
        self._calls: Dict[str, _Caller] = {}
        self._callers = threading.BoundedSemaphore(MAX_CALLERS)
        self._over = False
        self._socket = _listen(address, port)
        self.port = int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._accept, name="peers", daemon=True).start()

    def meet(self, number: int, key: str, members: Iterable[Member], me: str) -> None:
        """Talk to these members from now on, in the name of generation ``number``."""
        if number != self._ring.number or self._ring.keys.get(number) != key:
            before = self._ring.number
            self._ring = Ring(number, {n: k for n, k in ((before, self._key()), (number, key)) if k})
        wanted = {each.node: each for each in members if each.node != me and each.port}
        for node, caller in list(self._calls.items()):
            if wanted.get(node) != caller.member:
                self._calls.pop(node).stop()
        for node, member in wanted.items():
            if node not in self._calls:
                self._calls[node] = _Caller(self, member, self._every_seconds)
                self._calls[node].start()

    def push(self) -> None:
        """Call everybody now: there is news."""
        for caller in list(self._calls.values()):
            caller.wake()

    def flush(self, seconds: float) -> None:
        """Call everybody, and wait until those that answer have answered, at most ``seconds``."""
        self.push()
        until = time.monotonic() + seconds
        for caller in list(self._calls.values()):
            caller.quiet.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Say nothing more and listen no longer; connections that are open end within ten of their pauses."""
        self._over = True
        for caller in list(self._calls.values()):
            caller.stop()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a caller, as closing alone does not
        self._socket.close()

    def ring(self) -> Ring:
        """Whose lines are believed now."""
        return self._ring

    def said(self) -> str:
        """What this node says now."""
        return dump(self._state()).decode()

    def take(self, body: str) -> None:
        """Take in what a peer has proved to have said.

        Raises :class:`Refused` for what makes no sense.
        """
        try:
            state = load(PeerState, body.encode())
        except MalformedDocument as error:
            raise Refused(str(error)) from None
        if self.table.hear(state):
            self._changed()

    def hint(self, number: int) -> None:
        """Somebody knows of generation ``number``."""
        if self.unknown < number < 2**53:
            self.unknown = number
            self._changed()

    def _key(self) -> str:
        return self._ring.keys[self._ring.number] if self._ring.number else ""

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._over:
                    return
                log("peers-failing", error=str(error))
                time.sleep(_RETRY_SECONDS)
                continue
            if not self._callers.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._answer, args=(connection,), name="peer-answers", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except (OSError, ValueError):
            return  # gone, or too slow, or nothing more to say
        except UnknownGeneration as unknown:
            if unknown.number > self._ring.number:
                self.hint(unknown.number)
        except Refused as refused:
            log("peer-refused", reason=str(refused))
        finally:
            self._callers.release()

    def _serve(self, connection: socket.socket) -> None:
        challenge, number = hello(), 0
        connection.settimeout(FIRST_WORD_SECONDS)
        connection.sendall(challenge.encode() + b"\n")
        lines = _Lines(connection)
        while True:
            raw = lines.next(MAX_LINE_BYTES)
            if not raw:
                return
            line = parse(raw)
            verify(line, self._ring.keys, challenge, "ask", after=number)
            number = line.number
            connection.settimeout(10 * self._every_seconds)
            self.take(line.body)
            key = self._ring.keys.get(line.generation)
            if key is None:
                return
            answer = sign(key, challenge, "answer", line.generation, number, line.nonce, self.said())
            connection.sendall(answer.encode())


class _Caller(threading.Thread):
    """Calls one member over and over."""

    def __init__(self, peers: Peers, member: Member, every_seconds: float) -> None:
        super().__init__(name=f"peer {member.node}", daemon=True)
        self.member = member
        self._peers, self._every_seconds = peers, every_seconds
        self._wake = threading.Event()
        self._over = False
        self.quiet = threading.Event()
        """Set while the member has heard all that there is to say."""

    def wake(self) -> None:
        self.quiet.clear()
        self._wake.set()

    def stop(self) -> None:
        self._over = True
        self._wake.set()

    def run(self) -> None:
        while not self._over:
            with contextlib.suppress(OSError, ValueError, Refused):
                self._talk()
            if not self._over:
                self._wake.wait(min(_RETRY_SECONDS, self._every_seconds))

    def _talk(self) -> None:
        """Exchange states over one connection for as long as it lasts."""
        address = (self.member.address, self.member.port)
        with socket.create_connection(address, timeout=self._every_seconds) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines = _Lines(connection)
            challenge = lines.next(MAX_HELLO_BYTES).decode("ascii", "replace").strip()
            number = 0
            while not self._over:
                number += 1
                self._wake.clear()
                self.quiet.clear()
                ring = self._peers.ring()
                key, nonce = ring.keys.get(ring.number), secrets.token_hex(8)
                if key is None:
                    return
                line = sign(key, challenge, "ask", ring.number, number, nonce, self._peers.said())
                connection.sendall(line.encode())
                answer = parse(lines.next(MAX_LINE_BYTES))
                verify(answer, {ring.number: key}, challenge, "answer", after=number - 1, nonce=nonce)
                self._peers.take(answer.body)
                if not self._wake.is_set():
                    self.quiet.set()
                self._wake.wait(self._every_seconds)


class _Lines:
    """Reads lines of limited length from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def next(self, most: int) -> bytes:
        """Return the next line, empty at the end.

        Raises :class:`Refused` for one that is too long.
        """
        while b"\n" not in self._rest:
            if len(self._rest) > most:
                raise Refused(f"a line of more than {most} bytes")
            chunk = self._connection.recv(65536)
            if not chunk:
                return b""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        if len(line) > most:
            raise Refused(f"a line of more than {most} bytes")
        return line


def _listen(address: str, port: int) -> socket.socket:
    for place in ((address, port), (address, 0)):
        with contextlib.suppress(OSError):
            return socket.create_server(place, backlog=128)
    log("peers-everywhere", address=address)  # such as in a container with addresses of its own
    return socket.create_server(("", port), backlog=128)
