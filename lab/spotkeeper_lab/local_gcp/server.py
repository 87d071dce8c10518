"""The HTTP server in front of the API, on a free port of 127.0.0.1; connections stay open between requests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spotkeeper_lab.local.calls import UNKNOWN
from spotkeeper_lab.local_gcp.api import Answer, Api
from spotkeeper_lab.local_gcp.refusals import Refused

_BEARER = "Bearer "


class Server:
    """Serves until it is closed.

    Args:
        api: answers requests.
        failed: is told of a request that could not be answered, by its traceback; the caller gets status 500.
    """

    def __init__(self, api: Api, failed: Callable[[str], object]) -> None:
        self._server = _Listener(("127.0.0.1", 0), _handler(api, failed))
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


def _handler(api: Api, failed: Callable[[str], object]) -> type[BaseHTTPRequestHandler]:
    class Conversation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # headers and body leave together

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            bearer = self.headers.get("Authorization", "")
            caller = bearer.removeprefix(_BEARER) if bearer.startswith(_BEARER) else UNKNOWN
            try:
                answer = api.answer(self.command, self.path, body, caller)
            except Exception as error:  # noqa: BLE001 - it must be told and not only end the connection
                failed(traceback.format_exc())
                answer = Answer(500, Refused(500, "backendError", repr(error)).body())
            content = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing: calls are counted."""

    return Conversation
