"""A bucket for benchmarks: counts the bytes of every upload and throws them away, serves as many as it is told.

In a process of its own, so that it takes no time from the one that is measured. Knows as much of S3 as a client needs
to move objects: single and multipart uploads, downloads, ranges.
"""

from __future__ import annotations

import re
import socket
import socketserver
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK = 1 << 20


class Sink:
    """The process; a context manager.

    Args:
        served: bytes that the answer to every download consists of; default none.
    """

    def __init__(self, served: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(served)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def taken(self) -> int:
        """Return how many bytes of bodies it has taken since it was asked last."""
        host, port = self.endpoint.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as asking:
            asking.sendall(b"GET /taken HTTP/1.1\r\n\r\n")
            answer = asking.makefile("rb").read()
        return int(answer.rpartition(b"\r\n")[2])


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    taken = 0


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    rbufsize = 1 << 16
    served = memoryview(b"")

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        room = memoryview(bytearray(BLOCK))
        while True:
            line = self.rfile.readline().decode()
            if not line:
                return
            method, target, _ = line.split(" ", 2)
            headers = {}
            while (text := self.rfile.readline().decode().strip()) != "":
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._take(int(headers.get("content-length") or 0), room)
            if target == "/taken":
                self.wfile.write(f"HTTP/1.1 200 OK\r\n\r\n{self.server.taken}".encode())
                self.server.taken = 0
                return
            self._answer(method, target, headers)

    def _take(self, size: int, room: memoryview) -> None:
        self.server.taken += size
        while size:
            count = self.rfile.readinto(room[: min(size, BLOCK)])
            if not count:
                return
            size -= count

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> None:
        body: bytes | memoryview = b""
        status = "200 OK"
        if method == "POST" and target.endswith(("?uploads", "?uploads=")):
            body = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        elif method == "POST":
            body = b"<CompleteMultipartUploadResult><ETag>&quot;1&quot;</ETag></CompleteMultipartUploadResult>"
        elif method == "GET":
            body = self.served
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
            if asked:
                first, last = int(asked.group(1)), int(asked.group(2) or len(body) - 1)
                body, status = body[first : last + 1], "206 Partial Content"
        self.wfile.write(f'HTTP/1.1 {status}\r\nETag: "1"\r\nContent-Length: {len(body)}\r\n\r\n'.encode())
        if method != "HEAD":
            for at in range(0, len(body), BLOCK):
                self.wfile.write(body[at : at + BLOCK])


def main() -> None:
    _Handler.served = memoryview(bytes(int(sys.argv[1])))
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
