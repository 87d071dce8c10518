"""What the benchmarks share: the function's code and process, a cloud to call, the machine, tables and JSON.

The cloud is moto's server in this process; every request that reaches it is counted by who signed it. Auto Scaling's
operations are answered here instead, in AWS's form, from :class:`Groups`: moto takes three seconds to write down 10,000
instances, and launches instances inside ``SetDesiredCapacity``. Groups are filled directly for the same reason: moto
needs a minute to launch 10,000.
"""

from __future__ import annotations

import argparse
import bisect
import io
import json
import os
import platform
import statistics
import threading
import time
import traceback
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.wrappers import Response

from spotkeeper.archives import function_sources
from spotkeeper.aws.notice_document import content
from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local_aws.calls import access_key_id, secret_access_key, signer
from spotkeeper_lab.local_aws.function import Deployed, Function
from spotkeeper_lab.local_aws.server import Server, operation
from spotkeeper_ledger import FleetSpec, Members, NodeReport, PolicySpec, dump, keys

REGION = "us-east-1"
HANDLER = "spotkeeper_responder.aws.handler.handle"
FUNCTION_SECONDS = 15.0
KEYS_PER_PAGE = 1000
"""Most keys in one answer of S3."""
PER_NODE = frozenset({"TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction"})
"""Calls that AWS takes one node at a time; counted in their own column."""


# ---------------------------------------------------------------- the function


def zipped(sources: Mapping[str, str]) -> bytes:
    """Return an archive as Pulumi makes it of text assets: no bytecode in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, text in sources.items():
            packed.writestr(name, text)
    return buffer.getvalue()


def function(
    cloud: Cloud, folder: Path, *, caller: str, bucket: str, sources: Mapping[str, str], entry: str
) -> Function:
    """Return a function of its own process that calls ``cloud`` under the name of ``caller``; not started yet."""
    deployed = Deployed(
        name=caller,
        arn=f"arn:aws:lambda:{REGION}:{DEFAULT_ACCOUNT_ID}:function:{caller}",
        handler=entry,
        archive=zipped(sources),
        environment={
            "SPOTKEEPER_LEDGER": f"s3://{bucket}",
            "SPOTKEEPER_DOCUMENT": f"{bucket}-notice",
            "SPOTKEEPER_TOPIC_ARN": f"arn:aws:sns:{REGION}:{DEFAULT_ACCOUNT_ID}:{bucket}",
        },
        timeout_seconds=FUNCTION_SECONDS,
        memory_mb=512,
    )
    return Function(deployed, folder, cloud.environment(caller))


def responder(cloud: Cloud, folder: Path, bucket: str) -> Function:
    """Return the responder as it is shipped."""
    return function(cloud, folder, caller="responder", bucket=bucket, sources=function_sources("aws"), entry=HANDLER)


def peak_memory_mb(running: Function) -> float:
    """Return the most memory that the function's process has held so far, in megabytes."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = status.with_name("cmdline").read_bytes()
            if str(running.log.parent / "task").encode() in command:
                (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
                return int(line.split()[1]) / 1024
        except OSError:
            continue  # it has ended meanwhile
    raise ProcessLookupError(f"{running.deployed.name}: no process, expected a running one")


# ---------------------------------------------------------------- the cloud


class Groups:
    """Auto Scaling groups as a table: what they hold is written into it, sizes are remembered and launch nothing."""

    ANSWERED = frozenset({"DescribeAutoScalingGroups", "SetDesiredCapacity", "DetachInstances"})

    def __init__(self) -> None:
        self.desired: dict[str, int] = {}
        self._instances: dict[str, str] = {}
        self._tags: dict[str, str] = {}

    def add(self, name: str, nodes: Sequence[str], tags: Mapping[str, str]) -> None:
        """Add a group that holds ``nodes``, all in service."""
        self.desired[name] = len(nodes)
        self._instances[name] = "".join(_instance(node) for node in nodes)
        self._tags[name] = "".join(
            f"<member><ResourceId>{escape(name)}</ResourceId><ResourceType>auto-scaling-group</ResourceType>"
            f"<Key>{escape(key)}</Key><Value>{escape(value)}</Value>"
            "<PropagateAtLaunch>true</PropagateAtLaunch></member>"
            for key, value in tags.items()
        )

    def answer(self, body: bytes) -> tuple[int, Mapping[str, str], str]:
        """Answer one request of the query protocol."""
        given = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        action = given["Action"]
        if action == "SetDesiredCapacity":
            self.desired[given["AutoScalingGroupName"]] = int(given["DesiredCapacity"])
            return _xml(action, "")
        if action == "DetachInstances":
            return _xml(action, "<Activities/>")
        names = [value for key, value in given.items() if key.startswith("AutoScalingGroupNames.")]
        return _xml(action, f"<AutoScalingGroups>{''.join(self._group(name) for name in names)}</AutoScalingGroups>")

    def _group(self, name: str) -> str:
        return (
            f"<member><AutoScalingGroupName>{escape(name)}</AutoScalingGroupName><MinSize>0</MinSize>"
            f"<MaxSize>1000000</MaxSize><DesiredCapacity>{self.desired[name]}</DesiredCapacity>"
            f"<Instances>{self._instances[name]}</Instances><Tags>{self._tags[name]}</Tags></member>"
        )


def _instance(node: str) -> str:
    return (
        f"<member><InstanceId>{node}</InstanceId><InstanceType>g5.xlarge</InstanceType>"
        "<AvailabilityZone>us-east-1a</AvailabilityZone><LifecycleState>InService</LifecycleState>"
        "<HealthStatus>Healthy</HealthStatus><LaunchTemplate><LaunchTemplateId>lt-0123456789abcdef0</LaunchTemplateId>"
        "<LaunchTemplateName>spotkeeper-bench</LaunchTemplateName><Version>1</Version></LaunchTemplate>"
        "<ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>"
    )


def _xml(action: str, result: str) -> tuple[int, Mapping[str, str], str]:
    body = (
        f'<{action}Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><{action}Result>{result}'
        f"</{action}Result><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{action}Response>"
    )
    return 200, {"Content-Type": "text/xml"}, body


@dataclass
class Commands:
    """The commands that were taken: which nodes each names, and when it was."""

    first_at: dict[str, float] = field(default_factory=dict)
    """Monotonic seconds, by node."""

    def take(self, parameters: Mapping[str, Sequence[str]]) -> None:
        """Note a command that has just been taken."""
        for node in parameters["Nodes"][0].split(","):
            self.first_at.setdefault(node, time.monotonic())


class Cloud:
    """A cloud for benchmarks; a context manager."""

    def __init__(self) -> None:
        self.calls, self.groups, self.commands = CallCounter(), Groups(), Commands()
        self._failures: list[str] = []
        self._keys: list[str] | None = None
        self._lock, self._moto = threading.RLock(), DomainDispatcherApplication(create_backend_app)
        self._closing = ExitStack()
        server = Server(self._answer)  # type: ignore[arg-type]  # any WSGI application will do
        self._closing.callback(server.close)
        self.endpoint = server.endpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
        if kind is None and self._failures:
            raise RuntimeError(self._failures[0])

    def environment(self, caller: str) -> dict[str, str]:
        """Return what a process needs to call this cloud under the name of ``caller``."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": access_key_id(caller),
            "AWS_SECRET_ACCESS_KEY": secret_access_key(caller),
        }

    def client(self, service: str) -> Any:
        """Return a client whose calls count as the benchmark's own."""
        session: Any = boto3.Session(access_key_id("bench"), secret_access_key("bench"), region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)

    def ledger(self, bucket: str) -> None:
        """Make a ledger and the document of its responder."""
        self.client("s3").create_bucket(Bucket=bucket)
        self.client("ssm").create_document(
            Name=f"{bucket}-notice", DocumentType="Command", Content=json.dumps(content())
        )

    def put(self, bucket: str, key: str, document: Any) -> None:
        """Write an object straight into moto's store."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, dump(document))

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object straight from moto's store."""
        found: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, key)
        return bytes(found.value)

    def fleet(self, bucket: str, name: str, nodes: Sequence[str]) -> FleetSpec:
        """Make a fleet of spot nodes whose agents have all reported; its backup group is empty."""
        spec = FleetSpec(
            fleet=name,
            incarnation="AROABENCH",
            cloud="aws",
            region=REGION,
            target=len(nodes),
            base=0,
            maximum=len(nodes),
            spot_group=f"spotkeeper-{name}-spot",
            backup_group=f"spotkeeper-{name}-backup",
            node_prefix="AROABENCH:",
            policy=PolicySpec(),
        )
        tags = {"spotkeeper:fleet": name, "spotkeeper:responder": bucket}
        self.groups.add(spec.spot_group, nodes, tags)
        self.groups.add(spec.backup_group, [], tags)
        self.put(bucket, keys.spec(name), spec)
        for node in nodes:
            report = NodeReport(fleet=name, incarnation=spec.incarnation, node=node, boot_id="bench", at=time.time())
            self.put(bucket, keys.report(name, spec.node_prefix + node), report)
        return spec

    def _listing(self, environ: Any) -> Response:
        """Answer a listing without folders: moto sorts all keys anew and takes 0.7 s for each thousand of 10,000."""
        query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
        prefix, after = query["prefix"], query.get("continuation-token", "")
        stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(environ["PATH_INFO"].strip("/")).keys
        if not after or self._keys is None:
            self._keys = sorted(name for name in stored if name.startswith(prefix))
        first = bisect.bisect_right(self._keys, after) if after else 0
        page = self._keys[first : first + KEYS_PER_PAGE]
        more = (
            f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
            if self._keys[first + KEYS_PER_PAGE :]
            else ""
        )
        entries = "".join(
            f"<Contents><Key>{quote(name)}</Key><LastModified>{stored[name].last_modified_ISO8601}</LastModified>"
            f"<ETag>{stored[name].etag}</ETag><Size>{stored[name].size}</Size></Contents>"
            for name in page
        )
        return Response(
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{entries}{more}</ListBucketResult>'
        )

    def roster(self, bucket: str, fleets: Mapping[str, Sequence[str]]) -> None:
        """Write the roster as a tick would have left it."""
        nodes = {node: fleet for fleet, members in fleets.items() for node in members}
        self.put(bucket, keys.MEMBERS, Members(revision=1, nodes=nodes, fleets=tuple(sorted(fleets))))

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        caller, service = signer(environ.get("HTTP_AUTHORIZATION", ""))
        name = operation(environ, body, service)
        self.calls.add(caller, name)
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            with self._lock:
                if name == "ListObjectsV2" and caller == "responder":
                    return self._listing(environ)(environ, start_response)
                if name in Groups.ANSWERED:
                    status, headers, text = self.groups.answer(body)
                    return Response(text, status=status, headers=headers)(environ, start_response)
                answer = [*self._moto(environ, start_response)]
        except Exception:
            self._failures.append(traceback.format_exc())
            raise
        if name == "SendCommand":
            self.commands.take(json.loads(body)["Parameters"])
        return answer


# ---------------------------------------------------------------- what comes out


def machine() -> dict[str, Any]:
    """Return what a figure depends on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown",
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table for people; columns are those of the first row."""
    names = [*rows[0]]
    cells = [names, *([_shown(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * int(percent * 10) // 1000) - 1))]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with what all benchmarks take."""
    options = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    options.add_argument("--json", type=Path, help="where to write the figures")
    return options


def deliver(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    path: Path | None,
    shown: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Print ``shown`` (default: ``rows``) as a table, and write ``rows`` as JSON where that was asked for."""
    print(f"\n{name}\n{table(shown or rows)}", flush=True)
    if path:
        path.write_text(json.dumps({"benchmark": name, "machine": machine(), "rows": rows}, indent=1) + "\n")
