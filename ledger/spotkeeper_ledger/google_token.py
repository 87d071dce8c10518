"""Where access tokens for Google's services come from: the service account of this machine or function."""

from __future__ import annotations

import json
import time
from typing import Optional, Tuple

from spotkeeper_ledger.board import Denied, Unavailable
from spotkeeper_ledger.gce import MetadataServer
from spotkeeper_ledger.renewed import Renewed

_PATH = "service-accounts/default/token"


class TokenSource:
    """Gives a valid access token at any time.

    Args:
        metadata: where the service account is asked for; default the machine's own metadata server.
    """

    def __init__(self, metadata: Optional[MetadataServer] = None) -> None:
        self._metadata = metadata or MetadataServer()
        self._token = Renewed(self._fetch)

    def get(self) -> str:
        """Return a token that is valid now.

        Raises :class:`Denied` where the machine has no service account, :class:`Unavailable` where the metadata server
        does not answer and no token is held that still holds.
        """
        return self._token.get()

    def _fetch(self) -> Tuple[str, float]:
        began = time.time()
        found = self._metadata.read(f"instance/{_PATH}")
        if found is None:
            raise Denied("no credentials: this machine has no service account")
        try:
            answer = json.loads(found.text)
            return str(answer["access_token"]), began + float(answer["expires_in"])
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"metadata {_PATH}: no usable token") from None
