"""What agents of one job say to each other, and how each knows that it was one of them who said it.

One JSON line each way. The listener begins with a challenge; every line after that is signed with HMAC-SHA256 over the
challenge, the caller's own nonce, a number that rises and the direction, keyed by the random id of a generation, which
only the fleet's nodes can read. So no line can be made up, changed, turned round or used again, whatever clocks say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from spotkeeper_agent.generations import NONE
from spotkeeper_ledger import Member

MAX_LINE_BYTES = 1024 * 1024
"""Longest line that is read."""
MAX_HELLO_BYTES = 256


class Refused(Exception):
    """A line is not what one of our peers would have said."""


class UnknownGeneration(Refused):
    """The caller knows a generation that we do not, or one that is long over."""

    def __init__(self, number: int) -> None:
        super().__init__(f"generation {number}: not known here")
        self.number = number


@dataclass(frozen=True)
class PeerNotice:
    """Word that a node of the generation will go, or that the generation is to end after a save."""

    key: str
    """Tells it from others of the same node."""
    kind: str
    at: float
    """When it was heard, Unix seconds of that node."""
    seconds_left: Optional[float] = None
    """Until the node goes, at the moment of sending: machines need not agree on the time."""
    drill: bool = False
    source: str = "peer"


@dataclass(frozen=True)
class PeerState:
    """All that a node tells the others, whole every time: nothing has to arrive in order, or at all."""

    member: Member
    session: str
    """Random for each start of an agent."""
    beat: int
    """Rises as long as the agent works."""
    generation: int = 0
    """The one that :attr:`job` is about."""
    job: str = NONE
    leaving: bool = False
    ledger: bool = True
    job_port: int = 0
    """A port that is free here, for the job that is master next."""
    notice: Optional[PeerNotice] = None
    documents: Mapping[str, str] = field(default_factory=dict)
    """Whatever else the other agents are to know, by name; theirs to understand."""


def hello() -> str:
    """Return a challenge."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Line:
    """One signed line."""

    generation: int
    number: int
    nonce: str
    body: str
    mac: str

    def encode(self) -> bytes:
        """Return the bytes to send.

        Raises ``ValueError`` if they are more than anybody would read.
        """
        line = json.dumps(self.__dict__).encode() + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"{len(line)} bytes to say, expected at most {MAX_LINE_BYTES}")
        return line


def sign(key: str, challenge: str, direction: str, generation: int, number: int, nonce: str, body: str) -> Line:
    """Return a line that says ``body``.

    Args:
        key: the generation's random id.
        challenge: what the listener began with.
        direction: ``ask`` or ``answer``.
        generation: whose key it is.
        number: of this exchange over this connection, rising.
        nonce: the caller's.
        body: what is said.
    """
    return Line(generation, number, nonce, body, _mac(key, challenge, direction, generation, number, nonce, body))


def parse(raw: bytes) -> Line:
    """Read a line that anybody may have sent; nothing in it is to be believed before :func:`verify`.

    Raises :class:`Refused`.
    """
    try:
        said: Any = json.loads(raw)
        line = Line(said["generation"], said["number"], said["nonce"], said["body"], said["mac"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("not a line of a peer") from None
    numbers = all(type(value) is int for value in (line.generation, line.number))
    if not numbers or not all(isinstance(value, str) for value in (line.nonce, line.body, line.mac)):
        raise Refused("not a line of a peer")
    return line


def verify(line: Line, keys: Mapping[int, str], challenge: str, direction: str, *, after: int, nonce: str = "") -> None:
    """Check that a peer has said this, here and now.

    Args:
        line: what came.
        keys: random ids of the generations that count, by number.
        challenge: of this connection.
        direction: which way it came.
        after: number of the line before; this one's has to be greater.
        nonce: what the line's nonce has to be, where that is known.

    Raises :class:`Refused`, or :class:`UnknownGeneration`.
    """
    key = keys.get(line.generation)
    if key is None:
        raise UnknownGeneration(line.generation)
    wanted = _mac(key, challenge, direction, line.generation, line.number, line.nonce, line.body)
    if not hmac.compare_digest(wanted.encode(), line.mac.encode("utf-8", "replace")):
        raise Refused("the signature is not a peer's")
    if line.number <= after or (nonce and line.nonce != nonce):
        raise Refused("said before")


def _mac(key: str, challenge: str, direction: str, generation: int, number: int, nonce: str, body: str) -> str:
    signed = json.dumps([challenge, direction, generation, number, nonce, body]).encode()
    return hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
