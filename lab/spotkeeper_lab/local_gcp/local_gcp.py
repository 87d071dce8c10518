"""The local Google Cloud as a whole: what Spotkeeper needs of it, with real processes for its instances."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spotkeeper_lab.local import breakdowns, processes
from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local.faults import CallFaults
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.nodes import MARK
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_gcp import logs
from spotkeeper_lab.local_gcp.accounts import Accounts
from spotkeeper_lab.local_gcp.buckets import Buckets
from spotkeeper_lab.local_gcp.callers import RESPONDER, node_of, token_of
from spotkeeper_lab.local_gcp.compute import Compute
from spotkeeper_lab.local_gcp.course import Course
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.front import SERVICES, Front, refuse
from spotkeeper_lab.local_gcp.function import Function
from spotkeeper_lab.local_gcp.functions import Functions
from spotkeeper_lab.local_gcp.iam import Iam
from spotkeeper_lab.local_gcp.invocations import Invocations
from spotkeeper_lab.local_gcp.logs import Logs
from spotkeeper_lab.local_gcp.machines import Machines
from spotkeeper_lab.local_gcp.market import Market
from spotkeeper_lab.local_gcp.monitoring import Monitoring
from spotkeeper_lab.local_gcp.pubsub import MessageFaults, PubSub
from spotkeeper_lab.local_gcp.scheduler import Scheduler
from spotkeeper_lab.local_gcp.server import Server
from spotkeeper_lab.local_gcp.services import Services
from spotkeeper_lab.local_gcp.storage_json import StorageJson
from spotkeeper_lab.local_gcp.timing import Timing
from spotkeeper_lab.local_gcp.web import Reply
from spotkeeper_lab.local_gcp.world import REGIONS, World


class LocalGcp:
    """One project of Google Cloud on this machine; a context manager that ends everything it has started.

    Args:
        work_dir: a directory of its own, where nodes live and the function is unpacked; made where it is not there. It
            stays when the cloud is gone.
        timing: how long the cloud takes for its part.
        events: where what happens is written down.
        project: the one project that there is.
        regions: region to its zones; the first one is :attr:`region`.
    """

    def __init__(
        self,
        work_dir: Path,
        timing: Timing | None = None,
        *,
        events: EventLog | None = None,
        project: str = "local-project",
        regions: Mapping[str, Sequence[str]] = REGIONS,
    ) -> None:
        with ExitStack() as closing:
            self.project, self.region = project, next(iter(regions))
            self.events = EventLog() if events is None else events
            self._timing = timing or Timing()
            work_dir.mkdir(parents=True, exist_ok=True)
            self._dir = work_dir.resolve()
            timers = self._timers = Timers(self._failed)
            closing.callback(timers.close)
            processes.adopt_orphans(True)
            closing.callback(processes.adopt_orphans, False)
            guard = processes.start_guard(f"{MARK}={self._dir}")
            closing.callback(guard.communicate)

            self.calls = CallCounter()
            self.faults = MessageFaults()
            self.call_faults: CallFaults[Reply] = CallFaults(refuse, SERVICES, self.events, timers)
            self._world = World(self._timing, timers, self._happened, project, regions)
            self._compute = Compute(self._world)
            self.buckets, self._iam = Buckets(), Iam()
            self._invocations = Invocations(self.events)
            self._pubsub = PubSub(timers, self.faults, self._invocations.push, self._invocations.buried, self._timing)
            self._logs = Logs(project, self._pubsub)
            self._scheduler = Scheduler(self._pubsub)
            self._functions = Functions(self.buckets, self._pubsub, self._invocations.replace)
            self._monitoring = Monitoring(self.events, self._logs)
            services = (self._pubsub, self._logs, self._scheduler, self._functions, self._iam, self._monitoring)
            methods = {name: method for service in services for name, method in service.methods().items()}
            storage = StorageJson(self.buckets, discovery("storage.v1"), lambda: self.endpoint)
            front = Front(
                self._compute.api,
                self.buckets,
                storage,
                Services(methods),
                self._iam,
                self.calls,
                self.call_faults,
                self._account_of,
                project,
            )
            self._server = Server(front.answer, self._failed)
            closing.callback(self._server.close)
            closing.callback(self._compute.close)
            closing.callback(self._pubsub.close)  # the server waits for pulls that wait,
            closing.callback(self.call_faults.close)  # and for calls that hang

            host = self.endpoint.removeprefix("http://")
            self._shared = {
                MARK: str(self._dir),
                "STORAGE_EMULATOR_HOST": self.endpoint,
                "GOOGLE_BASE_URL": self.endpoint,  # as obstore calls it
                "PUBSUB_EMULATOR_HOST": host,
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": self.endpoint,
            }
            self._accounts = Accounts(project)
            closing.callback(self._accounts.close)
            self.nodes = Machines(self._dir, self.events, timers, self._shared, project, self._off)
            closing.callback(self.nodes.close)
            self._course = Course(
                self._compute, self.nodes, self._logs, self.faults, self.events, timers, self._timing, project
            )
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

    @property
    def endpoint(self) -> str:
        """Where all its services are reached: what a client takes as its endpoint, without a path."""
        return self._server.endpoint

    @property
    def market(self) -> Market:
        """How many instances may run."""
        return self._compute.market

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Return the objects of a bucket whose names begin with ``prefix``. No call is made, and none is counted.

        Raises ``Refused`` if there is no such bucket.
        """
        with self.buckets.lock:
            within = self.buckets.find(bucket)
            found = {name: within.get(name) for name in within.names(prefix)}
            return {name: stored.body for name, stored in found.items() if stored is not None}

    def environment(self, caller: str) -> dict[str, str]:
        """Return what a process needs in its environment to call this cloud under the name of ``caller``.

        A process that has it in its environment counts as one of the cloud's: it is ended when the cloud is closed.
        """
        return {**self._shared, "GCE_METADATA_HOST": self._accounts.host(caller)}

    # For those who stage what happens in it.

    def deploy_function(self) -> None:
        """Start the function that was declared, and the clock that fires what is scheduled.

        Raises:
            RuntimeError: There is not exactly one function, or it runs already.
            FunctionFailed: It does not come up.
        """
        if self.function is not None:
            raise RuntimeError("the function runs already")
        names = [str(one["name"]) for one in self._functions.all]
        if len(names) != 1:
            raise RuntimeError(f"functions: were {len(names)}, expected one")
        deployed, environment = self._functions.deployed(names[0]), self.environment(RESPONDER)
        function = Function(deployed, self._dir / "function", environment, self._printed)
        self._closing.callback(self._pubsub.close)
        self._closing.callback(function.close)
        function.warm_up()
        self._invocations.function = function
        self._timers.after(self._timing.tick_seconds, self._tick)

    def interrupt(self, node_id: str, *, warn: bool = True) -> None:
        """Take a node back, as Compute Engine does with spot instances only: notice, soft off, end.

        Args:
            node_id: the node; raises ``ValueError`` where it does not run (any more).
            warn: whether the audit log is told as well, through :attr:`faults`. The node's own metadata always is.
        """
        name, _, number = node_id.partition(".")
        if not warn:
            self._course.keep_quiet(node_id)
        self._compute.preempt(name, number or None)

    def kill(self, node_id: str) -> None:
        """Let a node's host fail: its processes are gone at once, and the API shows it as running a while longer."""
        with self._world.lock:
            if self._compute.instance(*node_id.split(".", 1)) is None:
                return
        self.nodes.die(node_id)
        self._compute.killed(node_id.partition(".")[2])

    def freeze(self, node_id: str) -> None:
        """Stop everything that runs on a node; see :func:`spotkeeper_lab.local.breakdowns.freeze`."""
        breakdowns.freeze(self.nodes, self.events, node_id)

    def thaw(self, node_id: str, *, job_only: bool = False) -> None:
        """Let a stopped node go on; see :func:`spotkeeper_lab.local.breakdowns.thaw`."""
        breakdowns.thaw(self.nodes, self.events, node_id, job_only=job_only)

    @property
    def function(self) -> Function | None:
        """The function, once it was started."""
        return self._invocations.function

    def kill_function(self) -> None:
        """Kill the function's process, if there is one, and return when it is gone."""
        if self.function is not None:
            self.function.kill()

    def publish(self, data: bytes, attributes: Mapping[str, str] | None = None) -> None:
        """Publish a message to the topic from which the function gets its own, whatever it says."""
        self._pubsub.publish(self._pubsub.pushed_topic(), data, attributes or {})

    def send_event(self, name: str, number: str, *, times: int = 1) -> None:
        """Let the audit log tell the function of a preemption that never was; it comes ``times`` times."""
        zone = self._world.regions[self.region][0]
        for _ in range(times):
            self._logs.write(logs.preempted(self.project, zone, name, number, time.time()))

    def send_raw(self, body: str) -> None:
        """Bring the function a message with any text."""
        self.publish(body.encode())

    # What happens in it.

    def _happened(self, what: str, name: str | None, /, **details: Any) -> None:
        self._course.happened(what, name, **details)

    def _off(self, node: str) -> None:
        self._compute.powered_off(node.partition(".")[2])

    def _printed(self, line: str) -> None:
        if self.function is not None:
            self._invocations.printed(line)
            self._logs.write(logs.printed(self.project, self.function.deployed.name, line))

    def _tick(self) -> None:
        self._scheduler.fire()
        self._monitoring.watch()
        self._timers.after(self._timing.tick_seconds, self._tick)

    def _account_of(self, token: str) -> str:
        """The address of the service account that a token is of, if its permissions count here."""
        if node := node_of(token):
            return self.nodes.account(node)
        accounts = [one["serviceConfig"].get("serviceAccountEmail", "") for one in self._functions.all]
        return str(accounts[0]) if accounts and token == token_of(RESPONDER) else ""

    def _failed(self, traceback: str) -> None:
        self.events.add("local-cloud-failed", error=traceback)
