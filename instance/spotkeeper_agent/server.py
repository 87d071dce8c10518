"""The local socket: how other programs on the node talk to the agent. One JSON line each way, then the end.

Whoever may open ``agent.sock`` in the run directory is the agent's own user or root.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Union

from spotkeeper_agent.logs import log

SOCKET = "agent.sock"
MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 1024 * 1024
ANSWER_SECONDS = 5.0
"""How long a client waits for its answer."""
RECEIVE_SECONDS = 1.0
"""How long a client may take to say what it wants, while others wait."""
_PAUSE_SECONDS = 0.05

Answer = Callable[[Dict[str, Any]], Dict[str, Any]]


class NoAgent(Exception):
    """No agent answers in this run directory."""


class Server(threading.Thread):
    """Answers requests on the socket, one at a time, each with what ``answer`` returns.

    ``answer`` may raise ``ValueError``; its message is the reply's ``error``.
    """

    def __init__(self, run_dir: Path, answer: Answer) -> None:
        super().__init__(name="socket", daemon=True)
        self._answer = answer
        (run_dir / SOCKET).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(run_dir) as address:
            self._socket.bind(address)
        (run_dir / SOCKET).chmod(0o600)
        self._socket.listen(16)

    def run(self) -> None:
        """Serve until the process ends."""
        while True:
            self._serve_one()

    def _serve_one(self) -> None:
        try:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(RECEIVE_SECONDS)
                connection.sendall(json.dumps(self._reply(_receive(connection))).encode() + b"\n")
        except OSError as error:
            log("socket-failing", error=str(error))
            time.sleep(_PAUSE_SECONDS)  # no file descriptor left, perhaps: that does not pass any faster by asking

    def _reply(self, line: bytes) -> Dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError(f"request: was {line[:80]!r}, expected a JSON object")  # noqa: TRY004, TRY301
            return {"ok": True, **self._answer(request)}
        except (ValueError, RecursionError) as error:
            return {"ok": False, "error": str(error)}


def ask(run_dir: Union[str, Path], request: Dict[str, Any]) -> Dict[str, Any]:
    """Send one request to the agent of ``run_dir`` and return its reply.

    Raises:
        NoAgent: nobody listens there, or no whole answer came within 5 s.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            with _address(Path(run_dir)) as address:
                connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            reply: Dict[str, Any] = json.loads(_receive(connection, MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            raise NoAgent(f"{Path(run_dir) / SOCKET}: no agent answers ({error})") from None
        return reply


def _receive(connection: socket.socket, most: int = MAX_REQUEST_BYTES) -> bytes:
    received = b""
    while not received.endswith(b"\n") and len(received) <= most:
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


@contextmanager
def _address(run_dir: Path) -> Iterator[str]:
    """An address of the socket that is short enough: the kernel takes 107 bytes, and run directories may lie deep."""
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)
