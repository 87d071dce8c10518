"""Google Compute Engine: who this node is, and the notice that it will be preempted.

``instance/preempted`` is read plainly first: a hanging request for a change would wait on a node that is flagged
already. From then on each request hangs until the value differs from the one that was seen last (``last_etag``), so no
change falls between two of them. Source: Compute Engine documentation, "Spot VMs".
"""

from __future__ import annotations

import time
from typing import Optional, Tuple

from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Word
from spotkeeper_ledger import INTERRUPTION, Unavailable, run_dir
from spotkeeper_ledger.gce import MetadataServer, node_name

_SOONEST_SECONDS = 0.05
"""An unchanged value that comes back sooner than this was not waited for."""


class Preemption:
    """``instance/preempted``: ``TRUE`` once this node is being taken back.

    Three things can be known: that it is, that it is not (no words), and nothing at all (:class:`Unavailable`).
    """

    name = "metadata instance/preempted"

    def __init__(self, server: MetadataServer, every_seconds: float) -> None:
        self._server, self._pace = server, every_seconds
        self._etag = ""
        self._since: Optional[float] = None
        self.every_seconds = every_seconds

    def poll(self) -> Tuple[Word, ...]:
        """Return one interruption once there is one; may hang for 10 s."""
        before, began = self._etag, time.monotonic()
        self._etag, self.every_seconds = "", self._pace  # after a failure the next read is a plain one
        found = self._server.read("instance/preempted", unless=before)
        if found is None or found.text not in ("TRUE", "FALSE"):
            raise Unavailable(f"{self.name}: was {found.text[:80] if found else None!r}, expected TRUE or FALSE")
        self._etag = found.etag
        waited = time.monotonic() - began >= _SOONEST_SECONDS
        if found.etag and (found.etag != before or waited):
            self.every_seconds = 0.0  # the next request does the waiting
        if found.text == "FALSE":
            return ()
        self._since = self._since or time.time()
        return (Word(INTERRUPTION, "metadata", self._since),)


def identify(server: MetadataServer) -> Node:
    """Ask the metadata server who this node is.

    Raises :class:`Unavailable` if it does not answer or does not know the instance's name and number.
    """

    def ask(path: str) -> str:
        found = server.read(f"instance/{path}")
        return found.text if found else ""

    name, number = ask("name"), ask("id")
    for path, found in (("name", name), ("id", number)):
        if not found:
            raise Unavailable(f"metadata instance/{path}: was empty, expected the {path} of this instance")
    return Node(
        name=node_name(name, number),
        on_demand=ask("scheduling/preemptible") == "FALSE",  # TRUE for spot as well as for preemptible machines
        address=ask("network-interfaces/0/ip"),
        zone=ask("zone").rpartition("/")[2],  # projects/<number>/zones/<zone>
        boot_id=run_dir.boot_id(),
    )
