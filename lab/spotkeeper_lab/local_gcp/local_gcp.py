"""The local Google Cloud as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_gcp.compute import Compute
from spotkeeper_lab.local_gcp.market import Market
from spotkeeper_lab.local_gcp.server import Server
from spotkeeper_lab.local_gcp.timing import Timing
from spotkeeper_lab.local_gcp.world import REGIONS, Tell, World


class LocalGcp:
    """One project of Compute Engine on this machine, until it is closed; a context manager.

    Args:
        timing: how long it takes for its part.
        project: the one project that there is.
        regions: region to its zones.
        tell: is told what happens, when it happens, beside :attr:`events`. It is called under the cloud's lock, so it
            must be short and ask nothing of the cloud.
    """

    def __init__(
        self,
        timing: Timing | None = None,
        *,
        project: str = "local-project",
        regions: Mapping[str, Sequence[str]] = REGIONS,
        tell: Tell | None = None,
    ) -> None:
        self.project, self.events = project, EventLog()
        self._tell = tell
        self._timers = Timers(self._failed)
        self._compute = Compute(World(timing or Timing(), self._timers, self._happened, project, regions))
        self._server = Server(self._compute.api, self._failed)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def endpoint(self) -> str:
        """Where the API is reached: what a client takes as its endpoint, without a path."""
        return self._server.endpoint

    @property
    def market(self) -> Market:
        """How many instances may run."""
        return self._compute.market

    @property
    def calls(self) -> CallCounter:
        """How often which method was called, by the caller's bearer token."""
        return self._compute.calls

    def preempt(self, name: str) -> None:
        """Take a running spot instance back; nothing happens where that is under way.

        Raises:
            ValueError: There is none of that name, or it is no spot instance that runs.
        """
        self._compute.preempt(name)

    def powered_off(self, number: str) -> None:
        """An instance's operating system has shut down: it is gone before its time for that is over, or at all.

        Whoever runs processes for instances says so when they have ended; nothing happens if it is gone already.

        Args:
            number: the instance's, because the next one has the same name: ``id`` in what is told.
        """
        self._compute.powered_off(number)

    def close(self) -> None:
        """Stop: nothing happens any more, and nobody is answered."""
        self._compute.close()
        self._server.close()
        self._timers.close()

    def _happened(self, what: str, node: str | None, /, **details: Any) -> None:
        self.events.add(what, node, **details)
        if self._tell:
            self._tell(what, node, **details)

    def _failed(self, traceback: str) -> None:
        self.events.add("local-cloud-failed", error=traceback)
