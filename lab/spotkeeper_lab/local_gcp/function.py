"""The deployed function: its archive, unpacked and run by Google's own functions framework, as Cloud Run runs it.

One instance takes as many requests at once as its concurrency says; the others wait in Cloud Run, for ten seconds at
most, after which they are answered with 429. Only the archive, the framework with what it needs, and the standard
library can be imported there. Differences from Cloud Run: the Python of the lab instead of the runtime's, one instance
whatever the maximum, no memory limit, and the processor is never taken away between requests.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spotkeeper_lab.local_gcp import framework

_START_SECONDS, _PENDING_SECONDS = 60.0, 10.0
TOO_MANY = 429
EXPECTED = "Unserved"
"""With what exception the function asks for a message to come again."""


class FunctionFailed(Exception):
    """A request did not end with an answer: the process has ended, or took too long, or cannot be started."""


class FunctionKilled(FunctionFailed):
    """A request did not end with an answer because :meth:`Function.kill` was called."""


@dataclass(frozen=True)
class Deployed:
    """A function as it was deployed."""

    name: str
    url: str
    """Where Cloud Run says that it is reached."""
    entry_point: str
    archive: bytes
    """Its zip file."""
    environment: Mapping[str, str]
    timeout_seconds: float = 60.0
    concurrency: int = 1
    signature: str = "http"
    """``cloudevent`` for a function with an event trigger."""


class Function:
    """Runs a deployed function.

    Args:
        deployed: the function.
        work_dir: where its archive is unpacked and its output kept.
        environment: what the process has in its environment besides the function's own.
        printed: is told of each line that it prints.
    """

    def __init__(
        self,
        deployed: Deployed,
        work_dir: Path,
        environment: Mapping[str, str],
        printed: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.deployed = deployed
        self.log = work_dir / "output.log"
        """What the function has printed and logged so far."""
        self._task_dir, self._libraries = work_dir / "task", work_dir / "libraries"
        self._environment, self._printed = environment, printed
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(deployed.concurrency)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._killed: set[int] = set()
        self.failures = Failures()
        self._reading: list[threading.Thread] = []
        self._closed = False
        self._unpack()
        framework.link(self._libraries)

    def warm_up(self) -> None:
        """Start the process, so that the first request finds it running.

        Raises:
            FunctionFailed: It does not come up.
        """
        self._started()

    def request(self, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
        """Make a request and return the status of its answer.

        Args:
            body: of the request.
            headers: of the request.
            seconds: how long it may take in all, at most as long as the function's own time.

        Raises:
            FunctionFailed: There is no answer.
        """
        until = time.monotonic() + min(seconds, self.deployed.timeout_seconds)
        if not self._slots.acquire(timeout=min(_PENDING_SECONDS, seconds)):
            return TOO_MANY
        try:
            process, port = self._started()
            return self._ask(process, port, body, headers, until)
        finally:
            self._slots.release()

    def output(self) -> list[str]:
        """Return the lines printed and logged so far."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    @property
    def closed(self) -> bool:
        """Whether it is closed, so that nothing that fails means anything."""
        return self._closed

    def replace(self, deployed: Deployed) -> None:
        """Run another version from the next request on; those that run come to their end, or to that of the process."""
        with self._lock:
            self._stop()
            self.deployed = deployed
            self._unpack()

    def kill(self) -> None:
        """Kill the process in the middle of whatever it does, and return when it is gone; the next one is new.

        Nothing happens where there is none.
        """
        with self._lock:
            if self._process is not None:
                self._killed.add(self._process.pid)
                self._stop()

    def close(self) -> None:
        """End the process, and with it the requests that it has."""
        self._closed = True
        with self._lock:
            self._stop()
        for thread in self._reading:
            thread.join()

    def _unpack(self) -> None:
        with zipfile.ZipFile(io.BytesIO(self.deployed.archive)) as archive:
            archive.extractall(self._task_dir)

    def _started(self) -> tuple[subprocess.Popen[bytes], int]:
        with self._lock:
            if self._closed:
                raise FunctionFailed("the function is closed")
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._start()
            assert self._process is not None  # noqa: S101 - it was just started
            return self._process, self._port

    def _start(self) -> None:
        deployed, self._port = self.deployed, _free_port()
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(self._task_dir),
            "K_SERVICE": deployed.name,
            "K_REVISION": f"{deployed.name}-00001",
            "FUNCTION_TARGET": deployed.entry_point,
            "FUNCTION_SIGNATURE_TYPE": deployed.signature,
            "LOG_EXECUTION_ID": "false",
            **self._environment,
            **deployed.environment,
        }
        options = ["--target", deployed.entry_point, "--source", "main.py"]
        where = ["--host", "127.0.0.1", "--port", str(self._port)]
        code = [sys.executable, "-I", "-S", "-c", framework.LAUNCH, str(self._task_dir), str(self._libraries)]
        process = subprocess.Popen(  # noqa: S603 - the framework above
            [*code, *options, *where],
            cwd=self._task_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._process = process
        reading = threading.Thread(target=self._read, args=(process,), name="local-gcp-function", daemon=True)
        self._reading.append(reading)
        reading.start()
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(self._port):
            if process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                reading.join()
                raise FunctionFailed(f"{deployed.entry_point} does not come up: {' / '.join(self.output()[-5:])}")
            time.sleep(0.02)

    def _ask(
        self, process: subprocess.Popen[bytes], port: int, body: bytes, headers: Mapping[str, str], until: float
    ) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(0.01, until - time.monotonic()))
        try:
            connection.request("POST", urlsplit(self.deployed.url).path or "/", body, dict(headers))
            answer = connection.getresponse()
            answer.read()
        except TimeoutError:
            raise FunctionFailed(f"{self.deployed.name} timed out") from None
        except (OSError, http.client.HTTPException) as error:
            if process.pid in self._killed:
                raise FunctionKilled(f"{self.deployed.name} was killed") from None
            raise FunctionFailed(f"{self.deployed.name} ended its process: {error!r}") from None
        finally:
            connection.close()
        return answer.status

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with self.log.open("ab", buffering=0) as log, process.stdout:
            for line in process.stdout:
                log.write(line)
                self._printed(line.decode(errors="replace").rstrip("\n"))

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the server has a worker
            process.wait()


class Failures:
    """Finds, in what a function prints, errors that it was not to have.

    A message that has to come again is answered by an exception, which is none.
    """

    def __init__(self) -> None:
        self._within = False

    def feed(self, line: str) -> str | None:
        """Return the error that a line is the last of, ``None`` for every other line."""
        if line.startswith("Traceback "):
            self._within = True
        elif self._within and line and not line.startswith(" "):
            self._within = False
            if line.partition(":")[0].rpartition(".")[2] != EXPECTED:
                return line
        return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
