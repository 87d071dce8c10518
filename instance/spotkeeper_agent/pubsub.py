"""A topic of Pub/Sub on which a node says that it has written a notice: the responder reads it there and then.

Source: Pub/Sub REST API, ``projects.topics.publish``.
"""

from __future__ import annotations

import json
import os
from typing import Dict, Mapping, Optional

from spotkeeper_ledger import Denied, Unavailable
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_ledger.http import Http

URL = "https://pubsub.googleapis.com"
TIMEOUT_SECONDS = 4.0
_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403


class Topic:
    """Publishes messages that are attributes only.

    Args:
        name: ``projects/<project>/topics/<topic>``.
        tokens: default the service account of this machine; none is sent to ``PUBSUB_EMULATOR_HOST``, unless there is a
            metadata server of the same kind (``GCE_METADATA_HOST``).

    ``PUBSUB_EMULATOR_HOST`` is honoured, as in Google's own clients.
    """

    def __init__(self, name: str, tokens: Optional[TokenSource] = None) -> None:
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        anonymous = emulator and not os.environ.get("GCE_METADATA_HOST")
        self._target = f"/v1/{name}:publish"
        self._tokens = tokens or (None if anonymous else TokenSource())
        self._http = Http(f"http://{emulator}" if emulator else URL, TIMEOUT_SECONDS)

    def publish(self, attributes: Mapping[str, str]) -> None:
        """Publish a message.

        Raises :class:`Denied` where this machine may not, :class:`Unavailable` where it is not known to have arrived.
        """
        headers: Dict[str, str] = {"Content-Type": "application/json"}
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {self._tokens.get()}"
        body = json.dumps({"messages": [{"attributes": dict(attributes)}]}).encode()
        response = self._http.request("POST", self._target, headers, body)
        if response.status == _OK:
            return
        kind = Denied if response.status in (_UNAUTHORIZED, _FORBIDDEN) else Unavailable
        raise kind(f"{self._target}: status {response.status}")
