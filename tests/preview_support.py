"""What stands in for Pulumi's engine and command line: deploys a program, then prints what a preview of another would.

The programs are real and the inputs are what they register; which inputs replace a resource, and which outputs a change
makes unknown, is known for the few types below. The document's form is that of Pulumi's ``display.PreviewDigest`` and
``apitype.ResourceV3``. It does not do: providers' own defaults among the inputs, ``detailedDiff`` (a review reads
neither), what an archive looks like, aliases, diagnostics other than those it is given.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.output import Unknown
from pulumi.runtime import mocks

from pulumi_support import INVOKES, OUTPUTS, PROJECT, STACK
from spotkeeper_lab.provision.state import carried, changed
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_lab.review.preview import UNKNOWN

Program = Path | Callable[[], Any]

REPLACED_BY: Mapping[str, frozenset[str] | None] = {
    "aws:s3/bucketObjectv2:BucketObjectv2": frozenset({"bucket", "key"}),
    "aws:s3/bucket:Bucket": frozenset({"bucket"}),
    "aws:iam/role:Role": frozenset({"name", "path"}),
    "aws:autoscaling/group:Group": frozenset({"name"}),
    "aws:lambda/function:Function": frozenset({"name"}),
    "gcp:storage/bucketObject:BucketObject": frozenset({"bucket", "name", "content"}),
    "gcp:storage/bucket:Bucket": frozenset({"name", "location"}),
    "gcp:serviceaccount/account:Account": frozenset({"accountId"}),
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": None,
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": frozenset({"name", "region"}),
}
"""Which inputs replace a resource of a type; ``None``: any."""
COMPUTED = {"aws:ec2/launchTemplate:LaunchTemplate": ("latestVersion",)}
"""Which outputs a change of a resource makes unknown."""
PROVIDER = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:providers:aws::default::{UNKNOWN}"


class _Providers(mocks.Mocks):
    """Answers with what a resource was, as long as nothing changes it."""

    def __init__(self, engine: Engine, preview: bool) -> None:
        self._engine, self._preview = engine, preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        step = self._engine.plan(args)
        before = step["before"]
        if not args.custom:
            return "", step["inputs"]
        if before and step["op"] in {"same", "update"}:
            lost = COMPUTED.get(args.typ, ()) if step["op"] == "update" else ()
            outputs = {**before["outputs"], **dict.fromkeys(lost, UNKNOWN if self._preview else 8)}
            return before["id"], {**step["inputs"], **outputs}
        if self._preview:
            return None, step["inputs"]
        outputs = OUTPUTS[args.typ](args.name, args.inputs)
        step["id"] = str(outputs.get("id", f"{args.name}-id"))
        step["outputs"] = outputs
        return step["id"], {**step["inputs"], **outputs}

    def call(self, args: mocks.MockCallArgs) -> Any:
        return INVOKES[args.token](args.args)


class _Monitor(mocks.MockMonitor):
    def __init__(self, engine: Engine, preview: bool) -> None:
        super().__init__(_Providers(engine, preview))
        self._engine = engine

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self._engine.announce(request, self.make_urn(request.parent, request.type, request.name))
        return super().RegisterResource(request)


class Engine:
    """A stack, as it was deployed last."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self._requests: dict[tuple[str, str], tuple[Any, str]] = {}
        self._steps: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def announce(self, request: Any, urn: str) -> None:
        with self._lock:
            assert self._requests.setdefault((request.type, request.name), (request, urn))[1] == urn

    def plan(self, args: mocks.MockResourceArgs) -> dict[str, Any]:
        with self._lock:
            request, urn = self._requests[args.typ, args.name]
            before = self.resources.get(urn)
        given = {name: _comparable(value) for name, value in args.inputs.items()}
        inputs = carried(given, before["inputs"], request.ignoreChanges) if before else given
        names = sorted(changed(before["inputs"], inputs)) if before else []
        keys = REPLACED_BY.get(args.typ, frozenset())
        replaces = names if keys is None else sorted(keys & {*names})
        op = "create" if before is None else "replace" if replaces else "update" if names else "same"
        step = {
            "op": op,
            "urn": urn,
            "before": before,
            "inputs": inputs,
            "custom": bool(args.custom),
            "parent": request.parent,
            "retain": bool(request.retainOnDelete),
            "id": before["id"] if before and op != "replace" else "",
            "outputs": before["outputs"] if before and op == "same" else {},
            "diff": names if op in {"update", "replace"} else [],
            "replace": replaces if op == "replace" else [],
        }
        with self._lock:
            self._steps[urn] = step
        return step

    def up(self, program: Program, config: Mapping[str, str] | None = None) -> None:
        """Deploy a program."""
        self._run(program, config, preview=False)
        self.resources = self._steps

    def preview(
        self, program: Program, config: Mapping[str, str] | None = None, *, show_sames: bool = True
    ) -> dict[str, Any]:
        """Return what ``pulumi preview --json`` would print for a program, as Python values."""
        self._run(program, config, preview=True)
        return self._digest(self._steps, [urn for urn in self.resources if urn not in self._steps], show_sames)

    def destroy(self) -> dict[str, Any]:
        """Return what ``pulumi destroy --preview-only --json`` would print."""
        return self._digest({}, list(self.resources), show_sames=True)

    def _run(self, program: Program, config: Mapping[str, str] | None, *, preview: bool) -> None:
        self._steps, self._requests = {}, {}
        run_program(
            program, _Monitor(self, preview), project=PROJECT, stack=STACK, config_values=config, preview=preview
        )

    def _digest(self, steps: Mapping[str, dict[str, Any]], gone: list[str], show_sames: bool) -> dict[str, Any]:
        told = [_step(step) for step in steps.values()]
        told += [
            {"op": "delete", "urn": urn, "oldState": _state(self.resources[urn]), "detailedDiff": None}
            for urn in reversed(gone)
        ]
        count: dict[str, int] = {}
        for step in told:
            count[step["op"]] = count.get(step["op"], 0) + 1
        shown = [
            step for step in told if show_sames or step["op"] != "same" or "::pulumi:pulumi:Stack::" in step["urn"]
        ]
        text = json.dumps({"config": {}, "steps": shown, "duration": 1, "changeSummary": count}, default=_unknown)
        # The engine leaves the stack out of the types of what is in it; the SDK's mock monitor does not.
        digest: dict[str, Any] = json.loads(text.replace("pulumi:pulumi:Stack$", ""))
        return digest


def _step(step: dict[str, Any]) -> dict[str, Any]:
    told = {"op": step["op"], "urn": step["urn"], "provider": PROVIDER, "newState": _state(step), "detailedDiff": None}
    if step["before"]:
        told["oldState"] = _state(step["before"])
    for name in ("diff", "replace"):
        if step[name]:
            told[f"{name}Reasons"] = step[name]
    return told


def _state(step: dict[str, Any]) -> dict[str, Any]:
    state = {
        "urn": step["urn"],
        "custom": step["custom"],
        "id": step["id"],
        "type": step["urn"].split("::")[2].split("$")[-1],
    }
    state |= {"inputs": step["inputs"], "outputs": {**step["inputs"], **step["outputs"]}, "parent": step["parent"]}
    return {name: value for name, value in {**state, "retainOnDelete": step["retain"]}.items() if value}


def _comparable(value: Any) -> Any:
    """An archive by the hash of what is in it, as Pulumi compares them: as objects two of them are never equal."""
    if not isinstance(value, pulumi.AssetArchive):
        return value
    texts = {name: asset.text for name, asset in value.assets.items() if isinstance(asset, pulumi.StringAsset)}
    return f"archive {hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()}"


def _unknown(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    raise TypeError(type(value))
