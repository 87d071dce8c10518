"""The local cloud as a whole: AWS as far as Spotkeeper needs it, with real processes for its instances."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import botocore.loaders
import botocore.session
from moto.autoscaling.models import autoscaling_backends
from moto.awslambda.models import EventSourceMapping, lambda_backends
from moto.core.base_backend import BackendDict
from moto.ec2.models import ec2_backends
from moto.s3.models import FakeKey, s3_backends
from moto.sqs.models import sqs_backends
from werkzeug.wrappers import Response

from spotkeeper_lab.local import processes
from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local.faults import CallFaults
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.nodes import MARK
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_aws.alarms import Alarms
from spotkeeper_lab.local_aws.autoscaling_api import AutoScalingApi
from spotkeeper_lab.local_aws.breakdowns import Breakdowns
from spotkeeper_lab.local_aws.calls import access_key_id, secret_access_key
from spotkeeper_lab.local_aws.events import EventBus, EventFaults
from spotkeeper_lab.local_aws.function import Deployed, Function
from spotkeeper_lab.local_aws.groups import AutoScaling
from spotkeeper_lab.local_aws.interruptions import Interruptions
from spotkeeper_lab.local_aws.market import SpotMarket
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.permissions import Permissions
from spotkeeper_lab.local_aws.queue import PARTIAL, Mapped, Poller
from spotkeeper_lab.local_aws.refusals import SERVICES, refuse
from spotkeeper_lab.local_aws.server import Answers, Layer, Server
from spotkeeper_lab.local_aws.ssm import RunCommand, SystemsManagerApi
from spotkeeper_lab.local_aws.timing import Timing
from spotkeeper_lab.local_aws.topics import Topics
from spotkeeper_lab.local_aws.world import World

LAB = "lab"

_MODELS = botocore.loaders.Loader()
"""Keeps the services' models, which take long to read, for all callers and clouds."""

_open = threading.Lock()


class LocalAws:
    """A cloud of one account and region; a context manager that ends everything it has started.

    Args:
        work_dir: a directory of its own, where nodes live and the function is unpacked; made where it is not there. It
            stays when the cloud is gone.
        timing: how long the cloud takes for its part.
        events: where what happens is written down.
        region: default ``us-east-1``.

    Raises:
        RuntimeError: There is one in this process already; moto has only one state for a whole process.
    """

    def __init__(self, work_dir: Path, timing: Timing, *, events: EventLog, region: str = "us-east-1") -> None:
        if not _open.acquire(blocking=False):
            raise RuntimeError("a local cloud is open already, expected at most one in a process")
        with ExitStack() as closing:
            closing.callback(_open.release)
            self.events = events
            timers = Timers(self._failed)
            closing.callback(timers.close)
            work_dir.mkdir(parents=True, exist_ok=True)
            self._world = World(work_dir.resolve(), timing, events, timers, region)
            self.region, self.account = region, self._world.account
            processes.adopt_orphans(True)
            closing.callback(processes.adopt_orphans, False)
            guard = processes.start_guard(f"{MARK}={self._world.work_dir}")
            closing.callback(guard.communicate)
            _empty_moto()
            closing.callback(_empty_moto)

            self.calls = CallCounter()
            self.market = SpotMarket()
            self.faults = EventFaults()
            self.call_faults = CallFaults(refuse, SERVICES, events, timers)
            self.function: Function | None = None
            answers: dict[str, Answers] = {}
            published = Topics(self._world).published
            afterwards = {"CreateEventSourceMapping": self._keep_moto_off_the_queues, "Publish": published}
            layer = Layer(
                self.calls,
                self.call_faults,
                self._refusal,
                self._world.lock,
                answers,
                afterwards,
                self._failed,
            )
            server = Server(layer)
            closing.callback(server.close)
            closing.callback(self.call_faults.close)  # the server waits for calls that hang
            self.endpoint = server.endpoint
            self._sessions: dict[str, boto3.Session] = {}
            self._clients: dict[tuple[str, str], Any] = {}
            self._making_client = threading.Lock()
            closing.callback(self._close_clients)

            where = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
            self._shared = {MARK: str(self._world.work_dir), **where}
            self.nodes = NodeProcesses(self._world, self._shared)
            self._permissions = Permissions(self._world, self.nodes)
            self._bus = EventBus(self._world, self.faults)
            groups = AutoScaling(self._world, self.market, self._bus, self.nodes)
            autoscaling_backends[self.account][region] = groups
            command = RunCommand(self._world, self.nodes)
            closing.callback(command.close)
            answers["autoscaling"] = lambda request: AutoScalingApi(groups)._dispatch(request)
            answers["ssm"] = lambda request: SystemsManagerApi(command)._dispatch(request)
            self._interruptions = Interruptions(self._world, self._bus, groups, self.nodes, groups.ec2_backend)
            self._breakdowns = Breakdowns(self._world, groups, self.nodes, groups.ec2_backend)
            closing.callback(self.nodes.close)
            closing.callback(timers.close)  # before the nodes, so that none boots behind their back
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        """Return the cloud, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the cloud; raises ``RuntimeError`` if something went wrong in its own threads and nothing else did."""
        self.close()
        if kind is None and (failures := self.failures()):
            raise RuntimeError(f"the local cloud failed:\n{failures[0]}")

    def close(self) -> None:
        """End every process, thread and connection. The working directory stays. Closing again does nothing."""
        self._closing.close()

    def failures(self) -> list[str]:
        """Return the tracebacks of what went wrong in the cloud's own threads; a run that has any proves nothing."""
        return [str(moment.detail["error"]) for moment in self.events.moments() if moment.what == "local-cloud-failed"]

    # For those who use the cloud.

    def client(self, service: str, caller: str = LAB) -> Any:
        """Return a boto3 client whose calls are counted under the name of ``caller``; any thread may use it."""
        with self._making_client:  # EC2's takes a second to make: not once for every thread that wants it
            if caller not in self._sessions:
                own = botocore.session.Session()
                own.register_component("data_loader", _MODELS)
                keys = access_key_id(caller), secret_access_key(caller)
                self._sessions[caller] = boto3.Session(*keys, region_name=self.region, botocore_session=own)
            if (service, caller) not in self._clients:
                session: Any = self._sessions[caller]  # its types know services by literal names only
                self._clients[service, caller] = session.client(service, endpoint_url=self.endpoint)
            return self._clients[service, caller]

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Return the objects of a bucket whose keys begin with ``prefix``. No call is made, and none is counted.

        Raises ``KeyError`` if there is no such bucket.
        """
        with self._world.lock:
            stored = s3_backends[self.account]["aws"].buckets[bucket].keys
            newest = ((key, stored[key]) for key in stored if key.startswith(prefix))
            return {key: found.value for key, found in newest if isinstance(found, FakeKey)}  # or it was deleted

    def environment(self, caller: str) -> dict[str, str]:
        """Return what a process needs in its environment to call this cloud under the name of ``caller``.

        A process that has it in its environment counts as one of the cloud's: it is ended when the cloud is closed.
        """
        keys = {"AWS_ACCESS_KEY_ID": access_key_id(caller), "AWS_SECRET_ACCESS_KEY": secret_access_key(caller)}
        return {**self._shared, **keys}

    @cached_property
    def subnet_ids(self) -> list[str]:
        """The subnets of the default VPC, one in each zone."""
        with self._world.lock:
            subnets = ec2_backends[self.account][self.region].get_default_subnets()
        return [subnets[zone].id for zone in sorted(subnets)]

    @cached_property
    def image_id(self) -> str:
        """A Linux image."""
        with self._world.lock:
            images = ec2_backends[self.account][self.region].amis.values()
        return next(image.id for image in images if str(image.name).startswith("amzn2-ami-hvm"))

    # For those who stage what happens in it.

    def deploy_function(self) -> None:
        """Start the function that a queue is mapped to, the polling of that queue, and the scheduled rules.

        Raises:
            RuntimeError: There is not exactly one event source mapping, or the function runs already.
            FunctionFailed: Its handler cannot be imported.
        """
        if self.function is not None:
            raise RuntimeError("the function runs already")
        with self._world.lock:
            mapping = self._mapping()
            deployed = lambda_backends[self.account][self.region].get_function(mapping.function_arn)
            function = Deployed(
                name=deployed.function_name,
                arn=deployed.function_arn,
                handler=str(deployed.handler),
                archive=deployed.code_bytes,
                environment=dict(deployed.environment_vars),
                timeout_seconds=float(deployed.timeout),
                memory_mb=int(deployed.memory_size),
            )
        directory = self._world.work_dir / "function"
        self.function = Function(function, directory, self.environment("responder"))
        self._closing.callback(self.function.close)
        self.function.warm_up()
        arn = mapping.event_source_arn
        partial = PARTIAL in (mapping.function_response_types or ())
        mapped = Mapped(arn.rpartition(":")[2], arn, mapping.batch_size, float(mapping.max_batch_window or 0), partial)
        self._closing.callback(Poller(self._world, mapped, self.function).close)
        self._world.timers.after(self._world.timing.tick_seconds, self._tick)
        self._world.timers.after(self._world.timing.tick_seconds, Alarms(self._world, self.function).watch)

    def interrupt(self, node_id: str, *, warn: bool = True) -> None:
        """Give a node its notice and take it back ``notice_seconds`` later, as AWS does with spot instances only.

        Args:
            node_id: the node; raises ``KeyError`` where there never was one of that id.
            warn: whether EventBridge is told as well, through :attr:`faults`. The node's own metadata always is.
        """
        self._interruptions.interrupt(node_id, warn=warn)

    def rebalance(self, node_id: str, *, warn: bool = True) -> None:
        """Recommend a node for rebalancing; arguments as for :meth:`interrupt`."""
        self._interruptions.rebalance(node_id, warn=warn)

    def kill(self, node_id: str) -> None:
        """Let a node die without any notice; see :meth:`Breakdowns.kill`."""
        self._breakdowns.kill(node_id)

    def freeze(self, node_id: str) -> None:
        """Stop everything that runs on a node; see :meth:`Breakdowns.freeze`."""
        self._breakdowns.freeze(node_id)

    def thaw(self, node_id: str, *, job_only: bool = False) -> None:
        """Let a stopped node go on; see :meth:`Breakdowns.thaw`."""
        self._breakdowns.thaw(node_id, job_only=job_only)

    def kill_function(self) -> None:
        """Kill the function's process, if there is one, and return when it is gone."""
        if self.function is not None:
            self.function.kill()

    def send_event(
        self, detail_type: str, source: str, detail: Mapping[str, Any], *, resources: Sequence[str] = (), times: int = 1
    ) -> None:
        """Put a made-up event on the bus; it is delivered ``times`` times under one id, whatever the faults."""
        self._bus.inject(detail_type, source, detail, resources, times)

    def send_raw(self, body: str) -> None:
        """Put a message with any text straight into the function's queue."""
        with self._world.lock:
            queue = self._mapping().event_source_arn.rpartition(":")[2]
            sqs_backends[self.account][self.region].send_message(queue_name=queue, message_body=body)

    def _refusal(self, token: str, operation: str, path: str, query: str) -> Response | None:
        return self._permissions.refusal(token, operation, path, query)

    def _failed(self, trace: str) -> None:
        self.events.add("local-cloud-failed", error=trace)

    def _mapping(self) -> EventSourceMapping:
        found = list(lambda_backends[self.account][self.region].list_event_source_mappings("", ""))
        if len(found) != 1:
            raise RuntimeError(f"event source mappings: were {len(found)}, expected one, of a queue to a function")
        return found[0]

    def _tick(self) -> None:
        self._bus.fire_schedules()
        self._world.timers.after(self._world.timing.tick_seconds, self._tick)

    def _keep_moto_off_the_queues(self) -> None:
        """Take mappings away from moto's queues.

        With them moto would run the function itself, in Docker, inside every SendMessage.
        """
        for queue in sqs_backends[self.account][self.region].queues.values():
            queue.lambda_event_source_mappings.clear()

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()


def _empty_moto() -> None:
    """Make moto forget everything."""
    autoscaling_backends.clear()  # moto does not know how to reset ours,
    ec2_backends.clear()  # and resets this one by making it anew, which takes a while
    BackendDict.reset()
