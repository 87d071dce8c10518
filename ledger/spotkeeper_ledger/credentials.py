"""Where AWS credentials come from: the environment, else the instance's role, refreshed in time."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime
from typing import Optional, Tuple

from spotkeeper_ledger.board import Denied, Unavailable
from spotkeeper_ledger.imds import InstanceMetadata
from spotkeeper_ledger.sigv4 import Credentials

REFRESH_SECONDS = 300
"""New keys are fetched this long before the old ones expire; EC2 has them ready at least five minutes ahead."""
RETRY_SECONDS = 5
"""Pause after a refresh that failed while the old keys still hold."""


class CredentialSource:
    """Gives valid credentials at any time.

    ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` (with ``AWS_SESSION_TOKEN`` where there is one) win; they are
    read at every call,
    because Lambda replaces them between invocations. Otherwise the instance's role is asked for through the metadata
    service.
    """

    def __init__(self, metadata: Optional[InstanceMetadata] = None) -> None:
        self._metadata = metadata
        self._held: Optional[Credentials] = None
        self._expires_at = 0.0
        self._refresh_at = 0.0
        self._lock = threading.Lock()

    def get(self) -> Credentials:
        """Return credentials that are valid now.

        Raises :class:`Denied` where the instance has no role, :class:`Unavailable` where the metadata service does
        not answer and
        no keys are held that still hold.
        """
        access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if access and secret:
            return Credentials(access, secret, os.environ.get("AWS_SESSION_TOKEN") or None)
        with self._lock:
            now = time.time()
            if self._held is None or now >= self._refresh_at:
                self._refresh(now)
            assert self._held is not None  # noqa: S101 - _refresh raises otherwise; this tells the type checker
            return self._held

    def _refresh(self, now: float) -> None:
        try:
            self._held, self._expires_at = self._from_role()
        except (Unavailable, Denied):
            if self._held is None or now >= self._expires_at:
                raise
            self._refresh_at = now + RETRY_SECONDS
        else:
            self._refresh_at = max(self._expires_at - REFRESH_SECONDS, now + RETRY_SECONDS)

    def _from_role(self) -> Tuple[Credentials, float]:
        if self._metadata is None:
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
