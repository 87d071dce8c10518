"""A local cloud for tests, with short durations, and what a small fleet consists of."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spotkeeper_lab.local import EventLog, Moment
from spotkeeper_lab.local_aws import LocalAws, Timing

SHORT = {
    "notice_seconds": 0.6,
    "boot_seconds": 0.05,
    "tick_seconds": 0.2,
    "replace_delay_seconds": 0.3,
    "reclaim_kill_seconds": 0.1,
}
PATIENCE = 20.0
"""Seconds after which a test gives up waiting; a machine that is busy with other tests is slow."""
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


@contextmanager
def cloud(work_dir: Path, **timing: float) -> Iterator[LocalAws]:
    with LocalAws(work_dir, Timing(**{**SHORT, **timing}), events=EventLog()) as aws:
        yield aws


def until(aws: LocalAws, what: str, node: str | None = None, *, after: float = 0.0, **detail: Any) -> Moment:
    """Wait for a moment; ``after`` is the time (of another one) that it has to follow."""

    def holds(moment: Moment) -> bool:
        assert moment.what != "local-cloud-failed", moment.detail["error"]
        fits = moment.what == what and (node is None or moment.node == node) and moment.at > after
        return fits and all(moment.detail.get(name) == value for name, value in detail.items())

    return aws.events.wait(holds, PATIENCE)


def template(aws: LocalAws, name: str, user_data: str = "", **data: Any) -> Mapping[str, str]:
    encoded = {"UserData": base64.b64encode(user_data.encode()).decode()} if user_data else {}
    settings = {"ImageId": aws.image_id, "InstanceType": "g5.xlarge", **encoded, **data}
    made = aws.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=settings)
    return {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}


def group(
    aws: LocalAws,
    name: str,
    desired: int = 1,
    *,
    user_data: str = "true",
    on_demand: bool = False,
    hook_seconds: int = 60,
    role: str = "",
    **settings: Any,
) -> None:
    """Make a group as a fleet has them; ``hook_seconds`` 0: without the hook; ``role``: name of a profile."""
    tags = {"spotkeeper:fleet": f"fleet-{name}", "spotkeeper:group": "backup" if on_demand else "spot"}
    hook = {"LifecycleHookName": "hook", "LifecycleTransition": TERMINATING, "HeartbeatTimeout": hook_seconds}
    specification = template(
        aws, f"template-{name}", user_data, **({"IamInstanceProfile": {"Name": role}} if role else {})
    )
    overrides = [{"InstanceType": "g5.2xlarge"}, {"InstanceType": "g6.2xlarge"}]
    aws.client("autoscaling").create_auto_scaling_group(
        **{
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 8,
            "DesiredCapacity": desired,
            "VPCZoneIdentifier": ",".join(aws.subnet_ids[:3]),
            "NewInstancesProtectedFromScaleIn": True,
            "LifecycleHookSpecificationList": [{**hook, "DefaultResult": "CONTINUE"}] if hook_seconds else [],
            "Tags": [{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
            "MixedInstancesPolicy": {
                "LaunchTemplate": {"LaunchTemplateSpecification": specification, "Overrides": overrides},
                "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 100 if on_demand else 0},
            },
            **settings,
        }
    )


def members(aws: LocalAws, name: str) -> list[dict[str, Any]]:
    (found,) = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return list(found["Instances"])


def launched(aws: LocalAws, name: str, count: int = 1) -> list[str]:
    """Wait until so many instances of a group have booted, those that are gone included; return their ids in order."""
    found: list[str] = []
    while len(found) < count:

        def new(moment: Moment) -> bool:
            assert moment.what != "local-cloud-failed", moment.detail["error"]
            ours = moment.what == "instance-launched" and moment.detail["fleet"] == f"fleet-{name}"
            return ours and moment.node not in found

        found.append(str(aws.events.wait(new, PATIENCE).node))
    for node in found:
        until(aws, "node-started", node)
    return found


def archive(files: Mapping[str, str]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return body.getvalue()


def queue(aws: LocalAws, name: str, **attributes: str) -> tuple[str, str]:
    """Make a queue; return its URL and its ARN."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def received(aws: LocalAws, url: str, count: int) -> list[Any]:
    """Wait for so many messages and take them off the queue; return their bodies."""
    sqs, bodies = aws.client("sqs"), []
    for _ in range(200):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if len(bodies) >= count:
            return bodies
    raise AssertionError(f"{len(bodies)} messages, expected {count}: {bodies}")


def function(aws: LocalAws, source: str, *, batch: int = 10, window: int = 0, **settings: Any) -> tuple[str, str]:
    """Deploy ``source`` as the module ``made`` behind a queue, the last failures of which go to a dead-letter queue.

    Returns the URLs of both queues.
    """
    role = aws.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    dead, dead_arn = queue(aws, "events-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "2"})
    live, arn = queue(aws, "events", VisibilityTimeout="1", RedrivePolicy=redrive)
    code = {"ZipFile": archive({"made.py": source})}
    names = {"FunctionName": "made", "Runtime": "python3.13", "Handler": "made.handle", "Role": role}
    aws.client("lambda").create_function(**names, Code=code, **settings)
    aws.client("lambda").create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName="made",
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=window,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    return live, dead
