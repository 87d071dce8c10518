"""What the responder needs of the world: a cloud, a clock's worth of time, a log. Each is a protocol or a few lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from spotkeeper_ledger import FleetSpec, PriceRecord
from spotkeeper_responder.model import Completion, GroupView, LaunchFailed, Termination

PRICE_SECONDS = 300.0
"""Age of a spot price from which on it is asked for again."""


class Cloud(Protocol):
    """Sees and moves the groups of fleets. Every method raises if the cloud does not do as asked in the time left."""

    @property
    def reaches_nodes(self) -> bool:
        """Whether :meth:`signal` reaches nodes; otherwise it is never called, and the ledger is the one path."""

    @property
    def shows_failures(self) -> bool:
        """Whether :meth:`groups` has shown why launches fail, so that to ask costs nothing; otherwise events tell."""

    @property
    def calls(self) -> int:
        """How many requests have been made so far, repeated ones included."""

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return the spot group and the backup group as they are now."""

    def launch_failures(self, spec: FleetSpec, since: float) -> Sequence[LaunchFailed]:
        """Return the failed launches of the spot group since a moment, Unix seconds."""

    def spot_price(self, spec: FleetSpec, nodes: Collection[str], now: float) -> PriceRecord | None:
        """Return what a spot node and hour costs: of ``nodes`` the dearest, or of all that the fleet might get.

        It may have been read for another fleet, less than :data:`PRICE_SECONDS` before ``now``, in Unix seconds.
        ``None`` where the cloud does not say.
        """

    def fleets_of(self, nodes: Collection[str]) -> Mapping[str, str]:
        """Return the fleet of each node that is in one; for when the ledger cannot be asked."""

    def resize(self, group: str, desired: int) -> None:
        """Set a group's desired size."""

    def signal(self, fleet: str, kind: str, deadline: float | None, nodes: Sequence[str]) -> None:
        """Tell the agents of ``nodes`` of a notice, past the ledger."""

    def terminate(self, termination: Termination) -> None:
        """Have a node terminated by its group; one that is gone already is no error."""

    def complete(self, completion: Completion) -> None:
        """Let a node go that a lifecycle hook holds; a hook that holds it no longer is no error."""

    def announce(self, subject: str, text: str) -> None:
        """Tell people something. Tried once: whoever asks does so again later."""


class Log(Protocol):
    """Writes one entry. Names of fields are the caller's."""

    def __call__(self, level: str, message: str, **fields: object) -> None:
        """Write ``message`` at ``level`` (``INFO``, ``WARNING``, ``ERROR``)."""


class TimeLeft:
    """How long the present work may still take.

    Args:
        remaining: returns the seconds until everything has to be done.
        clock: monotonic seconds.
    """

    SHORTEST_SHARE_SECONDS = 3.0
    """A share is never shorter than this, as long as there is that much left: one call that is throttled needs it."""

    def __init__(self, remaining: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._remaining = remaining
        self._clock = clock
        self._until = float("inf")

    def share(self, parts: int) -> None:
        """Give what comes next one of ``parts`` equal shares of the rest, so that it cannot use up what others need."""
        share = max(self._remaining() / max(1, parts), self.SHORTEST_SHARE_SECONDS)
        self._until = self._clock() + share

    def __call__(self) -> float:
        """Return the seconds left of the present share."""
        return min(self._remaining(), self._until - self._clock())
