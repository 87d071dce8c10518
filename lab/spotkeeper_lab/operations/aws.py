"""A responder on AWS, with credentials and region as the AWS command line takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spotkeeper_lab.operations.account import NoCloud
from spotkeeper_lab.operations.dead_letters import HOLD_SECONDS, NOTICE, UNREADABLE, Letter
from spotkeeper_ledger import FleetSpec
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.s3 import S3Board
from spotkeeper_ledger.sigv4 import Credentials
from spotkeeper_responder.aws.cloud import view_of
from spotkeeper_responder.model import GroupView

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )


class AwsAccount:
    """An :class:`~spotkeeper_lab.operations.account.Account` on AWS.

    Args:
        bucket: of the ledger.
        timeout: seconds that one request may take.

    Raises:
        NoCloud: the person's configuration cannot be used.
    """

    def __init__(self, bucket: str, timeout: float) -> None:
        self._bucket, self._timeout = bucket, timeout
        with answers():
            self._session = boto3.Session()
        self.ledger = S3Board(
            bucket, timeout=timeout, region=self._session.region_name, credentials=_OfSession(self._session)
        )

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return both groups, of one description."""
        names = [spec.spot_group, spec.backup_group]
        with answers():
            scaling = self._client("autoscaling", spec.region)
            described = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=names)["AutoScalingGroups"]
        found = {group["AutoScalingGroupName"]: view_of(group) for group in described}
        missing = [name for name in names if name not in found]
        if missing:
            raise NoCloud(f"no Auto Scaling group {' and '.join(missing)} in {spec.region}")
        return found[names[0]], found[names[1]]

    def dead_letters(self) -> AwsDeadLetters:
        """Return what lies in the dead-letter queue, in the region of the person's configuration."""
        with answers():
            return AwsDeadLetters(self._client("sqs"), self._bucket)

    def _client(self, service: Any, region: str | None = None) -> Any:
        """Return a client, in the region of the person's configuration unless one is given."""
        config = Config(connect_timeout=self._timeout, read_timeout=self._timeout, retries={"mode": "standard"})
        return self._session.client(service, region_name=region, config=config)


class AwsDeadLetters:
    """:class:`~spotkeeper_lab.operations.dead_letters.DeadLetters` in a queue of SQS.

    SQS's own ``StartMessageMoveTask`` is not used: AWS limits it to what came from another queue, and a part of what
    lies in this one came from EventBridge.

    Args:
        sqs: a client.
        responder: name of the responder.

    Raises:
        NoCloud: One of the two queues is not there.
    """

    batch = 10

    def __init__(self, sqs: SQSClient, responder: str) -> None:
        from spotkeeper.aws import naming  # noqa: PLC0415 - it brings Pulumi, which looking at a fleet needs not

        self.source, self.target = naming.dead_letter_name(responder), naming.queue_name(responder)
        self._sqs = sqs
        self._source, self._target = self._url(self.source), self._url(self.target)

    def take(self) -> Sequence[Letter]:
        """Receive some messages."""
        with answers():
            answer = self._sqs.receive_message(
                QueueUrl=self._source,
                MaxNumberOfMessages=self.batch,
                VisibilityTimeout=HOLD_SECONDS,
                WaitTimeSeconds=1,  # asks all of SQS's servers: an empty answer means an empty queue
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [
            Letter(
                id=message.get("MessageId", ""),
                kind=kind_of(message.get("Body", "")),
                sent_at=int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000,
                message={"MessageBody": message.get("Body", "")},
                receipt=message.get("ReceiptHandle", ""),
            )
            for message in answer.get("Messages", [])
        ]

    def release(self, letters: Sequence[Letter]) -> None:
        """Make messages visible."""
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(n), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0} for n, letter in enumerate(letters)
        ]
        with answers():
            self._sqs.change_message_visibility_batch(QueueUrl=self._source, Entries=entries)

    def move(self, letters: Sequence[Letter]) -> int:
        """Send messages to the other queue; those that it takes are deleted here."""
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(n), "MessageBody": letter.message["MessageBody"]} for n, letter in enumerate(letters)
        ]
        with answers():
            answer = self._sqs.send_message_batch(QueueUrl=self._target, Entries=entries)
            sent = [letters[int(done["Id"])] for done in answer["Successful"]]
            if sent:
                self._sqs.delete_message_batch(
                    QueueUrl=self._source,
                    Entries=[{"Id": str(n), "ReceiptHandle": letter.receipt} for n, letter in enumerate(sent)],
                )
        kept = [letter for letter in letters if letter not in sent]
        if kept:
            self.release(kept)
        return len(sent)

    def _url(self, queue: str) -> str:
        try:
            with answers():
                return self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        except NoCloud as error:
            raise NoCloud(f"queue {queue} in {self._sqs.meta.region_name}: {error}") from None


def kind_of(body: str) -> str:
    """Return what a message is about: the ``detail-type`` of EventBridge's events, or a kind that both clouds have."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(envelope, dict):
        return UNREADABLE
    if "Records" in envelope:
        return NOTICE
    return str(envelope["detail-type"]) if "detail-type" in envelope else UNREADABLE


@contextmanager
def answers() -> Iterator[None]:
    """Make of whatever boto3 raises meanwhile a :class:`NoCloud` of one line."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise NoCloud(str(error).partition("\n")[0]) from None


class _OfSession(CredentialSource):
    """Credentials as boto3 finds them: environment, profile, single sign-on, role."""

    def __init__(self, session: boto3.Session) -> None:
        super().__init__()
        self._session = session

    def get(self) -> Credentials:
        """Return credentials that are valid now.

        Raises:
            NoCloud: there are none.
        """
        with answers():
            found = self._session.get_credentials()
            keys = found.get_frozen_credentials() if found else None
        if keys is None or not keys.access_key or not keys.secret_key:
            raise NoCloud("no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return Credentials(keys.access_key, keys.secret_key, keys.token)
