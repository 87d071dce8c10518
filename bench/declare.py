"""What it costs to declare a fleet, against declaring the same resources without the component.

Both run as programs against the mocks of the tests. The raw program is made from what the component declared: the same
lookups, and the same resources in the same order, each through its own class of ``pulumi_aws``. Its arguments are what
was registered: another resource's id or ARN as that one's output, all else as plain values, which costs it nothing to
make. Both are run in turn; the ratio is the median of the ratios of neighbours.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import support

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pulumi

import pulumi_support
import spotkeeper

LOOKUPS: Mapping[str, list[dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": [{}],
    "aws:index/getRegion:getRegion": [{}],
    "aws:ec2/getAmi:getAmi": [{"filters": [{"name": "image-id", "values": ["ami-1"]}]}],
    "aws:ec2/getSubnet:getSubnet": [{"id": f"subnet-{zone}"} for zone in "abc"],
}
"""What a program has to ask AWS to declare these resources: whose account, which zones, which root volume."""


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--rounds", type=int, default=25, help="runs of each program (default %(default)s)")
    asked = options.parse_args()
    declared = pulumi_support.declare(fleet)
    raw = raw_program(declared.notes)
    again = pulumi_support.declare(raw)
    ours, theirs = custom(declared.notes), custom(again.notes)
    if ours != theirs:
        raise RuntimeError(f"the raw program declares {theirs ^ ours}, expected what the component declares")
    rounds = [(seconds(fleet), seconds(raw)) for _ in range(asked.rounds + 2)][2:]
    row = {
        "resources": len(ours),
        "component_s": support.median(component for component, _ in rounds),
        "raw_s": support.median(plain for _, plain in rounds),
        "ratio": support.median(component / plain for component, plain in rounds),
        "rounds": asked.rounds,
    }
    support.deliver("declaring a fleet", [row], asked.json)


def fleet() -> None:
    spotkeeper.AwsTrainingFleet("train", pulumi_support.fleet_args())


def seconds(program: Callable[[], None]) -> float:
    gc.collect()
    began = time.perf_counter()
    pulumi_support.declare(program)
    return time.perf_counter() - began


def custom(notes: Any) -> set[tuple[str, str]]:
    """Return what was declared of a provider: component resources are none."""
    return {(seen.options.type, seen.name) for seen in notes.seen if seen.options.custom}


def raw_program(notes: Any) -> Callable[[], None]:
    """Return a program that makes the lookups and declares the resources in ``notes``."""
    resources = [
        (class_of(seen.options.type), seen.name, arguments(class_of(seen.options.type), seen.inputs), answers(seen))
        for seen in notes.seen
        if seen.options.custom
    ]

    def program() -> None:
        for token, asked in LOOKUPS.items():
            for args in asked:
                pulumi.runtime.invoke_output(token, args)
        made: dict[str, pulumi.Output[Any]] = {}
        for kind, name, given, answered in resources:
            resource = kind(name, **{key: passed(value, made) for key, value in given.items()})
            made |= {value: getattr(resource, output) for output, value in answered.items()}

    return program


def passed(value: Any, made: Mapping[str, Any]) -> Any:
    """Return an argument: the output of another resource where it is one."""
    return made.get(value, value) if isinstance(value, str) else value


def answers(seen: Any) -> dict[str, str]:
    """Return the outputs of a resource that others may be given: name to value."""
    known = {"id": f"{seen.name}-id", **pulumi_support.OUTPUTS[seen.options.type](seen.name, seen.inputs)}
    return {name: known[name] for name in ("id", "arn") if isinstance(known.get(name), str)}


def class_of(token: str) -> Any:
    """Return the class of a type such as ``aws:autoscaling/group:Group``."""
    _, module, name = token.split(":")
    return getattr(importlib.import_module(f"pulumi_aws.{module.partition('/')[0].replace('lambda', 'lambda_')}"), name)


def arguments(kind: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return registered inputs as the arguments of a class: its own names instead of the provider's."""
    names = inspect.signature(kind._internal_init).parameters
    known = {name.replace("_", "").lower(): name for name in names}
    return {known[name.replace("_", "").lower()]: value for name, value in inputs.items()}


if __name__ == "__main__":
    main()
