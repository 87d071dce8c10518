"""The deployed function: its archive, unpacked and run in a process of its own, as Lambda runs it.

One instance runs one invocation at a time. An invocation that takes longer than the function's timeout is ended with
its process, and the next one starts another. Only the archive, boto3 with what it needs, and the standard library can
be imported there. Differences from Lambda: the Python of the lab instead of the runtime's, no memory limit, the
function's role permits everything.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotkeeper_lab.local_aws import function_runtime

LIBRARIES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's Python runtime has besides the standard library."""

_START_SECONDS = 60.0


class FunctionFailed(Exception):
    """An invocation did not end with a result: the function raised, ended its process or took too long."""


class FunctionKilled(FunctionFailed):
    """An invocation did not end with a result because :meth:`Function.kill` was called."""


@dataclass(frozen=True)
class Deployed:
    """A function as it was deployed."""

    name: str
    arn: str
    handler: str
    archive: bytes
    """Its zip file."""
    environment: Mapping[str, str]
    timeout_seconds: float
    memory_mb: int


@dataclass(frozen=True)
class Metric:
    """One value that the function has printed in CloudWatch's embedded metric format."""

    at: float
    """Unix seconds."""
    namespace: str
    name: str
    value: float
    dimensions: Mapping[str, str]


class Function:
    """Runs a deployed function.

    Args:
        deployed: the function.
        work_dir: where its archive is unpacked and its output kept.
        environment: what the process has in its environment besides the function's own.
    """

    def __init__(self, deployed: Deployed, work_dir: Path, environment: Mapping[str, str]) -> None:
        self.deployed = deployed
        self.log = work_dir / "output.log"
        """What the function has printed and logged so far."""
        self._task_dir, self._libraries = work_dir / "task", work_dir / "libraries"
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed: subprocess.Popen[bytes] | None = None
        self._closed = False
        with zipfile.ZipFile(io.BytesIO(deployed.archive)) as archive:
            archive.extractall(self._task_dir)
        _link_libraries(self._libraries)

    def warm_up(self) -> None:
        """Start the process, so that the first invocation finds it running.

        Raises:
            FunctionFailed: The handler cannot be imported.
        """
        with self._lock:
            self._started()

    def invoke(self, event: Any) -> Any:
        """Invoke the function and return its result.

        Raises:
            FunctionFailed: It has none.
        """
        with self._lock:
            process = self._started()
            request, deadline = str(uuid.uuid4()), time.time() + self.deployed.timeout_seconds
            answer = self._ask(process, {"id": request, "deadline": deadline, "event": event})
        if "error" in answer:
            raise FunctionFailed(f"{answer['error']['errorType']}: {answer['error']['errorMessage']}")
        return answer["result"]

    def metrics(self) -> list[Metric]:
        """Return every value printed so far in the embedded metric format, in order, for each set of dimensions."""
        found = []
        for line in self.output():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found += _metrics(json.loads(line))
        return found

    def output(self) -> list[str]:
        """Return the lines printed and logged so far."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def kill(self) -> None:
        """Kill the process in the middle of whatever it does, and return when it is gone; the next one is new.

        Nothing happens where there is none.
        """
        if (process := self._process) is not None:
            self._killed = process
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the process, and with it an invocation that runs."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise FunctionFailed("the function is closed")
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        deployed = self.deployed
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "HOME": str(self._task_dir),
            "LAMBDA_TASK_ROOT": str(self._task_dir),
            "AWS_LAMBDA_FUNCTION_NAME": deployed.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{deployed.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "SPOTKEEPER_FUNCTION_ARN": deployed.arn,
            **self._environment,
            **deployed.environment,
        }
        command = [sys.executable, "-I", "-S", function_runtime.__file__]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the runtime above
                [*command, str(self._task_dir), str(self._libraries), deployed.handler],
                cwd=self._task_dir,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        said = self._hear(self._process, _START_SECONDS)
        if not said.get("ready"):
            self._stop()
            raise FunctionFailed(f"{deployed.handler} cannot be imported: {said['error']['errorMessage']}")
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> Mapping[str, Any]:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            self._stop()
            raise FunctionFailed("the process ended between invocations") from None
        return self._hear(process, request["deadline"] - time.time())

    def _hear(self, process: subprocess.Popen[bytes], timeout: float) -> Mapping[str, Any]:
        """Return the next line that the process says."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        said, deadline = b"", time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                chunk = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
                if not chunk:
                    self._stop()
                    if process is self._killed:
                        raise FunctionKilled(f"{self.deployed.name} was killed")
                    why = "ended its process" if ready else f"timed out after {timeout:.1f} s"
                    raise FunctionFailed(f"{self.deployed.name} {why}")
                said += chunk
        heard: Mapping[str, Any] = json.loads(said)
        return heard

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _link_libraries(folder: Path) -> None:
    """Make a folder of which only :data:`LIBRARIES` can be imported, wherever they are installed."""
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"{name}: not installed, expected with boto3")
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)


def _metrics(document: Mapping[str, Any]) -> list[Metric]:
    about = document["_aws"]
    return [
        Metric(
            at=about["Timestamp"] / 1000,
            namespace=directive["Namespace"],
            name=metric["Name"],
            value=float(value),
            dimensions={key: str(document[key]) for key in keys},
        )
        for directive in about["CloudWatchMetrics"]
        for keys in directive.get("Dimensions") or [[]]
        for metric in directive["Metrics"]
        for value in _values(document[metric["Name"]])
    ]


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
