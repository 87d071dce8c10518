"""Where AWS credentials come from: the environment, else the instance's role, refreshed in time."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Optional, Tuple

from spotkeeper_ledger.board import Denied, Unavailable
from spotkeeper_ledger.renewed import Renewed
from spotkeeper_ledger.sigv4 import Credentials

if TYPE_CHECKING:
    from spotkeeper_ledger.imds import InstanceMetadata


class CredentialSource:
    """Gives valid credentials at any time.

    ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` (with ``AWS_SESSION_TOKEN`` where there is one) win; they are
    read at every call,
    because Lambda replaces them between invocations. Otherwise the instance's role is asked for through the metadata
    service.
    """

    def __init__(self, metadata: Optional[InstanceMetadata] = None) -> None:
        self._metadata = metadata
        self._role = Renewed(self._from_role)

    def get(self) -> Credentials:
        """Return credentials that are valid now.

        Raises :class:`Denied` where the instance has no role, :class:`Unavailable` where the metadata service does
        not answer and
        no keys are held that still hold.
        """
        access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if access and secret:
            return Credentials(access, secret, os.environ.get("AWS_SESSION_TOKEN") or None)
        return self._role.get()

    def _from_role(self) -> Tuple[Credentials, float]:
        if self._metadata is None:
            from spotkeeper_ledger.imds import InstanceMetadata  # noqa: PLC0415 - a function is given its keys

            self._metadata = InstanceMetadata()
        role = self._metadata.get("iam/security-credentials/")
        if not role or not role.strip():
            raise Denied("no credentials: neither AWS_ACCESS_KEY_ID in the environment nor a role on this instance")
        answer = self._metadata.get(f"iam/security-credentials/{role.split()[0]}")
        try:
            keys = json.loads(answer or "")
            expires = datetime.fromisoformat(keys["Expiration"].replace("Z", "+00:00")).timestamp()
            return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"]), expires
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unavailable(f"metadata: no usable credentials for role {role.split()[0]}") from None
