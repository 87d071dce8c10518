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
from typing import Mapping, Optional
from urllib.parse import urlsplit

from spotkeeper_ledger.board import Unavailable

_CHUNK = 1 << 20
_ANY_LENGTH = sys.maxsize - 1


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
        body: bytes = b"",
        *,
        timeout: Optional[float] = None,
    ) -> Response:
        """Send one request and return the whole answer, whatever its status.

        ``target`` is path and query, already encoded.

        Raises :class:`Unavailable` if the server can't be reached or the answer isn't complete within ``timeout``
        seconds (default: the timeout of this object). Whether such a request took effect is unknown.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._send(kept, method, target, headers, body, deadline)
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if isinstance(error, socket.timeout):
                    raise Unavailable(f"{method} {self.host}{_path(target)}: no answer in time") from None
        try:
            response = self._send(self._connect(deadline), method, target, headers, body, deadline)
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
        body: bytes,
        deadline: float,
    ) -> Response:
        connection.timeout = _left(deadline)
        if connection.sock is None:
            connection.connect()
            assert connection.sock is not None  # noqa: S101 - connect() raises otherwise; this tells the type checker
            # Headers and body leave in two writes: without this the second waits for the acknowledgement of the first.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(_left(deadline))
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        chunks, left = [], self._most_bytes + 1
        while left:
            # A server that drips one byte a second never trips the socket's own timeout.
            if connection.sock is not None:  # http.client drops it once the server will close
                connection.sock.settimeout(_left(deadline))
            chunk = answer.read(min(_CHUNK, left))
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
        if not left:
            self.close()  # what is left of the answer would be taken for the next one
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, b"".join(chunks))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _path(target: str) -> str:
    """``target`` without its query, which may hold a signature."""
    return target.split("?", 1)[0]
