"""Compute Engine's metadata server: values with versions, and requests that wait until one changes.

It is asked by its address, which needs no name service in a shutdown. Source: Compute Engine documentation, "About VM
metadata".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, Optional

from spotkeeper_ledger.board import Unavailable
from spotkeeper_ledger.http import Http

ADDRESS = "169.254.169.254"
WAIT_SECONDS = 10
"""How long one request waits for a change. A service that vanishes without a word is noticed that late at most, and six
requests a minute cost nothing."""
TIMEOUT_SECONDS = 2.0
_FLAVOR = "Metadata-Flavor"
_GOOGLE = "Google"
_OK, _NOT_FOUND = 200, 404


def node_name(instance: str, number: str) -> str:
    """Return the name of the node that an instance is.

    A managed instance group gives the name of a node that was preempted to its successor; the number never comes back.

    Args:
        instance: the instance's name.
        number: its id, digits.
    """
    return f"{instance}.{number}"


@dataclass(frozen=True)
class Item:
    """One value of the metadata, and its version where the service tells one."""

    text: str
    etag: str = ""


class MetadataServer:
    """Reads metadata; a server that does not call itself Google's is none.

    Args:
        host: address, with a port where it has one; default ``GCE_METADATA_HOST``, then the link-local address.
    """

    def __init__(self, host: Optional[str] = None) -> None:
        self._http = Http(f"http://{host or os.environ.get('GCE_METADATA_HOST') or ADDRESS}", TIMEOUT_SECONDS)

    def read(self, path: str, *, unless: str = "") -> Optional[Item]:
        """Return ``/computeMetadata/v1/<path>``, or ``None`` where there is no such item.

        Args:
            path: which item.
            unless: an ETag; the answer is waited for until the item has another one, or for 10 s.

        Raises :class:`Unavailable` for everything that does not tell, a 503 among it, which may come at any time.
        """
        target, timeout = f"/computeMetadata/v1/{path}", TIMEOUT_SECONDS
        if unless:
            target += f"?wait_for_change=true&timeout_sec={WAIT_SECONDS}&last_etag={unless}"
            timeout += WAIT_SECONDS
        headers: Dict[str, str] = {_FLAVOR: _GOOGLE}
        response = self._http.request("GET", target, headers, timeout=timeout)
        if response.headers.get(_FLAVOR.lower()) != _GOOGLE:
            raise Unavailable(f"metadata {path}: status {response.status} from a server that is not Google's")
        if response.status == _NOT_FOUND:
            return None
        if response.status != _OK:
            raise Unavailable(f"metadata {path}: status {response.status}")
        return Item(response.body.decode("utf-8", "replace").strip(), response.headers.get("etag", ""))
