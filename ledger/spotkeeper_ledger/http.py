"""HTTP with keep-alive and one deadline per request, on the standard library's ``http.client``.

``urllib.request`` costs several megabytes and opens a connection per request; the agent shares its node with training
and asks every second.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, Optional, Sequence, Union
from urllib.parse import urlsplit

from spotkeeper_ledger.board import Unavailable

_OK = 200
_CHUNK = 1 << 20
_STRETCH = 1 << 23
_ANY_LENGTH = sys.maxsize - 1

Body = Union[bytes, Sequence[memoryview]]
"""What a request sends: bytes, or buffers that follow each other and are never joined."""


@dataclass(frozen=True)
class Into:
    """Memory that takes the body of an answer of status 200, if it fits to the byte; of another nothing is read.

    ``took`` is told of every stretch that has arrived, by its first byte and its end. One that begins at 0 after others
    means that the request was sent again.
    """

    memory: memoryview
    took: Callable[[int, int], None]


@dataclass(frozen=True)
class Response:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retried: bool = False
    """Whether the request may have reached the server twice, because a kept connection broke on the first try."""


class Http:
    """Requests to one server. Every thread has its own kept connection, so that none waits for another.

    Args:
        base_url: scheme, host and port, such as ``https://bucket.s3.eu-west-1.amazonaws.com``; a path in it is ignored.
        timeout: seconds that one request may take in all, from connecting to the last byte.
        most_bytes: of a longer answer only the beginning is read, one byte more than this; default is any length.
    """

    def __init__(self, base_url: str, timeout: float, most_bytes: Optional[int] = None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url: was {base_url!r}, expected http://… or https://…")
        self.host = parts.netloc
        self._hostname, self._port = parts.hostname, parts.port
        self._https = parts.scheme == "https"
        self._timeout = timeout
        self._most_bytes = _ANY_LENGTH if most_bytes is None else most_bytes
        self._local = threading.local()

    def request(
        self,
        method: str,
        target: str,
        headers: Optional[Mapping[str, str]] = None,
        body: Body = b"",
        *,
        timeout: Optional[float] = None,
        into: Optional[Into] = None,
    ) -> Response:
        """Send one request and return the whole answer, whatever its status.

        ``target`` is path and query, already encoded. With a body of several buffers, ``headers`` say its length.

        Raises :class:`Unavailable` if the server can't be reached or the answer isn't complete within ``timeout``
        seconds (default: the timeout of this object). Whether such a request took effect is unknown.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._send(kept, method, target, headers, body, deadline, into)
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if isinstance(error, socket.timeout):
                    raise Unavailable(f"{method} {self.host}{_path(target)}: no answer in time") from None
        try:
            response = self._send(self._connect(deadline), method, target, headers, body, deadline, into)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise Unavailable(f"{method} {self.host}{_path(target)}: {error or type(error).__name__}") from None
        if kept is None:
            return response
        return Response(response.status, response.headers, response.body, retried=True)

    def close(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._hostname, self._port, timeout=_left(deadline))
        self._local.connection = connection
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Optional[Mapping[str, str]],
        body: Body,
        deadline: float,
        into: Optional[Into],
    ) -> Response:
        connection.timeout = _left(deadline)
        if connection.sock is None:
            connection.connect()
            assert connection.sock is not None  # noqa: S101 - connect() raises otherwise; this tells the type checker
            # Headers and body leave in two writes: without this the second waits for the acknowledgement of the first.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(_left(deadline))
        sent = body if isinstance(body, bytes) else _paced(body, connection.sock, deadline)
        connection.request(method, target, body=sent or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        if into is not None and answer.status == _OK:
            self._fill(into, connection, answer, deadline)
            return Response(answer.status, _headers(answer), b"")
        chunks, left = [], self._most_bytes + 1
        while left:
            # A server that drips one byte a second never trips the socket's own timeout.
            if connection.sock is not None:  # http.client drops it once the server will close
                connection.sock.settimeout(_left(deadline))
            chunk = answer.read(min(_CHUNK, left))
            if not chunk:
                if answer.length:  # the connection was cut: half a body is none
                    raise http.client.IncompleteRead(b"", answer.length)
                break
            chunks.append(chunk)
            left -= len(chunk)
        if not left:
            self.close()  # what is left of the answer would be taken for the next one
        return Response(answer.status, _headers(answer), b"".join(chunks))

    def _fill(
        self, into: Into, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, deadline: float
    ) -> None:
        size = len(into.memory)
        if answer.length != size:
            self.close()
            return
        at = 0
        while at < size:
            if connection.sock is not None:
                connection.sock.settimeout(_left(deadline))
            count = answer.readinto(into.memory[at : at + _CHUNK])
            if not count:
                raise http.client.IncompleteRead(b"", size - at)
            into.took(at, at + count)
            at += count
        answer.read()  # nothing is left, and the connection can be used again


def _paced(views: Sequence[memoryview], sock: socket.socket, deadline: float) -> Iterator[memoryview]:
    """``views`` in stretches, each within what is left of the time."""
    for view in views:
        for at in range(0, len(view), _STRETCH):
            sock.settimeout(_left(deadline))
            yield view[at : at + _STRETCH]


def _headers(answer: http.client.HTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _path(target: str) -> str:
    """``target`` without its query, which may hold a signature."""
    return target.split("?", 1)[0]
