"""Addresses of a machine's own on the loopback network, and what listens there."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable

Converse = Callable[[socket.socket, tuple[str, int]], object]
"""Serves one connection until it ends."""


class Addresses:
    """Gives out loopback addresses, 127.0.0.2 first, none twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self) -> str:
        """Return an address that nobody has had yet."""
        number = next(self._numbers)
        return f"127.0.{number // 254}.{number % 254 + 1}"


class Listener:
    """Takes connections on a free port of an address, each in a thread of its own, until it is closed.

    Args:
        address: a loopback address.
        converse: is given each connection. A connection that is cut ends it by an ``OSError``, which is expected.
    """

    def __init__(self, address: str, converse: Converse) -> None:
        self._converse = converse
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._listener = socket.create_server((address, 0))
        host, port = self._listener.getsockname()
        self.endpoint = f"http://{host}:{port}"
        self._accepting = threading.Thread(target=self._accept, name="local-listener", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Close the address and all connections, and wait for the threads that served them."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._accepting.join()
        self._listener.close()
        with self._lock:
            self._closed = True
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            given = (connection, address)
            thread = threading.Thread(target=self._serve, args=given, name="local-listener", daemon=True)
            self._threads = [*(known for known in self._threads if known.is_alive()), thread]
            thread.start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        with connection:
            with self._lock:
                if self._closed:
                    return
                self._connections.add(connection)
            try:
                # Ends with the connection. An error means that the other side is gone, or that this one is.
                with contextlib.suppress(OSError):
                    self._converse(connection, address)
            finally:
                with self._lock:
                    self._connections.discard(connection)
