"""The agent on its node: how fast a notice becomes a file, how much memory it holds, how much of a core it takes.

A real agent is started from the archive that nodes get, with a metadata server, an S3 and a job of this benchmark. The
metadata server is asked over loopback; on a real node it answers within the machine as well. The ledger's S3 is spoken
to over TLS, with a certificate made here, so that the library that does it is loaded and holds a connection.

notice     seconds from the change of a metadata value to the moment when ``notice.json`` holds the notice; each change
           is a new notice: the agent is told by a drill that is over, or started anew
memory     proportional set size of the agent's process (``/proc/<pid>/smaps_rollup``), its job apart
processor  user and system time of the agent's process over minutes in which it polls, beats, reports and ships

Needs the ``openssl`` command for the certificate.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import support

from spotkeeper.archives import agent_archive
from spotkeeper_ledger import FleetSpec, dump

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from gcp_support import GcpMetadata, serving_gcp

FLEET, INCARNATION = "bench", "AROABENCH"
JOB = """
import time
from spotkeeper_training import CheckpointGuard, CheckpointStore
store = CheckpointStore()
store.begin()
guard = CheckpointGuard(store)
step = 0
while True:
    step += 1
    time.sleep(0.1)
    guard.report(step)
    if step % 10 == 0:
        print("step", step, flush=True)
"""


@dataclass
class Aws:
    """An instance's metadata service, version 2."""

    values: dict[str, str]

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if path == "/latest/api/token":
            return (200, "token") if method == "PUT" else (405, "")
        if headers.get("x-aws-ec2-metadata-token") != "token":
            return 401, ""
        value = self.values.get(path.removeprefix("/latest/meta-data/"))
        return (404, "") if value is None else (200, value)


class Ledger:
    """As much of S3 as the agent speaks: conditional reads and writes of whole objects, and empty listings."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.requests = 0
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.requests += 1
            etag, held = self.objects.get(path, ("", b""))
            if method == "PUT":
                if ("if-none-match" in headers and etag) or headers.get("if-match", etag) != etag:
                    return 412, {}, b""
                self.objects[path] = (f'"{self.requests}"', body)
                return 200, {"ETag": f'"{self.requests}"'}, b""
            if "?" in path:
                return 200, {}, b"<ListBucketResult></ListBucketResult>"
            if not etag:
                return 404, {}, b""
            return (304, {"ETag": etag}, b"") if headers.get("if-none-match") == etag else (200, {"ETag": etag}, held)


@contextlib.contextmanager
def serving(answer: Callable[..., Any], context: ssl.SSLContext | None = None) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = {name.lower(): value for name, value in self.headers.items()}
            status, headers, said = answer(self.command, self.path, asked, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST = handle_any  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """An agent that was killed has left its connections."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a key and a certificate for 127.0.0.1."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


class Node:
    """A running agent."""

    def __init__(self, folder: Path, cloud: str, env: dict[str, str], job: str = "exec sleep 100000") -> None:
        self.folder, self.run_dir = folder, folder / "run"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        (folder / "agent.pyz").write_bytes(agent_archive().body)
        config = {
            "fleet": FLEET,
            "incarnation": INCARNATION,
            "cloud": cloud,
            "region": "eu-west-1",
            "ledger": "s3://ledger",
            "checkpoint_uri": f"file://{folder}/saves",
            "run_dir": str(self.run_dir),
            "command": job,
        }
        (folder / "agent.json").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(folder / "agent.pyz"), "run", "--config", str(folder / "agent.json")],
            env={**os.environ, **env},
            stdout=(folder / "log").open("wb"),
            start_new_session=True,
        )

    def wait(self, path: str, seconds: float = 60.0) -> None:
        give_up_at = time.monotonic() + seconds
        while not (self.run_dir / path).exists():
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"no {path} within {seconds:g} s:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    def pss_mib(self) -> float:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        pid = (self.run_dir / "job.pid").read_text().split()[0] if (self.run_dir / "job.pid").exists() else None
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), 9)
        self.process.wait()


def until_file(node: Node, began: float) -> float:
    """Return seconds from ``began`` until notice.json is there; looks a thousand times a second."""
    path, give_up_at = node.run_dir / "notice.json", began + 60
    while not path.exists():
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"no notice:\n{(node.folder / 'log').read_text()[-2000:]}")
        time.sleep(0.001)
    return time.monotonic() - began


def aws_notices(folder: Path, env: dict[str, str], aws: Aws, changes: int) -> list[float]:
    """One agent hears all: each recommendation is forgotten before the next one comes."""
    waits, node = [], Node(folder, "aws", env)
    try:
        node.wait("agent.sock")
        time.sleep(3)
        for number in range(changes):
            time.sleep(random.uniform(0, 1))  # the change falls anywhere into the tick
            began = time.monotonic()
            aws.values["spot/instance-action"] = json.dumps(
                {"action": "terminate", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))}
            )
            waits.append(until_file(node, began))
            node.stop()
            del aws.values["spot/instance-action"]
            if number + 1 < changes:
                node = Node(folder, "aws", env)
                node.wait("agent.sock")
                time.sleep(0.3)
    finally:
        node.stop()
    return waits


def gcp_notices(folder: Path, env: dict[str, str], metadata: GcpMetadata, changes: int) -> list[float]:
    waits = []
    for _ in range(changes):
        metadata.set("instance/preempted", "FALSE")
        node = Node(folder, "gcp", env)
        try:
            node.wait("agent.sock")
            metadata.wait_until_asked(30)
            time.sleep(random.uniform(0.1, 0.4))
            began = time.monotonic()
            metadata.set("instance/preempted", "TRUE")
            waits.append(until_file(node, began))
        finally:
            node.stop()
    return waits


def row(cloud: str, waits: list[float], target: float) -> dict[str, Any]:
    return {
        "measured": f"notice, {cloud}",
        "samples": len(waits),
        "p50_s": support.percentile(waits, 50),
        "p99_s": support.percentile(waits, 99),
        "most_s": max(waits),
        "target_s": target,
    }


def usage(folder: Path, env: dict[str, str], ledger: Ledger, minutes: float) -> list[dict[str, Any]]:
    root = Path(__file__).parents[1]
    (folder / "job.py").parent.mkdir(parents=True, exist_ok=True)
    (folder / "job.py").write_text(JOB)
    job = f"PYTHONPATH={root}/instance:{root}/ledger exec {sys.executable} {folder}/job.py"
    node = Node(folder, "aws", env, job)
    try:
        node.wait("progress.json")
        time.sleep(10)
        began, used, asked, pss = time.monotonic(), node.processor_seconds(), ledger.requests, []
        while time.monotonic() < began + 60 * minutes:
            time.sleep(min(5.0, 60 * minutes))
            pss.append(node.pss_mib())
        took = time.monotonic() - began
        share = (node.processor_seconds() - used) / took
        requests = (ledger.requests - asked) / took
    finally:
        node.stop()
    return [
        {"measured": "memory", "minutes": minutes, "pss_mib": max(pss), "target_mib": 30},
        {
            "measured": "processor",
            "minutes": minutes,
            "percent_of_a_core": 100 * share,
            "ledger_requests_per_s": requests,
            "target_percent": 0.3,
        },
    ]


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--minutes", type=float, default=10.0, help="of processor time (default %(default)s)")
    options.add_argument("--changes", type=int, default=100, help="notices on each cloud (default %(default)s)")
    asked = options.parse_args()
    aws, ledger = Aws({"instance-id": "i-1", "instance-life-cycle": "spot", "local-ipv4": "10.0.0.1"}), Ledger()
    aws.values["autoscaling/target-lifecycle-state"] = "InService"
    spec = FleetSpec(FLEET, INCARNATION, "aws", "eu-west-1", 1, 0, 1, "spot", "backup")
    ledger.objects[f"/ledger/fleets/{FLEET}/spec.json"] = ('"spec"', dump(spec))

    def metadata_of_aws(method: str, path: str, headers: dict[str, str], _: bytes) -> tuple[int, dict[str, str], bytes]:
        status, text = aws.answer(method, path, headers)
        return status, {}, text.encode()

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        key, cert = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        s3 = stack.enter_context(serving(ledger.answer, context))
        imds = stack.enter_context(serving(metadata_of_aws))
        google = stack.enter_context(serving_gcp())
        env = {
            "AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{s3}",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{imds}",
            "AWS_ACCESS_KEY_ID": "AKIABENCH",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "GCE_METADATA_HOST": google.host,
            "SSL_CERT_FILE": str(cert),
        }
        rows = usage(folder / "usage", env, ledger, asked.minutes)
        ledger.objects.pop(f"/ledger/fleets/{FLEET}/job/generation.json", None)
        rows.append(row("aws", aws_notices(folder / "aws", env, aws, asked.changes), 1.2))
        rows.append(row("gcp", gcp_notices(folder / "gcp", env, google, asked.changes), 0.05))
    for each in rows:
        support.deliver(each["measured"], [each], None)
    if asked.json:
        support.deliver("agent", rows, asked.json, rows[:1])


if __name__ == "__main__":
    main()
