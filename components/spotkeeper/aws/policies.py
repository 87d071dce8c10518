"""Policy documents as plain dictionaries: what each role may do, and to what. No allowed action is a pattern.

A resource is ``*`` only where AWS knows no narrower one for the action; those statements say so in their ``Sid``.
"""

from collections.abc import Sequence
from typing import Any

from spotkeeper.aws import naming
from spotkeeper.aws.naming import Place
from spotkeeper.naming import BACKUP, GROUP_PREFIX, SPOT, BucketUri, group_name
from spotkeeper_ledger import keys

Policy = dict[str, Any]
Statement = dict[str, Any]


def document(*statements: Statement) -> Policy:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def assumed_by(service: str) -> Policy:
    """Return the trust policy of a role that only this AWS service takes on."""
    return document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}})


def node_policy(place: Place, *, fleet: str, responder: str, checkpoint: BucketUri) -> Policy:
    """Return what a fleet's nodes may do: read its ledger, write their own documents and the job's, save.

    ``${aws:userid}`` is ``<role id>:<instance id>`` on an instance, so that no node can write as another one. Listing
    is bound to the own prefix; S3 takes a missing object's key for the prefix when it decides between 404 and 403.
    """
    own = f"{responder}/{keys.fleet_prefix(fleet)}"
    # Five objects by name: a folder could be filled with so many that listing it would keep the function from its work.
    written = [write(fleet, "${aws:userid}") for write in (keys.notice, keys.report, keys.log)]
    written += [keys.generation(fleet), keys.progress(fleet)]
    groups = [place.groups(group_name(fleet, kind)) for kind in (SPOT, BACKUP)]
    return document(
        _allow("ReadLedger", ["s3:GetObject"], [place.s3(f"{own}*"), place.s3(f"{responder}/agent/*")]),
        _list("ListLedger", place.s3(responder), f"{keys.fleet_prefix(fleet)}*"),
        _allow("WriteOwn", ["s3:PutObject"], [place.s3(f"{responder}/{key}") for key in written]),
        _allow(
            "Checkpoints",
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [place.s3(f"{checkpoint.objects}*")],
        ),
        _list("ListCheckpoints", place.s3(checkpoint.bucket), f"{checkpoint.prefix}/*" if checkpoint.prefix else "*"),
        _allow(
            "EndOwnLife",
            ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            groups,
        ),
        _allow("RegisterForRunCommand", ["ssm:UpdateInstanceInformation"], [place.arn("ec2", "instance/*")]),
        _allow(
            "RunCommandHasNoResources",
            [
                "ssmmessages:CreateControlChannel",
                "ssmmessages:OpenControlChannel",
                "ec2messages:AcknowledgeMessage",
                "ec2messages:DeleteMessage",
                "ec2messages:FailMessage",
                "ec2messages:GetEndpoint",
                "ec2messages:GetMessages",
                "ec2messages:SendReply",
            ],
            ["*"],
        ),
    )


def responder_policy(place: Place, responder: str) -> Policy:
    """Return what the function may do. What it does to fleets is bound to the tag that names it as their responder."""
    tagged = {"StringEquals": {f"aws:ResourceTag/{naming.TAG_RESPONDER}": responder}}
    ledger = f"{responder}/{keys.FLEETS}"
    return document(
        _allow("ReadLedger", ["s3:GetObject"], [place.s3(f"{ledger}*"), place.s3(f"{responder}/{keys.MEMBERS}")]),
        _allow("ListLedger", ["s3:ListBucket"], [place.s3(responder)]),
        _allow(
            "WriteLedger",
            ["s3:PutObject"],
            [
                place.s3(f"{responder}/{keys.MEMBERS}"),
                place.s3(f"{ledger}*/ledger.json"),
                place.s3(f"{ledger}*/signal.json"),
            ],
        ),
        _allow(
            "DescribeHasNoResources",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeSpotPriceHistory",
            ],
            ["*"],
        ),
        _allow(
            "ResizeFleets",
            [
                "autoscaling:SetDesiredCapacity",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                "autoscaling:CompleteLifecycleAction",
            ],
            [place.groups(f"{GROUP_PREFIX}*")],
            tagged,
        ),
        _allow(
            "SignalWithDocument", ["ssm:SendCommand"], [place.arn("ssm", f"document/{naming.document_name(responder)}")]
        ),
        _allow(
            "SignalNodes",
            ["ssm:SendCommand"],
            [place.arn("ec2", "instance/*")],
            {"StringEquals": {f"ssm:resourceTag/{naming.TAG_RESPONDER}": responder}},
        ),
        _allow("TellPeople", ["sns:Publish"], [place.arn("sns", naming.topic_name(responder))]),
        _allow(
            "TakeEvents",
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            [place.arn("sqs", naming.queue_name(responder))],
        ),
        _allow(
            "Log",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [place.arn("logs", f"log-group:/aws/lambda/{naming.function_name(responder)}:log-stream:*")],
        ),
    )


def queue_policy(place: Place, queue: str, *, rules: Sequence[str], bucket: str = "") -> Policy:
    """Return who may send to a queue: these EventBridge rules and, where given, this bucket. Nobody without TLS."""
    queue_arn = place.arn("sqs", queue)
    account = {"StringEquals": {"aws:SourceAccount": place.account}}
    statements = [
        _send("Rules", "events.amazonaws.com", queue_arn, {"ArnEquals": {"aws:SourceArn": list(rules)}}),
        _tls_only("sqs:SendMessage", [queue_arn]),
    ]
    if bucket:
        from_bucket = {"ArnEquals": {"aws:SourceArn": place.s3(bucket)}, **account}
        statements.append(_send("Notices", "s3.amazonaws.com", queue_arn, from_bucket))
    return document(*statements)


def topic_policy(place: Place, responder: str) -> Policy:
    """Return who may publish alarms: CloudWatch, for this account's."""
    topic = place.arn("sns", naming.topic_name(responder))
    return document(
        {
            "Sid": "Alarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic,
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
        },
        _tls_only("sns:Publish", [topic]),
    )


def bucket_policy(place: Place, bucket: str) -> Policy:
    """Return the ledger bucket's policy: nothing without TLS. Who may read and write is said by the roles."""
    return document(_tls_only("s3:*", [place.s3(bucket), place.s3(f"{bucket}/*")]))


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str], condition: Any = None) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def _list(sid: str, bucket: str, prefix: str) -> Statement:
    return _allow(sid, ["s3:ListBucket"], [bucket], {"StringLike": {"s3:prefix": [prefix]}})


def _send(sid: str, service: str, queue_arn: str, condition: Any) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": condition,
    }


def _tls_only(action: str, resources: Sequence[str]) -> Statement:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
