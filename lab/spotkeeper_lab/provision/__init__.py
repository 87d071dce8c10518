"""The real stack program, created in the local cloud.

The program runs under Pulumi's mock monitor. Each resource that it registers is created by boto3, so that ids and
ARNs flow on to the next ones and a wrong argument is refused by botocore or by the cloud. A type, an input or an
invoke that the table does not know is an error.
"""

from __future__ import annotations

from typing import Any

import pulumi

from spotkeeper_lab.provision import compute, functions, identity, messaging, operations, scaling, storage
from spotkeeper_lab.provision.table import Aws, ProvisionError, answer, create, known
from spotkeeper_lab.provision.values import plain

__all__ = ("Aws", "ProvisionError", "Provisioner", "known")

_TABLE = (compute, functions, identity, messaging, operations, scaling, storage)
"""Importing a module enters its resources in the table."""


class Provisioner(pulumi.runtime.Mocks):
    """What stands in for the engine: creates each resource in ``aws``. Pulumi calls it from several threads."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Create one resource; a component, which is nothing but its children, needs none."""
        if not args.custom:
            return "", dict(args.inputs)
        if args.typ.startswith("pulumi:providers:"):
            return f"{args.name}-provider", dict(args.inputs)
        identity, outputs = create(self._aws, args.typ, args.name, plain(args.inputs))
        return identity, {**args.inputs, **outputs}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        """Answer one invoke; one that cannot be answered raises."""
        return answer(self._aws, args.token, plain(args.args)), []
