"""Pulumi's engine as far as a plugin sees it, and the plugin itself as it is started from an installed wheel.

What it does not do: no state, no steps, no providers. What is registered is answered at once, by the same tables that
answer programs in the other tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import (
    callback_pb2,
    callback_pb2_grpc,
    engine_pb2,
    engine_pb2_grpc,
    errors_pb2,
    provider_pb2,
    provider_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
    status_pb2,
)

from pulumi_support import PROJECT, STACK, RecordingMonitor

ROOT = Path(__file__).parents[1]


class Monitor(RecordingMonitor):
    """The recording monitor, for programs of another process: it knows the stack, and what is not known."""

    def __init__(self, preview: bool) -> None:
        super().__init__(preview)
        self._preview = preview
        self.hooks: list[Any] = []

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.hooks.append(request.callback)
        return super().RegisterResourceHook(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        answer = super().RegisterResource(request)
        if self._preview:  # what goes in comes out, also what is not known
            answer.object.CopyFrom(request.object)
        return answer

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        above = f"{parent.split('::')[2]}$" if parent else ""
        return f"urn:pulumi:{STACK}::{PROJECT}::{above}{type_}::{name}"

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        answer = super().GetDeploymentInfo(request)
        answer.supportedFeatures.append(resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES)
        return answer


def _served(monitor: Any) -> type[resource_pb2_grpc.ResourceMonitorServicer]:
    """Return the protocol's service, each call handed on to the monitor."""

    def handed_on(name: str) -> Any:
        return lambda self, request, context: getattr(monitor, name)(request)

    calls = {
        name: handed_on(name)
        for name in dir(resource_pb2_grpc.ResourceMonitorServicer)
        if not name.startswith("_") and hasattr(monitor, name)
    }
    return type("Service", (resource_pb2_grpc.ResourceMonitorServicer,), calls)


class Log(engine_pb2_grpc.EngineServicer):
    """What the plugin says to people."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.severity != engine_pb2.DEBUG:
            self.messages.append(request.message)
        return empty_pb2.Empty()


@contextmanager
def served(add: Any, servicer: Any) -> Iterator[str]:
    """Serve on a free port of this machine; the address is given."""
    server = grpc.server(ThreadPoolExecutor(8))
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@dataclass(frozen=True)
class Constructed:
    """A component as the program that asked for it gets it, and what it is made of."""

    urn: str
    outputs: Mapping[str, Any]
    depends_on: Mapping[str, Sequence[str]]
    """Of each output, the URNs that it depends on."""
    monitor: Monitor

    def hooked(self) -> list[str]:
        """Run what is to run before something is created, as the engine does, and return what that refuses."""
        said = []
        for hook in self.monitor.hooks:
            asked = callback_pb2.CallbackInvokeRequest(
                token=hook.token, request=resource_pb2.ResourceHookRequest().SerializeToString()
            )
            with grpc.insecure_channel(hook.target) as channel:
                answer = callback_pb2_grpc.CallbacksStub(channel).Invoke(asked, timeout=60)
            said.append(resource_pb2.ResourceHookResponse.FromString(answer.response).error)
        return said

    @property
    def children(self) -> dict[str, Any]:
        return {f"{seen.kind} {seen.name}": seen for seen in self.monitor.notes.seen}


class Refused(Exception):
    """What Pulumi gets instead of a component."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code, self.message = error.code(), error.details()
        self.problems: dict[str, str] = {}
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status, found = status_pb2.Status.FromString(value), errors_pb2.InputPropertiesError()
                assert status.details[0].Unpack(found)
                self.problems = {each.property_path: each.reason for each in found.errors}
        super().__init__(f"{self.code.name} {self.message} {self.problems}")


@dataclass(frozen=True)
class Plugin:
    """The plugin's process, as the engine talks to it."""

    stub: provider_pb2_grpc.ResourceProviderStub
    log: Log
    said: Path
    """What it wrote on its standard error."""

    def schema(self) -> str:
        text: str = self.stub.GetSchema(provider_pb2.GetSchemaRequest(version=0), timeout=30).schema
        return text

    def version(self) -> str:
        text: str = self.stub.GetPluginInfo(empty_pb2.Empty(), timeout=30).version
        return text

    def construct(
        self, component: str, inputs: Mapping[str, Any], *, name: str = "train", preview: bool = False, **more: Any
    ) -> Constructed:
        """Have a component made as the engine does for a program in any language.

        Args:
            component: class of the component.
            inputs: by the schema's names; what is no plain value is made by the functions below.
            name: of the component.
            preview: whether nothing that is made has outputs yet.
            more: other fields of the request.

        Raises:
            Refused: the plugin answered with an error.
        """
        monitor = Monitor(preview)
        for reference in more.get("providers", {}).values():
            urn, made = reference.rsplit("::", maxsplit=1)
            monitor.resources[urn] = Monitor.ResourceRegistration(urn, made, {})
        add = resource_pb2_grpc.add_ResourceMonitorServicer_to_server
        with served(add, _served(monitor)()) as address:
            request = provider_pb2.ConstructRequest(
                project=PROJECT,
                stack=STACK,
                monitorEndpoint=address,
                dryRun=preview,
                parallel=4,
                type=f"spotkeeper:index:{component}",
                name=name,
                inputs=struct(inputs),
                accepts_output_values=True,
                **more,
            )
            try:
                answer = self.stub.Construct(request, timeout=60)
            except grpc.RpcError as error:
                raise Refused(error) from None
        return Constructed(
            answer.urn,
            json_format.MessageToDict(answer.state),
            {name: list(each.urns) for name, each in answer.stateDependencies.items()},
            monitor,
        )


def installed(folder: Path) -> Path:
    """Build the wheel, put what is in it where Python finds it, and return the place."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@contextmanager
def started(place: Path) -> Iterator[Plugin]:
    """Start the plugin as Pulumi's language host does, with what is installed there: its port is its first line."""
    log, said = Log(), place.parent / "stderr.txt"
    with served(engine_pb2_grpc.add_EngineServicer_to_server, log) as address, said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "plugin"), address, "--logtostderr"],
            cwd=place.parent,
            env={**os.environ, "PYTHONPATH": str(place)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            assert port, said.read_text("utf-8")
            with grpc.insecure_channel(f"127.0.0.1:{int(port)}") as channel:
                yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), log, said)
            process.send_signal(signal.SIGINT)  # as the engine ends it
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.communicate()
    assert "Event loop is closed" not in said.read_text("utf-8")


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return values as they are on the wire, where every number is a float."""
    made = struct_pb2.Struct()
    made.update(values)
    return made


UNKNOWN = rpc.UNKNOWN
"""What is not known in a preview."""


def secret(value: Any) -> dict[str, Any]:
    """Return a secret as it is on the wire."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def output(*value: Any, of: Sequence[str] = (), hidden: bool = False) -> dict[str, Any]:
    """Return an output as it is on the wire: of no value where it is not known, with the URNs that it depends on."""
    known = {"value": value[0]} if value else {}
    return {rpc._special_sig_key: rpc._special_output_value_sig, **known, "secret": hidden, "dependencies": list(of)}
