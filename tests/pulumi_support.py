"""A monitor that writes everything down, and mocks that answer as a cloud's provider would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import mocks

import gcp_resources
import spotkeeper
from spotkeeper_lab.pulumi_program import Run, run_program

ACCOUNT, REGION, VPC = "123456789012", "eu-west-1", "vpc-1"
PROJECT, STACK = "spotkeeper", "test"
_SECRET = pulumi.runtime.rpc._special_sig_key

INVOKES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/me",
        "id": ACCOUNT,
        "userId": "AIDA",
    },
    "aws:index/getRegion:getRegion": lambda _: {"region": REGION, "id": REGION},
    "aws:ec2/getSubnet:getSubnet": lambda args: {
        "id": args["id"],
        "availabilityZone": f"{REGION}{args['id'][-1]}",
        "vpcId": args["id"].split("@")[1] if "@" in args["id"] else VPC,
    },
    "aws:ec2/getAmi:getAmi": lambda _: {"id": "ami-1", "rootDeviceName": "/dev/xvda"},
    **gcp_resources.INVOKES,
}

OUTPUTS: Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "aws:autoscaling/group:Group": lambda _, i: {"arn": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:group/{i['name']}"},
    "aws:autoscaling/lifecycleHook:LifecycleHook": lambda *_: {},
    "aws:cloudwatch/eventRule:EventRule": lambda _, i: {"arn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{i['name']}"},
    "aws:cloudwatch/eventTarget:EventTarget": lambda *_: {},
    "aws:cloudwatch/logGroup:LogGroup": lambda *_: {"arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda *_: {},
    "aws:ec2/launchTemplate:LaunchTemplate": lambda *_: {"latestVersion": 7},
    "aws:ec2/securityGroup:SecurityGroup": lambda *_: {},
    "aws:iam/instanceProfile:InstanceProfile": lambda n, _: {"arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{n}"},
    "aws:iam/role:Role": lambda n, i: {
        "name": i.get("name", n),
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{i.get('name', n)}",
        "uniqueId": "AROAEXAMPLE",
    },
    "aws:iam/rolePolicy:RolePolicy": lambda *_: {},
    "aws:lambda/eventSourceMapping:EventSourceMapping": lambda *_: {},
    "aws:lambda/function:Function": lambda _, i: {"arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{i['name']}"},
    "aws:s3/bucket:Bucket": lambda _, i: {"id": i["bucket"]},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lambda *_: {},
    "aws:s3/bucketNotification:BucketNotification": lambda *_: {},
    "aws:s3/bucketObjectv2:BucketObjectv2": lambda *_: {},
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": lambda *_: {},
    "aws:s3/bucketPolicy:BucketPolicy": lambda *_: {},
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": lambda *_: {},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": lambda *_: {},
    "aws:s3/bucketVersioning:BucketVersioning": lambda *_: {},
    "aws:sns/topic:Topic": lambda _, i: {"arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{i['name']}"},
    "aws:sns/topicPolicy:TopicPolicy": lambda *_: {},
    "aws:sns/topicSubscription:TopicSubscription": lambda *_: {},
    "aws:sqs/queue:Queue": lambda _, i: {
        "arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{i['name']}",
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{i['name']}",
    },
    "aws:sqs/queuePolicy:QueuePolicy": lambda *_: {},
    "aws:ssm/document:Document": lambda *_: {},
    "pulumi:providers:aws": lambda *_: {},
    **gcp_resources.OUTPUTS,
}
"""What each type answers besides its inputs; a type that is not here is an error."""


class CloudMocks(mocks.Mocks):
    """Answers as a cloud would; in a preview, as the engine does: what is made has no id and no outputs yet."""

    def __init__(self, preview: bool) -> None:
        self._preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return "", dict(args.inputs)
        more = OUTPUTS[args.typ]
        if self._preview:
            return None, dict(args.inputs)
        answer = {**args.inputs, **more(args.name, args.inputs)}
        return answer.pop("id", f"{args.name}-id"), answer

    def call(self, args: mocks.MockCallArgs) -> Any:
        return INVOKES[args.token](args.args)


@dataclass(frozen=True)
class Seen:
    """One resource as it was registered."""

    kind: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    depends_on: frozenset[str]
    """Names of the resources that it waits for, for whatever reason, as ``kind name``."""
    options: Any

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _SECRET in value:  # a provider may say that an input is one: what it is stays readable here
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


@dataclass
class _Notes:
    seen: list[Seen] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    invokes: list[tuple[str, str]] = field(default_factory=list)


class RecordingMonitor(mocks.MockMonitor):
    """Keeps what a resource's mock does not see: parent, dependencies, options, and what components register."""

    def __init__(self, preview: bool = False) -> None:
        super().__init__(CloudMocks(preview))
        self.notes = _Notes()
        self._inputs: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = pulumi.runtime.rpc.deserialize_properties(request.object)
            seen = Seen(
                kind=request.type.split(":")[-1],
                name=request.name,
                urn=answer.urn,
                parent=request.parent.split("::")[-1],
                inputs=_plain(inputs),
                depends_on=frozenset(_label(urn) for urn in request.dependencies),
                options=request,
            )
            with self._lock:
                self.notes.seen.append(seen)
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.notes.outputs[request.urn.split("::")[-1]] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.notes.invokes.append((request.tok, request.provider))
        return super().Invoke(request)


@dataclass(frozen=True)
class Declared:
    """What a program declared."""

    run: Run
    notes: _Notes

    @property
    def exports(self) -> Mapping[str, Any]:
        return self.run.exports

    def all(self, kind: str) -> list[Seen]:
        return [seen for seen in self.notes.seen if seen.kind == kind]

    def one(self, kind: str, name: str | None = None) -> Seen:
        found = [seen for seen in self.all(kind) if name in (None, seen.name)]
        assert len(found) == 1, f"{kind} {name}: {[seen.label for seen in self.notes.seen]}"
        return found[0]

    def policy(self, kind: str, name: str) -> dict[str, Any]:
        policy: dict[str, Any] = json.loads(self.one(kind, name).inputs["policy"])
        return policy


def declare(
    program: Path | Callable[[], Any], *, preview: bool = False, config: Mapping[str, str] | None = None
) -> Declared:
    """Run a program against the mocks."""
    monitor = RecordingMonitor(preview)
    run = run_program(program, monitor, project=PROJECT, stack=STACK, config_values=config, preview=preview)
    return Declared(run, monitor.notes)


def _label(urn: str) -> str:
    kind, name = urn.split("::")[-2:]
    return f"{kind.split(':')[-1]} {name}"


RESPONDER = "spotkeeper-ledger"


def fleet_args(**changes: Any) -> Any:
    """The inputs of a fleet that is fine, with some of them changed; ``...`` leaves one out."""
    args = {
        "subnet_ids": ["subnet-a", "subnet-b", "subnet-c"],
        "nodes": 4,
        "image_id": "ami-1",
        "command": "python3 train.py --name 'it''s'",
        "checkpoint_uri": "s3://checkpoints/jobs/digits",
        "responder": f"s3://{RESPONDER}",
        "instance_types": ["g5.xlarge", "g5.2xlarge"],
        **changes,
    }
    return {name: value for name, value in args.items() if value is not ...}


def declare_fleet(*, preview: bool = False, **changes: Any) -> Declared:
    """Declare one fleet named ``train`` of :func:`fleet_args`, its outputs exported."""

    def program() -> None:
        fleet = spotkeeper.AwsTrainingFleet("train", fleet_args(**changes))
        for output in spotkeeper.AwsTrainingFleet.__annotations__:
            pulumi.export(output, getattr(fleet, output))

    return declare(program, preview=preview)


def declare_responder(*, preview: bool = False, **inputs: Any) -> Declared:
    """Declare one responder named ``keeper``, its outputs exported."""

    def program() -> None:
        args: Any = inputs
        responder = spotkeeper.AwsInterruptionResponder("keeper", args)
        for output in spotkeeper.AwsInterruptionResponder.__annotations__:
            pulumi.export(output, getattr(responder, output))

    return declare(program, preview=preview)
