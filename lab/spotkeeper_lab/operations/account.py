"""The way to a responder: its ledger, what it could not handle, and its fleets' groups, as whoever asks may see them.

Each cloud's part is a module of its own, imported when a ledger of that cloud is opened. A ledger in a folder
(``file:///…``) needs none, and no account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

from spotkeeper_ledger import Board, FleetSpec, open_board
from spotkeeper_responder.model import GroupView

if TYPE_CHECKING:
    from spotkeeper_lab.operations.dead_letters import DeadLetters

TIMEOUT_SECONDS = 5.0
"""How long one request may take: a person waits, but not for ever."""


class NoCloud(Exception):
    """The cloud cannot be asked; the message says why."""


class Account(Protocol):
    """Where a ledger is, and everything that goes by its responder's name, which is the bucket's."""

    @property
    def ledger(self) -> Board:
        """The responder's ledger."""

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return the fleet's spot group and backup group, as they are now.

        Raises:
            NoCloud: There is no cloud, the groups are not there, or it cannot be asked.
        """

    def dead_letters(self) -> DeadLetters:
        """Return what the responder could not handle.

        Raises:
            NoCloud: There is no cloud, nothing that holds them, or it cannot be asked.
        """


def open_account(uri: str, timeout: float = TIMEOUT_SECONDS) -> Account:
    """Return the account that a ledger is in; it is asked for nothing yet.

    Args:
        uri: of the ledger: ``s3://<bucket>``, ``gs://<bucket>`` or ``file:///<folder>``.
        timeout: seconds that one request may take.

    Raises:
        ValueError: the URI is none of these.
        NoCloud: there are no credentials that could be tried.
    """
    scheme, separator, rest = uri.partition("://")
    bucket = rest.rstrip("/")
    if scheme == "file" and rest.startswith("/"):
        return _Folder(open_board(uri))
    if scheme not in ("s3", "gs") or not separator or not bucket:
        raise ValueError(f"uri: was {uri!r}, expected s3://bucket, gs://bucket or file:///folder")
    if "/" in bucket:
        raise ValueError(f"uri: was {uri!r}, expected the whole bucket of a responder: {scheme}://bucket")
    if scheme == "s3":
        from spotkeeper_lab.operations.aws import AwsAccount  # noqa: PLC0415 - see the module

        return AwsAccount(bucket, timeout)
    from spotkeeper_lab.operations.gcp import GcpAccount  # noqa: PLC0415 - see the module

    return GcpAccount(bucket, timeout)


@dataclass(frozen=True)
class _Folder:
    """No account."""

    ledger: Board

    def groups(self, spec: FleetSpec) -> NoReturn:  # noqa: ARG002 - there are none
        raise NoCloud("the ledger is in a folder, not in an account")

    def dead_letters(self) -> NoReturn:
        raise NoCloud("the ledger is in a folder, not in an account")
