"""How much the functions' own code adds to a cold start, against bare handlers: boto3's clients, Google's framework.

On AWS every sample is a new process that times itself from its first line to the moment when it could take an event;
the bare handler makes the same two clients of boto3. On Google Cloud a sample is a new process of Google's functions
framework, from its start to its answer to a first event, which is about somebody else's instance; the bare handler
reads the event and does nothing. Libraries have their bytecode, as in the runtimes; the archive is unpacked without, as
Lambda has it, and with its own, as Google's builder makes it. The kinds are sampled in turn, so that the machine's
moods fall on all alike; ratios are those of samples taken one after the other. Processor time is given beside the time
that passed: it hardly feels the neighbours.
"""

from __future__ import annotations

import base64
import compileall
import contextlib
import http.client
import json
import os
import py_compile
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import support

from spotkeeper.archives import function_sources
from spotkeeper_lab.local_gcp.framework import LAUNCH, link
from spotkeeper_lab.local_gcp.logs import preempted

BARE = "import boto3\nfor name in ('autoscaling', 'ssm'):\n    boto3.client(name)\n"
OURS = """
from spotkeeper_ledger import open_board
from spotkeeper_responder.aws import handler
open_board("s3://spotkeeper-bench")
clients = handler._clients()
clients.autoscaling, clients.ssm
"""
AWS = {"bare boto3": (BARE, "plain"), "responder": (OURS, "plain"), "responder, with bytecode": (OURS, "compiled")}
"""Kind of process on AWS to its program, and which folder it runs in."""
GCP = {
    "bare framework": ("bare.py", "plain"),
    "responder under it": ("main.py", "plain"),
    "the same, with bytecode": ("main.py", "compiled"),
}
"""Kind of process on Google Cloud to the file that it serves, and which folder it runs in."""
BARE_HANDLER = """
import functions_framework

@functions_framework.cloud_event
def on_message(event):
    print(event.data)
"""
TIMED = """
import sys, time
began, used = time.perf_counter(), time.process_time()
sys.dont_write_bytecode = True
{}
print(f"[{{time.perf_counter() - began}}, {{time.process_time() - used}}]")
"""


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--samples", type=int, default=15, help="processes of each kind (default %(default)s)")
    options.add_argument("--cloud", choices=("aws", "gcp"), nargs="*", default=["aws", "gcp"], help="default both")
    asked = options.parse_args()
    rows = [row for cloud in asked.cloud for row in measured(cloud, asked.samples)]
    support.deliver("cold start", rows, asked.json)


def measured(cloud: str, samples: int) -> list[dict[str, Any]]:
    """Return how long each kind took to start on a cloud; the first of them is the bare one."""
    kinds = {"aws": AWS, "gcp": GCP}[cloud]
    sample = {"aws": started, "gcp": answered}[cloud]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {**function_sources(cloud), "bare.py": BARE_HANDLER}.items():
            for part in ("plain", "compiled"):
                path = root / part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        hashed = py_compile.PycInvalidationMode.CHECKED_HASH  # as with a date for reproducible builds
        compileall.compile_dir(root / "compiled", quiet=1, invalidation_mode=hashed)
        link(root / "libraries")
        rounds = [
            {kind: sample(what, root / part) for kind, (what, part) in kinds.items()} for _ in range(samples + 1)
        ][1:]
    bare = next(iter(kinds))
    return [
        {
            "kind": kind,
            "seconds": support.median(each[kind][0] for each in rounds),
            "ratio": support.median(each[kind][0] / each[bare][0] for each in rounds),
            "cpu_s": support.median(each[kind][1] for each in rounds),
            "cpu_ratio": support.median(each[kind][1] / each[bare][1] for each in rounds),
            "samples": samples,
        }
        for kind in kinds
    ]


def started(program: str, folder: Path) -> tuple[float, float]:
    """Return how long a new process took for ``program``: in all, and of a processor's time."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PYTHONPATH": str(folder),
        "AWS_REGION": support.REGION,
        "AWS_DEFAULT_REGION": support.REGION,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(program)], env=environment, check=True, capture_output=True
    )
    seconds, used = json.loads(done.stdout)
    return seconds, used


def answered(file: str, folder: Path) -> tuple[float, float]:
    """Return how long a new process took to answer a first event: in all, and of a processor's time."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SPOTKEEPER_LEDGER": "gs://spotkeeper-bench",
        "SPOTKEEPER_PROJECT": "bench",
        "SPOTKEEPER_REGION": "europe-west4",
    }
    command = [sys.executable, "-S", "-B", "-c", LAUNCH, str(folder), str(folder.parent / "libraries")]
    command += ["--target", "on_message", "--source", file, "--host", "127.0.0.1", "--port", str(port)]
    used, began = _children_seconds(), time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while (status := _push(port)) is None:
            time.sleep(0.001)
        seconds = time.perf_counter() - began
        if status != 200:
            raise RuntimeError(f"{file}: was answered with status {status}, expected 200")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    return seconds, _children_seconds() - used


def _push(port: int) -> int | None:
    """Push an event, and return the status of its answer; ``None`` while nobody is there."""
    entry = preempted("bench", "europe-west4-a", "somebody", "7", time.time())
    data = base64.b64encode(json.dumps(entry).encode()).decode()
    body = json.dumps({"message": {"data": data, "messageId": "1"}, "subscription": "projects/bench/subscriptions/s"})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
