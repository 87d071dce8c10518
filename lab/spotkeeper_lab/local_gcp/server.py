"""The HTTP server in front of all services, on a free port of 127.0.0.1; connections stay open between requests."""

from __future__ import annotations

import contextlib
import socket
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spotkeeper_lab.local_gcp.refusals import Refused
from spotkeeper_lab.local_gcp.web import Reply, Request, reply

_NO_BODY = (204, 304)


class Server:
    """Serves until it is closed.

    Args:
        answer: answers requests.
        failed: is told of a request that could not be answered, by its traceback; the caller gets status 500.
    """

    def __init__(self, answer: Callable[[Request], Reply], failed: Callable[[str], object]) -> None:
        self._server = _Listener(("127.0.0.1", 0), _handler(answer, failed))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-gcp-server", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Take no more connections, end those that are open, and wait for the requests that are being answered."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections: a client may keep its own for ever."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)  # what is being answered still leaves

    def handle_error(self, *_: object) -> None:
        """A client has gone away: requests that fail are told by their handler."""


def _handler(answer: Callable[[Request], Reply], failed: Callable[[str], object]) -> type[BaseHTTPRequestHandler]:
    class Conversation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # headers and body leave together

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            try:
                given = answer(Request(self.command, self.path, headers, body))
            except Exception as error:  # noqa: BLE001 - it must be told and not only end the connection
                failed(traceback.format_exc())
                given = reply(Refused(500, "backendError", repr(error)).body(), 500)
            content = b"" if given.status in _NO_BODY else given.body
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing: calls are counted."""

    return Conversation
