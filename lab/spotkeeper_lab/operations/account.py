"""The way to a responder: its ledger, its queues, its fleets' groups, with the credentials of whoever runs the command.

A ledger in a folder (``file:///…``) is read without boto3 and without any account.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spotkeeper_ledger import Board, FleetSpec, open_board
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.s3 import S3Board
from spotkeeper_ledger.sigv4 import Credentials
from spotkeeper_responder.model import GroupView

if TYPE_CHECKING:
    import boto3

TIMEOUT_SECONDS = 5.0
"""How long one request may take: a person waits, but not for ever."""


class NoCloud(Exception):
    """The cloud cannot be asked; the message says why."""


class Account:
    """Where a ledger is, and everything that goes by its responder's name.

    Args:
        uri: of the ledger: ``s3://<bucket>`` or ``file:///<folder>``.
        timeout: seconds that one request may take.

    Raises:
        ValueError: the URI is neither.
    """

    def __init__(self, uri: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._bucket = uri.removeprefix("s3://").rstrip("/") if uri.startswith("s3://") else ""
        if "/" in self._bucket:
            raise ValueError(f"uri: was {uri!r}, expected the whole bucket of a responder: s3://bucket")
        if not uri.startswith(("s3://", "file:///")):
            raise ValueError(f"uri: was {uri!r}, expected s3://bucket or file:///folder")
        self.ledger: Board = self._s3() if self._bucket else open_board(uri)

    @property
    def responder(self) -> str:
        """Name of the responder: that of the bucket of its ledger.

        Raises:
            NoCloud: the ledger is a folder.
        """
        if not self._bucket:
            raise NoCloud("the ledger is in a folder, not in an account")
        return self._bucket

    def client(self, service: Any, region: str | None = None) -> Any:
        """Return a client of a service, in the region of the person's configuration unless one is given.

        Raises:
            NoCloud: the ledger is a folder, or no region is known.
        """
        from botocore.config import Config  # noqa: PLC0415 - takes half a second, and a folder needs none of it

        assert self.responder  # noqa: S101 - or there is no account to ask
        config = Config(connect_timeout=self._timeout, read_timeout=self._timeout, retries={"mode": "standard"})
        with answers():
            return self._session.client(service, region_name=region, config=config)

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return the fleet's spot group and backup group, of one description.

        Raises:
            NoCloud: the ledger is a folder, the groups are not there, or AWS cannot be asked.
        """
        scaling = self.client("autoscaling", spec.region)
        from spotkeeper_responder.aws.cloud import view_of  # noqa: PLC0415 - see client(), which a folder ends in

        names = [spec.spot_group, spec.backup_group]
        with answers():
            described = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=names)["AutoScalingGroups"]
        found = {group["AutoScalingGroupName"]: view_of(group) for group in described}
        missing = [name for name in names if name not in found]
        if missing:
            raise NoCloud(f"no Auto Scaling group {' and '.join(missing)} in {spec.region}")
        return found[names[0]], found[names[1]]

    def _s3(self) -> Board:
        region = self._session.region_name
        return S3Board(self._bucket, timeout=self._timeout, region=region, credentials=_OfSession(self._session))

    @cached_property
    def _session(self) -> boto3.Session:
        import boto3  # noqa: PLC0415 - see client()

        with answers():
            return boto3.Session()


@contextmanager
def answers() -> Iterator[None]:
    """Make of whatever boto3 raises meanwhile a :class:`NoCloud` of one line."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see Account.client()

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
