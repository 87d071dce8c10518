"""The components as a Pulumi plugin, for programs in every language; :mod:`spotkeeper.wire` does the translating.

``pulumi package add`` finds it in the folder ``plugin`` of the repository. It is hosted here, and not by Pulumi's
``component_provider_host``, for two reasons: that one loses inputs, and it answers a refusal with a stack trace of
Python, where Pulumi can show the resource, the input and the reason.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import grpc.aio
from pulumi.provider.experimental.analyzer import ComponentDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError, ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import ConstructRequest, ConstructResponse, provider_pb2_grpc

import spotkeeper
from spotkeeper import wire
from spotkeeper.errors import InputError

NAME = "spotkeeper"
COMPONENTS = ("AwsInterruptionResponder", "AwsTrainingFleet", "GcpInterruptionResponder", "GcpTrainingFleet")
"""What other languages are offered."""
_OBJECT = re.compile(rf'("(?:#/types/)?{NAME}:index:\w+)Args"')
"""An object in the schema. Generators of other languages add ``Args`` where it belongs: ``FleetTimingsArgsArgs``."""


class Components(ComponentProvider):
    """The provider of the package: its schema, which is the contract with other languages, and what makes components.

    Its version is the distribution's, and has to be that of the tag that it is added by: Pulumi warns otherwise.
    """

    def __init__(self) -> None:
        super().__init__([getattr(spotkeeper, name) for name in COMPONENTS], name=NAME, version=version(NAME))
        self.names = wire.schema_names(self._component_defs.values(), self._type_defs)
        """How inputs and outputs are called in the schema, by the names that they have in Python."""
        schema = json.dumps(wire.documented(json.loads(self.schema or "{}"), self.names), indent=2)
        self.schema = _OBJECT.sub(r'\1"', schema)

    def map_inputs(self, inputs: Mapping[str, Any], component_def: ComponentDefinition) -> dict[str, Any]:
        """Return the inputs under the names that the component knows them by, with none of them lost."""
        return wire.arguments(inputs, component_def, self._type_defs)


class Servicer(ProviderServicer):
    """Answers the engine; what a component refuses is answered as a problem of that input."""

    provider: Components

    async def _construct(self, request: ConstructRequest, context: Any) -> ConstructResponse:
        try:
            return await super()._construct(request, context)
        except ComponentInitError as error:
            if isinstance(error.inner, InputError):
                raise wire.refusal(error.inner, self.provider.names) from error
            raise
        except InputError as error:  # of what is known only after the constructor, such as the zones of subnets
            raise wire.refusal(error, self.provider.names) from error


def main(args: Sequence[str]) -> None:
    """Serve the components until the engine ends this process.

    Args:
        args: of the command line: the engine's address, beside options that mean nothing here; or ``--schema``.
    """
    parser = argparse.ArgumentParser(description="Serves Spotkeeper's components to Pulumi, which starts this.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("engine", nargs="?", help="address of Pulumi's engine")
    what.add_argument("--schema", action="store_true", help="print the schema and end")
    chosen = parser.parse_known_args(args)[0]
    if chosen.schema:
        sys.stdout.write(f"{Components().schema}\n")
        return
    with suppress(KeyboardInterrupt):  # is how a plugin is asked to end
        asyncio.run(_serve(Components(), chosen.engine))


async def _serve(provider: Components, engine: str) -> None:
    asyncio.get_running_loop().set_exception_handler(_not_twice)
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    servicer = Servicer(provider, [], engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")  # is what the engine waits for
    sys.stdout.flush()
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(None)


def _not_twice(loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
    """Leave out the refusal that every output repeats which depends on the refused input: it has been answered."""
    if not isinstance(what.get("exception"), InputError):
        loop.default_exception_handler(what)
