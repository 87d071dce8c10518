"""A handler that does what peers do: one event, one instance, one set of calls.

The steps are those that the fact sheets' peers have in common: look the instance up by its id, see by its tags whether
it is of a group that is looked after, take it out of its group so that the group replaces it, look up the command for
that group, and send it to the instance. No batch, no memory: an event told twice is done twice.
"""

import json
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

GROUP_TAG = "bench:group"  # moto, like AWS, lets nobody set the tag that groups set

_clients: dict[str, Any] = {}


def client(service: Any) -> Any:
    if service not in _clients:
        _clients[service] = boto3.client(service)
    return _clients[service]


def handle(event: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    failed = [record["messageId"] for record in event["Records"] if not _handled(json.loads(record["body"]))]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _handled(notice: dict[str, Any]) -> bool:
    if notice["detail-type"] != "EC2 Spot Instance Interruption Warning":
        return True
    node = notice["detail"]["instance-id"]
    try:
        (reservation,) = client("ec2").describe_instances(InstanceIds=[node])["Reservations"]
    except ClientError as error:
        return error.response["Error"]["Code"] == "InvalidInstanceID.NotFound"  # not of this account any more
    tags = {tag["Key"]: tag["Value"] for tag in reservation["Instances"][0].get("Tags", [])}
    if GROUP_TAG not in tags:
        return True
    client("autoscaling").detach_instances(
        InstanceIds=[node], AutoScalingGroupName=tags[GROUP_TAG], ShouldDecrementDesiredCapacity=False
    )
    client("ssm").get_parameter(Name=f"/bench/{tags[GROUP_TAG]}")
    client("ssm").send_command(
        DocumentName=os.environ["SPOTKEEPER_DOCUMENT"],
        InstanceIds=[node],
        Parameters={"Fleet": ["bench"], "Kind": ["interruption"], "Deadline": ["none"], "Nodes": [node]},
    )
    return True
